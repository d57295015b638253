"""The list of all that was scored, and what is written of a video afterwards."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.requests import Request

from aqakit.web.desk_models import Details, Page, Row, Wanted
from aqakit.web.guard import is_address
from aqakit.web.jobs import Jobs
from aqakit.web.schema import LISTED

REFUSED = (
    "this server does not list its scores, since anyone may use it; set a token with --token or AQAKIT_TOKEN, or let "
    "it listen on this machine only (--host 127.0.0.1), and call it without a proxy"
)

_ORDER = {
    "created": "number",
    "error": "ABS(score - truth)",
    "state": "status",
    **{name: f"fold({name})" for name in ("name", "run", "athlete")},
}
_NAMES = (
    "fold(name || char(10) || athlete || char(10) || tags || char(10) || notes || char(10) || COALESCE(problem, ''))"
)
_STATES = {
    "waiting": "status IN ('queued', 'scoring')",
    "finished": "status = 'finished'",
    "failed": "status = 'failed'",
    "corrected": "truth IS NOT NULL",
}
_FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


def check_owner(request: Request) -> None:
    """Let only those see the list to whom all of it belongs: who has the token, or sits at this machine.

    Raises:
        HTTPException: 403, with what to do about it.
    """
    if not is_owner(request):
        raise HTTPException(403, REFUSED)


def is_owner(request: Request) -> bool:
    """Whether a visitor whom the guard has let pass may see everything."""
    state = request.app.state
    if state.token is not None:
        return True
    client = request.client.host if request.client else ""
    proxied = any(name in request.headers for name in _FORWARDED)
    return state.local and not proxied and _is_loopback(client) and _is_loopback(request.url.hostname or "")


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or (is_address(host) and host.startswith("127."))


def listed(jobs: Jobs, wanted: Wanted) -> Page:
    """Return a part of the list; what has no value in the sorted column comes last."""
    where, values = _filters(wanted)
    way = "DESC" if wanted.order == "desc" else "ASC"
    column = _ORDER.get(wanted.sort, wanted.sort)
    last = "" if column == "number" else f"{column} IS NULL OR {column} = '', {column} {way}, "
    order = f"ORDER BY {last}number {way} LIMIT ? OFFSET ?"
    found = jobs.read(f"SELECT number FROM jobs WHERE {where} {order}", *values, wanted.limit, wanted.offset)
    (total,) = jobs.read(f"SELECT COUNT(*) FROM jobs WHERE {where}", *values)
    numbers = [row[0] for row in found]  # first these alone, since whole rows are slow to sort
    marks = ", ".join("?" * len(numbers))
    rows = {row["number"]: row for row in jobs.read(f"SELECT * FROM jobs WHERE number IN ({marks})", *numbers)}
    athletes = [row[0] for row in jobs.read("SELECT DISTINCT athlete FROM jobs WHERE athlete > '' ORDER BY athlete")]
    tags = {tag for row in jobs.read("SELECT DISTINCT tags FROM jobs WHERE tags > ''") for tag in row[0].split(",")}
    shown = [row_of(rows[number]) for number in numbers if number in rows]
    return Page(
        total=total[0], offset=wanted.offset, rows=shown, athletes=athletes, tags=sorted(tags, key=str.casefold)
    )


def _filters(wanted: Wanted) -> tuple[str, list[object]]:
    found: list[tuple[str, object]] = [("run = ?", wanted.run)] if wanted.run else []
    if wanted.athlete:
        found.append(("fold(athlete) = ?", wanted.athlete.casefold()))
    if wanted.tag:
        found.append(("instr(',' || fold(tags) || ',', ?)", f",{wanted.tag.casefold()},"))
    found += [(f"instr({_NAMES}, ?)", word) for word in wanted.q.casefold().split()]
    clauses = [clause for clause, _ in found] + ([_STATES[wanted.state]] if wanted.state else [])
    return " AND ".join(clauses) or "1", [value for _, value in found]


def row_of(row: sqlite3.Row) -> Row:
    """A row of the list, from one of the table."""
    values: dict[str, Any] = {name: row[name] for name in LISTED}
    tags = values["tags"].split(",") if values["tags"] else []
    return Row(**{**values, "tags": tags, "judges": marks_of(values["judges"]), "video": bool(values["video"])})


def marks_of(text: str) -> list[float]:
    """The judges' marks as they are stored."""
    return [float(mark) for mark in text.split()]


def written(**given: str) -> Details:
    """Check what a visitor wrote of a video.

    Raises:
        HTTPException: 422, with what is wrong.
    """
    try:
        return Details.model_validate(given)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False, include_context=False)) from None


def columns(details: Details, given: set[str] | None = None) -> dict[str, object]:
    """What a visitor wrote, as columns of the table: that which was ``given``, or all."""
    found = details.model_dump(include=given)
    if "tags" in found:
        found["tags"] = ",".join(found["tags"])
    if "date" in found:
        found["date"] = found["date"].isoformat() if found["date"] else ""
    return found


def edit(jobs: Jobs, job_id: str, changes: Mapping[str, object], *, again: bool) -> None:
    """Set columns of a video, and put it back in the queue if it must be scored ``again``."""
    now = dict(changes) | ({"status": "queued", "attempts": 0, "ended": None} if again else {})
    if now:
        sets = ", ".join(f"{name} = ?" for name in now)
        jobs.change(f"UPDATE jobs SET {sets} WHERE id = ?", *now.values(), job_id)
