"""Runs the process of :mod:`.viewing`: what is looked at, and not scored, does not wait in the queue."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import HTTPException

from aqakit.web.limits import Limits

AT_ONCE = 2
PATIENCE = 5.0
"""Seconds to wait for one of these processes to end."""

_ONE = threading.BoundedSemaphore(AT_ONCE)


def look(do: str, paths: Sequence[Path], names: Sequence[str], limits: Limits) -> dict[str, Any]:
    """Do a task of :mod:`.viewing` and return what it says.

    Args:
        do: ``align`` or ``transcode``.
        paths: its arguments.
        names: by which the first of them are known to the visitor.
        limits: of one video.

    Raises:
        HTTPException: 503 if too many want the same; 400 if a video cannot be read, or takes too long.
    """
    if not _ONE.acquire(timeout=PATIENCE):
        raise HTTPException(
            503, "others are comparing or converting videos at the moment; try again", {"Retry-After": "5"}
        )
    try:
        task = {"do": do, "paths": [str(path) for path in paths], "names": list(names), "limits": asdict(limits)}
        told = _answer([sys.executable, "-m", "aqakit.web.viewing", json.dumps(task)], limits.seconds)
    finally:
        _ONE.release()
    if "problem" in told:
        raise HTTPException(400, told["problem"])
    return told


def _answer(command: Sequence[str], seconds: float) -> dict[str, Any]:
    env = {name: value for name, value in os.environ.items() if name != "AQAKIT_TOKEN"}
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, timeout=seconds, env=env, start_new_session=True)
        told: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return {"problem": f"this took longer than {seconds:g} s and was stopped; give shorter or smaller videos"}
    except ValueError:
        return {"problem": "a video stopped the process that reads it; see the server's log"}
    return told
