"""Endpoints of the desk: the list, and what is changed of a video afterwards."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from fastapi import Path as InPath
from fastapi.responses import StreamingResponse

from aqakit.web import desk, export, pairs, truth
from aqakit.web.asking import Id, Owner, TheHub, refusals
from aqakit.web.desk_models import Change, Judgement, Page, Teaching, Wanted
from aqakit.web.models import Score

router = APIRouter()

CONFIRM = "delete everything"


@router.get("/api/scores", responses=refusals(), dependencies=[Owner])
def scores(hub: TheHub, wanted: Annotated[Wanted, Query()]) -> Page:
    """List what was scored, what failed and why, and what waits; for the owner of the server only."""
    return desk.listed(hub.jobs, wanted)


@router.get(
    "/api/export",
    responses=refusals() | {200: {"content": {"application/zip": {}}}},
    response_class=StreamingResponse,
    dependencies=[Owner],
)
def everything(hub: TheHub, videos: bool = False, runs: bool = False) -> StreamingResponse:
    """Return all scores and judgements as a ZIP archive; with the videos, a manifest to train on, or the runs."""
    parts = export.archive(hub.jobs, hub.cards, hub.videos if videos else None, hub.runs if runs else None)
    headers = {"Content-Disposition": 'attachment; filename="aqakit-desk.zip"'}
    return StreamingResponse(parts, media_type="application/zip", headers=headers)


@router.delete("/api/scores", status_code=204, responses=refusals(400, 503, 507), dependencies=[Owner])
def delete_everything(
    hub: TheHub, confirm: Annotated[str, Query(max_length=100, description=f"the words {CONFIRM!r}")]
) -> None:
    """Delete all videos, scores and judgements permanently; runs stay."""
    if confirm != CONFIRM:
        raise HTTPException(400, f"to delete all videos, scores and judgements, confirm with the words: {CONFIRM}")
    hub.delete_everything()


@router.get("/api/pairs", responses=refusals(404), dependencies=[Owner])
def teaching(
    hub: TheHub,
    run: Annotated[str, Query(max_length=200)],
    skip: Annotated[list[str], Query(max_length=1000, description="two ids with a point between them")] = [],  # noqa: B006
) -> Teaching:
    """Return which two videos of a run to compare next, what was judged, and what contradicts."""
    hub.card(run)
    return pairs.teaching(hub.jobs, run, {frozenset(pair.split(".")) for pair in skip})


@router.post("/api/pairs", status_code=201, responses=refusals(400, 404, 413, 503, 507), dependencies=[Owner])
def judge(hub: TheHub, judgement: Judgement) -> None:
    """Store which of two videos was better."""
    if judgement.first == judgement.second:
        raise HTTPException(400, "these are not two videos")
    if not pairs.add(hub.jobs, judgement):
        raise HTTPException(404, "one of these videos was deleted")


@router.delete("/api/pairs/{number}", status_code=204, responses=refusals(404, 503, 507), dependencies=[Owner])
def unjudge(hub: TheHub, number: Annotated[int, InPath(ge=1, le=2**53)]) -> None:
    """Take a judgement back."""
    if not pairs.remove(hub.jobs, number):
        raise HTTPException(404, "there is no such judgement")


@router.patch("/api/scores/{job_id}", responses=refusals(400, 404, 409, 413, 503, 507))
def change(hub: TheHub, job_id: Id, changes: Change) -> Score:
    """Change what is written of a video, its difficulty, or its true score; what is absent stays."""
    job = hub.score(job_id)
    given = changes.model_fields_set
    new = desk.columns(changes, given & {"athlete", "date", "tags", "notes"})
    again = truth.rescored(hub, job, changes) if "difficulty" in given else False
    new |= truth.columns(hub.cards.get(job.run), job, changes)
    desk.edit(hub.jobs, job_id, new, again=again)
    if again:
        hub.wake()
    return hub.score(job_id)
