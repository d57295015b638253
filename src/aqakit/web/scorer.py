"""The server thread that passes videos one by one to the worker process, and replaces it when it dies."""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aqakit.web.jobs import Job, Jobs
from aqakit.web.limits import Limits

log = logging.getLogger(__name__)

TIDY_EVERY = 60.0


class Scorer(threading.Thread):
    """Takes videos from the queue until the server ends.

    Args:
        jobs: the queue.
        videos: folder of the uploaded files, each under the id of its job.
        runs: run folders by name.
        limits: limits of one video.
    """

    def __init__(self, jobs: Jobs, videos: Path, runs: Mapping[str, Path], limits: Limits) -> None:
        super().__init__(name="scorer", daemon=True)
        self.jobs, self.videos, self.runs, self.limits = jobs, videos, dict(runs), limits
        self.progress: dict[str, tuple[int, int]] = {}
        self._wake, self._stopped = threading.Event(), threading.Event()
        self._worker: Worker | None = None
        self._tidied = 0.0

    @property
    def worker_id(self) -> int | None:
        """Process id of the worker; None before its start."""
        return self._worker.process.pid if self._worker else None

    def wake(self) -> None:
        """Signal that there is a video in the queue."""
        self._wake.set()

    def stop(self) -> None:
        """Stop the worker and the thread; the video being scored is scored again after the next start."""
        self._stopped.set()
        self._wake.set()
        if self._worker:
            self._worker.kill()
        self.join(timeout=10)

    def run(self) -> None:
        """Score videos until :meth:`stop`."""
        while not self._stopped.is_set():
            try:
                self._step()
            except Exception:  # a full disk must not end the thread
                log.exception("the queue could not be processed")
                self._stopped.wait(1.0)

    def _step(self) -> None:
        if self._worker is None or self._worker.process.poll() is not None:
            self._worker = Worker(self.runs, self.limits)
        if time.monotonic() > self._tidied + TIDY_EVERY:
            self._tidied = time.monotonic()
            for gone in self.jobs.expire(self.limits.keep, self.limits.forget):
                (self.videos / gone).unlink(missing_ok=True)
        job = self.jobs.take()
        if job:
            self._score(job, self._worker)
        else:
            self._wake.wait(1.0)
            self._wake.clear()

    def _score(self, job: Job, worker: Worker) -> None:
        path = self.videos / job.id
        if job.run not in self.runs:
            return self.jobs.fail(job.id, f"{job.name}: run {job.run} is no longer served")
        for message in worker.ask(job, path):
            if "result" in message:
                self.jobs.finish(job.id, message["result"])
            elif "problem" in message:
                self.jobs.fail(job.id, message["problem"])
            else:
                self.progress = {job.id: (message["done"], message["total"])}
        if worker.failure and self._stopped.is_set():
            self.jobs.release(job.id)
        elif worker.failure:
            log.warning("job %s: %s", job.id, worker.failure)
            self.jobs.fail(job.id, f"{job.name}: {worker.failure}")
        self.progress = {}
        return None


class Worker:
    """One worker process.

    Attributes:
        failure: why there was no answer; empty if there was no failure.
    """

    def __init__(self, runs: Mapping[str, Path], limits: Limits) -> None:
        options = json.dumps({"runs": {name: str(path) for name, path in runs.items()}, "limits": asdict(limits)})
        self.limit = limits.seconds
        self.failure = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "aqakit.web.worker", options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C stops the server, which then stops the worker
            env={name: value for name, value in os.environ.items() if name != "AQAKIT_TOKEN"},
        )
        self._messages: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def ask(self, job: Job, path: Path) -> Iterator[dict[str, Any]]:
        """Yield the messages on one video, the answer last. Without an answer, kill the process and set ``failure``."""
        deadline = time.monotonic() + self.limit
        try:
            self._send({"path": str(path), "name": job.name, "run": job.run, "difficulty": job.difficulty})
            while (message := self._messages.get(timeout=max(0.0, deadline - time.monotonic()))) is not None:
                if "ready" in message:
                    continue
                yield message
                if "result" in message or "problem" in message:
                    if message.get("last"):
                        self.kill()
                    return
            self.failure = f"the scoring process stopped ({self._end()}); other videos are not affected, try again"
        except queue.Empty:
            self.failure = f"scoring took longer than {self.limit:g} s and was stopped; give a shorter or smaller video"
        except OSError:
            self.failure = f"the scoring process had already stopped ({self._end()}); try again"
        self.kill()

    def kill(self) -> None:
        """Kill the process."""
        self.process.kill()
        self.process.wait()

    def _send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                self._messages.put(json.loads(line))
            except ValueError:
                break
        self._messages.put(None)

    def _end(self) -> str:
        try:
            code = self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:  # it is alive, and wrote something that is not JSON
            self.kill()
            return "invalid output"
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"
