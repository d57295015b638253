"""Endpoints that make a new run of corrections and judgements, and choose which run is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query

from aqakit.errors import AqakitError
from aqakit.training.run import Run
from aqakit.web import learning
from aqakit.web.asking import Owner, TheHub, refusals
from aqakit.web.desk import row_of
from aqakit.web.desk_models import Improvement, Judged, Row
from aqakit.web.hub import Hub
from aqakit.web.learning import family
from aqakit.web.pairs import directed, judged
from aqakit.web.schema import LISTED

router = APIRouter(dependencies=[Owner])

Name = Annotated[str, Query(max_length=200, description="name of a run")]


@router.get("/api/improvement", responses=refusals())
def improvement(hub: TheHub, run: Name) -> Improvement:
    """Return how far the new run is, and how much a run could learn."""
    rows = _rows(hub, run)
    corrected = sum(row.truth is not None for row in rows)
    return hub.improver.state.model_copy(update={"corrected": corrected, "judged": len(_pairs(hub, rows))})


@router.post("/api/improvement", status_code=202, responses=refusals(400, 404, 409))
def improve(hub: TheHub, run: Name) -> Improvement:
    """Begin to train a run anew with the corrected and compared videos; the old run stays as it is."""
    hub.card(run)
    try:
        learning.check(Run.load(hub.runs[run]))
    except AqakitError as error:
        raise HTTPException(400, str(error).replace(str(hub.runs[run]), run)) from None
    rows = _rows(hub, run)
    items = [row.id for row in rows]
    pairs = [(items[better], items[worse], weight) for better, worse, weight in directed(_pairs(hub, rows), items)]
    if not pairs and all(row.truth is None for row in rows):
        raise HTTPException(
            400, "there is nothing to learn from yet; tell true scores in the list, or compare recordings"
        )
    told = [row.model_dump() for row in rows]
    if not hub.improver.start(run, hub.runs[run], hub.videos, told, pairs):
        raise HTTPException(409, "a run is being improved already; wait for it, or stop it")
    return improvement(hub, run)


@router.delete("/api/improvement", status_code=204, responses=refusals(404))
def stop(hub: TheHub) -> None:
    """Stop training; what was trained so far is deleted."""
    if not hub.improver.stop():
        raise HTTPException(404, "no run is being improved")


@router.put("/api/chosen", status_code=204, responses=refusals(404, 503, 507))
def choose(hub: TheHub, run: Name) -> None:
    """Choose the run that the page uses from now on."""
    hub.choose(run)


@router.delete("/api/improved", status_code=204, responses=refusals(404, 503, 507))
def discard(hub: TheHub, run: Name) -> None:
    """Delete a run that was made on this page."""
    hub.discard(run)


def _rows(hub: Hub, run: str) -> list[Row]:
    """The videos of a run, and of those made from it, that are kept; the newest first."""
    query = f"SELECT {', '.join(LISTED)} FROM jobs WHERE video AND status = 'finished' ORDER BY number DESC"
    return [row for row in map(row_of, hub.jobs.read(query)) if family(row.run) == family(run)]


def _pairs(hub: Hub, rows: Sequence[Row]) -> list[Judged]:
    """The judgements of two of these videos."""
    there = {row.id for row in rows}
    return [pair for pair in judged(hub.jobs) if {pair.first, pair.second} <= there]
