"""Runs the process of :mod:`.viewing`: what is looked at, and not scored, does not wait in the queue."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import HTTPException

from aqakit.web.limits import Limits

AT_ONCE = 2
PATIENCE = 20.0
"""Seconds to wait for one of these processes to end."""

MOST_WAITING = 8
"""Requests that may wait; each of them holds a thread of the server."""

_ONE = threading.BoundedSemaphore(AT_ONCE)
_ROOM = threading.BoundedSemaphore(AT_ONCE + MOST_WAITING)


def look(do: str, paths: Sequence[Path], names: Sequence[str], limits: Limits, **options: Any) -> dict[str, Any]:
    """Do a task of :mod:`.viewing` and return what it says.

    Args:
        do: its name there.
        paths: its arguments.
        names: by which the first of them are known to the visitor.
        limits: of one video.
        options: of the task.

    Raises:
        HTTPException: 503 if too many want the same; 400 if a recording cannot be read, or takes too long.
    """
    with _turn():
        told = {"limits": asdict(limits), "options": options}
        task = told | {"do": do, "paths": [str(path) for path in paths], "names": list(names)}
        answer = _answer([sys.executable, "-m", "aqakit.web.viewing", json.dumps(task)], limits.seconds)
    if "problem" in answer:
        raise HTTPException(400, answer["problem"])
    return answer


@contextmanager
def _turn() -> Iterator[None]:
    """Wait until fewer than :data:`AT_ONCE` others are at it."""
    busy = HTTPException(503, "others are looking at recordings at the moment; try again", {"Retry-After": "5"})
    if not _ROOM.acquire(blocking=False):
        raise busy
    try:
        if not _ONE.acquire(timeout=PATIENCE):
            raise busy
        try:
            yield
        finally:
            _ONE.release()
    finally:
        _ROOM.release()


def _answer(command: Sequence[str], seconds: float) -> dict[str, Any]:
    env = {name: value for name, value in os.environ.items() if name != "AQAKIT_TOKEN"}
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, timeout=seconds, env=env, start_new_session=True)
        told: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return {"problem": f"this took longer than {seconds:g} s and was stopped; give shorter or smaller recordings"}
    except ValueError:
        return {"problem": "a recording stopped the process that reads it; see the server's log"}
    return told
