"""Trains new runs from corrections and judgements, one at a time, in a process of its own that can be stopped."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aqakit.errors import AqakitError
from aqakit.web.cards import card
from aqakit.web.desk_models import Comparison, Improvement
from aqakit.web.learning import COMPARISON, family
from aqakit.web.limits import Limits
from aqakit.web.models import RunCard

log = logging.getLogger(__name__)

LONGEST = 6 * 3600.0
"""Seconds after which training is stopped."""


class Improver:
    """The improved runs of a folder, and the one in the making.

    Attributes:
        comparisons: of each improved run with the run that it was made from.

    Args:
        folder: of the improved runs, each in a folder of its name.
        limits: of the server.
        added: is told the name, folder and card of each new run.
    """

    def __init__(self, folder: Path, limits: Limits, added: Callable[[str, Path, RunCard], None]) -> None:
        self.folder, self.limits, self._added = folder, limits, added
        self.comparisons: dict[str, Comparison] = {}
        self._state = Improvement(status="none")
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        for one in sorted(folder.iterdir()) if folder.exists() else ():
            if (one / COMPARISON).exists():
                self._enter(one.name)
            else:  # the server ended while it was made
                shutil.rmtree(one, ignore_errors=True)

    @property
    def state(self) -> Improvement:
        """What is being made, or was made last."""
        return self._state

    def start(
        self, run: str, path: Path, videos: Path, rows: Sequence[Mapping[str, Any]], pairs: Sequence[Any]
    ) -> bool:
        """Begin to train; return False if that is already going on.

        Args:
            run: name of the run to improve.
            path: its folder.
            videos: folder of the videos, each under its id.
            rows: what the desk knows of them, the newest first.
            pairs: (better, worse, weight) by id.
        """
        with self._lock:
            if self._process is not None:
                return False
            name = self._free(run)
            task: dict[str, Any] = {
                "run": str(path),
                "out": str(self.folder / name),
                "name": name,
                "videos": str(videos),
            }
            task |= {"rows": list(rows), "pairs": list(pairs), "memory": self.limits.memory}
            self._state = Improvement(status="running", run=run, stage="starting")
            self._process = subprocess.Popen(
                [sys.executable, "-m", "aqakit.web.improving"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                start_new_session=True,
                env={key: value for key, value in os.environ.items() if key != "AQAKIT_TOKEN"},
            )
            threading.Thread(
                target=self._follow, args=(self._process, run, name, json.dumps(task)), daemon=True
            ).start()
            return True

    def stop(self) -> bool:
        """Stop training; return whether there was any."""
        process = self._process
        if process is None:
            return False
        process.kill()
        process.wait()
        return True

    def discard(self, name: str) -> None:
        """Delete an improved run."""
        self.comparisons.pop(name, None)
        shutil.rmtree(self.folder / name, ignore_errors=True)

    def _free(self, run: str) -> str:
        base = family(run)
        taken = {one.name for one in self.folder.iterdir()} if self.folder.exists() else set()
        return next(name for k in range(1, 10**6) if (name := f"{base}-improved-{k}") not in taken)

    def _follow(self, process: subprocess.Popen[str], run: str, name: str, task: str) -> None:
        ending = threading.Timer(LONGEST, process.kill)
        ending.start()
        problem = "it was stopped"
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(task + "\n")
            process.stdin.close()
            for line in process.stdout:
                message = json.loads(line)
                if "finished" in message:
                    problem = self._enter(name)
                elif "problem" in message:
                    problem = message["problem"]
                else:
                    self._state = Improvement(status="running", run=run, **message)
        except (OSError, ValueError) as error:
            log.warning("improving %s: %s", run, error)
        process.wait()
        ending.cancel()
        if problem:
            shutil.rmtree(self.folder / name, ignore_errors=True)
        done = Improvement(status="failed", run=run, problem=problem) if problem else None
        self._state = done or Improvement(status="finished", run=run, new=name, comparison=self.comparisons.get(name))
        self._process = None

    def _enter(self, name: str) -> str:
        """Serve a run that is complete; return why it cannot be served, or nothing."""
        path = self.folder / name / "run"
        try:
            told = json.loads((self.folder / name / COMPARISON).read_text(encoding="utf-8"))
            comparison = Comparison(**told)
            self._added(name, path, card(name, path))
            self.comparisons[name] = comparison
        except (AqakitError, OSError, ValueError) as error:
            log.warning("the improved run %s cannot be served: %s", name, error)
            return "the new run cannot be served; see the server's log"
        return ""
