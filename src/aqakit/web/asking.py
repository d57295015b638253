"""What the endpoints have in common: the hub, ids, refusals, and who owns the desk."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Query, Request
from fastapi import Path as InPath

from aqakit.web.desk import check_owner
from aqakit.web.hub import Hub
from aqakit.web.models import Problem


async def _hub(request: Request) -> Hub:  # async, since otherwise it waits for a thread
    hub: Hub = request.app.state.hub
    return hub


async def _owner(request: Request) -> None:
    check_owner(request)


PATTERN = "^[A-Za-z0-9_-]{22}$"
TheHub = Annotated[Hub, Depends(_hub)]
Id = Annotated[str, InPath(pattern=PATTERN, description="id returned by the upload")]
OtherId = Annotated[str, Query(pattern=PATTERN, description="id returned by the upload")]
Owner = Depends(_owner)


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the errors of an endpoint."""
    return {status: {"model": Problem} for status in (401, 403, *statuses)}
