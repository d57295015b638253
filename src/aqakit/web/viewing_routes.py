"""Endpoints for the eye: two videos paired in time, and a video that browsers can play."""

from __future__ import annotations

import tempfile
from pathlib import Path

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse, Response
from starlette.background import BackgroundTask

from aqakit.web.asking import Id, OtherId, TheHub, refusals
from aqakit.web.desk_models import Alignment
from aqakit.web.sheet import pdf
from aqakit.web.viewer import look

router = APIRouter()


@router.get("/api/alignment", responses=refusals(400, 404, 503))
def alignment(hub: TheHub, a: OtherId, b: OtherId) -> Alignment:
    """Pair the moments of two videos by what moves in them."""
    paths = [hub.video(one) for one in (a, b)]
    names = [hub.score(one).name for one in (a, b)]
    return Alignment(**look("align", paths, names, hub.limits))


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
    path, name = hub.video(job_id), hub.score(job_id).name
    folder = tempfile.TemporaryDirectory(prefix="playable-", dir=hub.videos.parent)
    out = Path(folder.name) / "video"
    try:
        told = look("transcode", [path, out], [name], hub.limits)
    except BaseException:
        folder.cleanup()
        raise
    return FileResponse(out, media_type=told["kind"], background=BackgroundTask(folder.cleanup))
