"""Endpoints for the eye: two recordings paired in time, a video that browsers can play, a skeleton to be drawn."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import FileResponse, Response
from starlette.background import BackgroundTask

from aqakit.errors import DataError
from aqakit.web.asking import Id, OtherId, Owner, TheHub, refusals
from aqakit.web.desk_models import Alignment
from aqakit.web.exemplars import learnt_from
from aqakit.web.hub import Hub
from aqakit.web.limits import Limits
from aqakit.web.models import Figure, Glimpse, Pose
from aqakit.web.sheet import pdf
from aqakit.web.viewer import look

router = APIRouter()


@router.get("/api/alignment", responses=refusals(400, 404, 503))
def alignment(hub: TheHub, a: OtherId, b: OtherId) -> Alignment:
    """Pair the moments of two videos by what moves in them, or of two recordings of motion by their channels."""
    paths, jobs = [hub.video(one) for one in (a, b)], [hub.score(one) for one in (a, b)]
    names, cards = [job.name for job in jobs], [hub.cards.get(job.run) for job in jobs]
    kinds = [card.reads if card else "video" for card in cards]
    if kinds[0] != kinds[1]:
        raise HTTPException(400, f"{names[0]} is a {kinds[0]}, {names[1]} a {kinds[1]}; compare two of a kind")
    if kinds[0] == "video":
        return Alignment(**look("align videos", paths, names, hub.limits))
    layouts = [card.layout if card else None for card in cards]
    return Alignment(**look("align motion", paths, names, hub.limits, kind=kinds[0], layouts=layouts))


@router.get("/api/scores/{job_id}/figure", responses=refusals(400, 404, 503), response_model=Figure)
def moving_figure(hub: TheHub, job_id: Id) -> Response:
    """Return the joints of a skeleton over time, to be drawn."""
    path, job = hub.video(job_id), hub.score(job_id)
    card = hub.card(job.run)
    if card.reads != "skeleton":
        raise HTTPException(400, f"{job.name} is a {card.reads} and has no joints")
    return Response(_figure(path, job.name, card.layout, hub.limits), media_type="application/json")


@router.get("/api/scores/{job_id}/pose", responses=refusals(400, 404, 503), response_model=Pose)
def pose(hub: TheHub, job_id: Id) -> Response:
    """Return the joints that the run has found in a video, to be drawn over it."""
    path, job = hub.video(job_id), hub.score(job_id)
    if not hub.card(job.run).finds_joints:
        raise HTTPException(400, f"the run {job.run} does not look for joints in videos")
    return Response(_pose(path, hub.runs[job.run], job.name, job.run, hub.limits), media_type="application/json")


@lru_cache(maxsize=16)
def _pose(path: Path, run: Path, name: str, run_name: str, limits: Limits) -> str:
    return Pose(**look("pose", [path, run], [name, run_name], limits)).model_dump_json()


@lru_cache(maxsize=16)
def _figure(path: Path, name: str, layout: str | None, limits: Limits) -> str:
    return Figure(**look("figure", [path], [name], limits, layout=layout)).model_dump_json()


@router.get(
    "/api/scores/{job_id}/page",
    responses=refusals(404, 409) | {200: {"content": {"application/pdf": {}}}},
    response_class=Response,
)
def page(hub: TheHub, job_id: Id) -> Response:
    """Return a finished score as one page of A4, a PDF."""
    job = hub.score(job_id)
    if job.result is None:
        raise HTTPException(409, job.problem or "this recording has not been scored yet")
    headers = {"Content-Disposition": 'attachment; filename="score.pdf"'}
    return Response(pdf(job, hub.cards.get(job.run)), media_type="application/pdf", headers=headers)


@router.get("/api/scores/{job_id}/playable", responses=refusals(400, 404, 503), response_class=FileResponse)
def playable(hub: TheHub, job_id: Id) -> FileResponse:
    """Return the video as H.264 in MP4 (or VP8 in WebM), upright and without sound, converted for this request."""
    return _converted(hub, hub.video(job_id), hub.score(job_id).name)


@router.get("/api/exemplar", responses=refusals(400, 404, 503), response_class=FileResponse, dependencies=[Owner])
def exemplar(
    hub: TheHub,
    run: Annotated[str, Query(max_length=200, description="name of a run")],
    sample: Annotated[str, Query(max_length=500, description="id of one of its training videos")],
) -> FileResponse:
    """Return a training video of a run in the same way; for the owner of the server only."""
    hub.card(run)
    try:
        path = learnt_from(hub.runs[run], sample)
    except DataError as error:
        raise HTTPException(404, str(error)) from None
    return _converted(hub, path, sample)


@router.get("/api/exemplars", responses=refusals(400, 404, 503), dependencies=[Owner])
def exemplars(
    hub: TheHub,
    run: Annotated[str, Query(max_length=200, description="name of a run")],
    sample: Annotated[list[str], Query(max_length=10, description="ids of some of its training recordings")],
) -> list[Glimpse]:
    """Return what training recordings of a run look like; for the owner of the server only."""
    card, found = hub.card(run), dict[str, Glimpse]()
    paths: dict[str, Path] = {}
    for one in dict.fromkeys(sample):
        try:
            paths[one] = learnt_from(hub.runs[run], one, card.reads)
        except DataError as error:
            found[one] = Glimpse(sample=one, problem=str(error))
    if paths:
        seen = _glimpses(tuple(paths.values()), tuple(paths), card.reads, card.layout, hub.limits)
        found |= {one.sample: one for one in seen}
    return [found[one] for one in dict.fromkeys(sample)]


@lru_cache(maxsize=32)
def _glimpses(
    paths: tuple[Path, ...], samples: tuple[str, ...], kind: str, layout: str | None, limits: Limits
) -> list[Glimpse]:
    told = look("glimpses", paths, samples, limits, kind=kind, layout=layout)
    return [Glimpse(**one) for one in told["found"]]


def _converted(hub: Hub, path: Path, name: str) -> FileResponse:
    folder = tempfile.TemporaryDirectory(prefix="playable-", dir=hub.videos.parent)
    out = Path(folder.name) / "video"
    try:
        told = look("transcode", [path, out], [name], hub.limits)
    except BaseException:
        folder.cleanup()
        raise
    return FileResponse(out, media_type=told["kind"], background=BackgroundTask(folder.cleanup))
