"""One video of the queue, as a row of its table holds it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["queued", "scoring", "finished", "failed"]

LEVEL = 0.9
"""Of the interval that a list shows."""


@dataclass(frozen=True)
class Job:
    """One video.

    Attributes:
        id: random; whoever knows it may see the answer.
        name: of the file on the visitor's machine; shown, never used as a path.
        run: name of the run that scores it.
        difficulty: declared difficulty; None if not given.
        status: queued, scoring, finished or failed.
        created, finished: seconds since 1970.
        ahead: number of videos before it in the queue.
        video: whether its file is still kept.
        result: the answer, if finished.
        problem: one sentence, if failed.
        athlete, date, tags, notes: what the visitor wrote of it; tags are separated by commas, a date is ISO 8601.
        truth: the true score, told afterwards; None if unknown.
        judges: the marks behind it, separated by spaces; empty if unknown.
    """

    id: str
    name: str
    run: str
    difficulty: float | None
    status: Status
    created: float
    finished: float | None
    ahead: int
    video: bool
    result: dict[str, Any] | None
    problem: str | None
    athlete: str = ""
    date: str = ""
    tags: str = ""
    notes: str = ""
    truth: float | None = None
    judges: str = ""


@dataclass(frozen=True)
class Usage:
    """What the queue holds.

    Attributes:
        waiting: videos that wait or are being scored.
        stored: total size in bytes of all videos still kept.
        by_client: waiting videos of each client.
    """

    waiting: int
    stored: int
    by_client: Mapping[str, int]


def told_by(result: Mapping[str, Any]) -> dict[str, object]:
    """Return the numbers of an answer that a list shows and sorts by."""
    ninety: Mapping[str, Any] = next((one for one in result.get("intervals", ()) if one["level"] == LEVEL), {})
    told = {name: result.get(name) for name in ("score", "std")}
    return {**told, "low": ninety.get("low"), "high": ninety.get("high"), "unit": result.get("unit", "")}


def job_of(row: sqlite3.Row) -> Job:
    """Return the video of a row of the table, to which ``ahead`` and ``result`` were added."""
    values = {name: row[name] for name in Job.__dataclass_fields__}
    result = json.loads(row["result"]) if row["result"] and row["status"] == "finished" else None
    return Job(**{**values, "result": result, "video": bool(row["video"])})
