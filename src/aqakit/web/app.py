"""The endpoints: they receive files and return scores, and never open a video themselves."""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, FastAPI, HTTPException, Query, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import FileResponse, HTMLResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles

from aqakit.web import desk_routes, improving_routes, viewing_routes
from aqakit.web.asking import Id, TheHub, refusals
from aqakit.web.desk import columns, is_owner, written
from aqakit.web.guard import Guard
from aqakit.web.hub import Hub
from aqakit.web.limits import Limits
from aqakit.web.models import Health, RunCard, Score, Service
from aqakit.web.report import report
from aqakit.web.uploads import refused_by_disk

POLL = 0.2
"""Seconds between two checks of a job that a client follows."""

SILENCE = 15.0
"""Seconds without an event after which a comment keeps the stream alive for browsers and proxies."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")

router = APIRouter()


@router.get("/healthz", response_model_exclude_none=True)
async def health(hub: TheHub) -> Health:
    """Report whether the server works, and the length of the queue."""
    return hub.health()


@router.get("/api/runs", responses=refusals())
async def runs(request: Request, hub: TheHub) -> Service:
    """List the runs that can score videos, and the limits."""
    limits = hub.limits
    return Service(
        runs=list(hub.cards.values()),
        waiting=hub.jobs.waiting(),
        upload_limit=limits.upload,
        duration_limit=limits.duration,
        kept_hours=limits.keep / 3600 if math.isfinite(limits.keep) else None,
        chosen=hub.chosen,
        improved=hub.improver.comparisons,
        desk=is_owner(request),
    )


_VIDEO_BODY = {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string"}}}}


@router.post(
    "/api/scores",
    status_code=202,
    responses=refusals(400, 404, 408, 413, 429, 503, 507),
    openapi_extra={"requestBody": _VIDEO_BODY},
)
async def upload(
    request: Request,
    hub: TheHub,
    run: Annotated[str, Query(max_length=200, description="name of a run")],
    name: Annotated[str, Query(max_length=200, description="name of the file; only displayed")] = "video",
    difficulty: Annotated[
        float | None, Query(gt=0, le=100, description="declared difficulty, if the run needs it")
    ] = None,
    athlete: Annotated[str, Query(max_length=200, description="who performs")] = "",
    date: Annotated[str, Query(max_length=10, description="day of the performance, ISO 8601")] = "",
    tags: Annotated[str, Query(max_length=1000, description="free words, separated by commas")] = "",
    notes: Annotated[str, Query(max_length=2000)] = "",
) -> Score:
    """Upload a video as the body of the request and put it in the queue."""
    details = written(athlete=athlete, date=date, tags=tags, notes=notes)
    card = hub.card(run)
    if card.needs_difficulty and difficulty is None:
        raise HTTPException(400, f"run {run} needs the declared difficulty of the video")
    length = request.headers.get("content-length", "")
    promised = int(length) if length.isdecimal() else 0
    client = request.client.host[:64] if request.client else ""  # a proxy may say anything
    row = columns(details) | {"run": run, "difficulty": difficulty, "client": client}
    return await hub.receive(request.stream(), promised, name, row)


@router.get("/api/scores/{job_id}", responses=refusals(404))
def score(hub: TheHub, job_id: Id) -> Score:
    """Return the progress of a video, and its score once it is finished."""
    return hub.score(job_id)


@router.delete("/api/scores/{job_id}", status_code=204, responses=refusals(404, 503, 507))
def delete(hub: TheHub, job_id: Id) -> None:
    """Delete a video and its score permanently; a queued video is not scored."""
    hub.delete(job_id)


@router.get(
    "/api/scores/{job_id}/report",
    responses=refusals(404, 409) | {200: {"content": {"text/html": {}}}},
    response_class=Response,  # so that errors are documented as JSON
)
def html(hub: TheHub, job_id: Id) -> HTMLResponse:
    """Return a finished score as one HTML file that needs no server."""
    job = hub.score(job_id)
    if job.result is None:
        raise HTTPException(409, job.problem or "this video has not been scored yet")
    page = report(job, hub.cards.get(job.run))
    return HTMLResponse(page, headers={"Content-Disposition": 'attachment; filename="score.html"'})


@router.get("/api/scores/{job_id}/video", responses=refusals(404), response_class=FileResponse)
def video(hub: TheHub, job_id: Id) -> FileResponse:
    """Return the uploaded file, as long as it is kept."""
    file = hub.video(job_id)
    return FileResponse(file, media_type="application/octet-stream", filename="video", stat_result=file.stat())


@router.get(
    "/api/scores/{job_id}/events",
    responses=refusals(404) | {200: {"content": {"text/event-stream": {}}}},
    response_class=StreamingResponse,
)
async def events(hub: TheHub, job_id: Id) -> StreamingResponse:
    """Stream the progress as server-sent events, one for every change, until there is a score or a problem."""
    hub.score(job_id)  # 404 before the stream begins
    return StreamingResponse(_changes(hub, job_id), media_type="text/event-stream")


async def _changes(hub: Hub, job_id: str) -> AsyncIterator[str]:
    last, silent = None, 0.0
    while True:
        try:
            now = hub.score(job_id)
        except HTTPException:  # it was deleted
            return
        if now != last:
            yield f"event: {now.status}\ndata: {now.model_dump_json()}\n\n"
            last, silent = now, 0.0
        elif silent > SILENCE:
            yield ": waiting\n\n"
            silent = 0.0
        if now.status in ("finished", "failed"):
            return
        await asyncio.sleep(POLL)
        silent += POLL


async def _not_stored(request: Request, error: Exception) -> Response:
    if (refused := refused_by_disk(error)) is None:
        raise error
    return await http_exception_handler(request, refused)


def create_app(
    folder: Path,
    runs: Mapping[str, Path],
    cards: Mapping[str, RunCard],
    *,
    limits: Limits,
    token: str | None = None,
    hosts: Collection[str] | None = LOOPBACK,
    local: bool = False,
    opened: Hub | None = None,
) -> FastAPI:
    """Create the server as an ASGI application.

    Args:
        folder: folder for the queue, the videos and the scores.
        runs: run folders by name.
        cards: public descriptions of the runs, by name.
        limits: of uploads, queue and videos.
        token: secret for the API; None if anyone may use it.
        hosts: accepted host names; None for any.
        local: whether the server listens on this machine only, so that its visitors own all scores.
        opened: the folder if it is already open; it is closed when the server ends.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with closing(opened) if opened else Hub.open(folder, runs, cards, limits) as hub:
            app.state.hub = hub
            yield

    # the interactive pages of FastAPI load scripts from other sites
    app = FastAPI(title="aqakit", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    app.state.token, app.state.local = token, local
    for one in (desk_routes.router, viewing_routes.router, improving_routes.router):
        app.include_router(one)
    app.include_router(router)
    for kind in (OSError, sqlite3.Error):
        app.add_exception_handler(kind, _not_stored)
    app.mount("/", StaticFiles(directory=Path(__file__).parent / "static", html=True))
    app.add_middleware(Guard, token=token, hosts=hosts)
    return app
