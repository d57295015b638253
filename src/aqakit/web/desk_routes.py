"""Endpoints of the desk: the list, and what is changed of a video afterwards."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from aqakit.web import desk, truth
from aqakit.web.asking import Id, Owner, TheHub, refusals
from aqakit.web.models import Change, Page, Score, Wanted

router = APIRouter()


@router.get("/api/scores", responses=refusals(), dependencies=[Owner])
def scores(hub: TheHub, wanted: Annotated[Wanted, Query()]) -> Page:
    """List what was scored, what failed and why, and what waits; for the owner of the server only."""
    return desk.listed(hub.jobs, wanted)


@router.patch("/api/scores/{job_id}", responses=refusals(400, 404, 409, 503, 507))
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
