"""A server thread that passes videos one by one to its worker process, and replaces it when it dies."""

from __future__ import annotations

import json
import logging
import math
import os
import queue
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aqakit.web.job import Job
from aqakit.web.jobs import Jobs
from aqakit.web.limits import Limits

log = logging.getLogger(__name__)

TIDY_EVERY = 60.0
AGAIN_AFTER = 1.0
"""Seconds until what failed for a reason outside the video is tried again."""


class Scorer(threading.Thread):
    """Takes videos from the queue until the server ends.

    Attributes:
        progress: finished clips and their total, by job.
        problem: why no video can be scored at the moment, in one sentence; empty if all is well.

    Args:
        jobs: the queue.
        videos: folder of the uploaded files, each under the id of its job.
        runs: run folders by name; more may be added later.
        limits: limits of one video.
        number: of this thread among those of the server; the first one removes old videos.
        lost: jobs with which a worker of any thread died.
    """

    def __init__(
        self, jobs: Jobs, videos: Path, runs: Mapping[str, Path], limits: Limits, number: int, lost: set[str]
    ) -> None:
        super().__init__(name=f"scorer {number}", daemon=True)
        self.jobs, self.videos, self.runs, self.limits = jobs, videos, runs, limits
        self.progress: dict[str, tuple[int, int]] = {}
        self.problem = ""
        self._wake, self._stopped = threading.Event(), threading.Event()
        self._worker: Worker | None = None
        self._tidied = 0.0 if number == 0 else math.inf
        self._lost = lost

    @property
    def worker_id(self) -> int | None:
        """Process id of the worker; None before its start."""
        return self._worker.process.pid if self._worker else None

    def wake(self) -> None:
        """Signal that there is a video in the queue."""
        self._wake.set()

    def halt(self) -> None:
        """Stop the worker and let the thread end; the video being scored is scored again after the next start."""
        self._stopped.set()
        self._wake.set()
        if self._worker:
            self._worker.kill()

    def run(self) -> None:
        """Score videos until :meth:`halt`."""
        while not self._stopped.is_set():
            try:
                self._step()
            except (sqlite3.Error, OSError) as error:
                self._report(f"the queue cannot be processed ({error})")
            except Exception:  # whatever it is, it must not end the thread
                log.exception("the queue cannot be processed")
                self._report("the queue cannot be processed; see the server's log")

    def _step(self) -> None:
        worker = self._ready_worker()
        if worker is None:
            return
        if time.monotonic() > self._tidied + TIDY_EVERY:
            for gone in self.jobs.expired(self.limits.keep):  # first, since on a full disk nothing else makes space
                (self.videos / gone).unlink(missing_ok=True)
            self.jobs.expire(self.limits.keep, self.limits.forget)
            self._tidied = time.monotonic()
        job = self.jobs.take()
        self.problem = ""
        if job:
            self._score(job, worker)
        else:
            self._wake.wait(1.0)
            self._wake.clear()

    def _ready_worker(self) -> Worker | None:
        """Return a worker that waits for videos; None if there is none yet, in which case no video may be taken."""
        ended = self._worker is not None and self._worker.process.poll() is not None
        if self._worker and ended and not self._worker.ready.is_set():
            self._report(f"the process that scores videos does not start ({self._worker.end()}); see the server's log")
        if self._worker is None or ended:
            self._worker = Worker(self.runs, self.limits)
        return self._worker if self._worker.ready.wait(0.2) else None

    def _report(self, problem: str) -> None:
        """Tell a problem, once in the log and always to :attr:`problem`, and wait before the next try."""
        if problem != self.problem:
            log.error("%s", problem)
        self.problem = problem
        self._stopped.wait(AGAIN_AFTER)

    def _keep(self, change: Callable[..., None], job: Job, *what: Any) -> None:
        """Store what became of a video, as soon as it is possible; if the server ends before, it is scored again."""
        while True:
            try:
                change(job.id, *what)
            except sqlite3.Error as error:
                self._report(f"the score of a video cannot be stored ({error}); trying again")
                if self._stopped.is_set():
                    return
            else:
                self.problem = ""
                return

    def _score(self, job: Job, worker: Worker) -> None:
        if job.run not in self.runs:
            return self._keep(self.jobs.fail, job, f"{job.name}: run {job.run} is no longer served")
        for message in worker.ask(job, self.videos / job.id):
            if "result" in message:
                self._keep(self.jobs.finish, job, message["result"])
            elif "problem" in message:
                self._keep(self.jobs.fail, job, message["problem"])
            else:
                self.progress = {job.id: (message["done"], message["total"])}
        if worker.failure and not self._stopped.is_set():
            log.warning("job %s: %s", job.id, worker.failure)
        again = self._stopped.is_set() or (
            worker.died and job.id not in self._lost
        )  # perhaps killed for another's memory
        if worker.failure and again:
            self._lost.add(job.id)
            self._keep(self.jobs.release, job)
        elif worker.failure:
            self._keep(self.jobs.fail, job, f"{job.name}: {worker.failure}")
        self.progress = {}
        return None


class Worker:
    """One worker process.

    Attributes:
        failure: why there was no answer; empty if there was no failure.
        died: whether the reason is that the process ended by itself or was killed by another.
        ready: set as soon as it waits for videos.
    """

    def __init__(self, runs: Mapping[str, Path], limits: Limits) -> None:
        options = json.dumps({"limits": asdict(limits)})
        self._runs = runs
        self.limit = limits.seconds
        self.failure, self.died = "", False
        self.ready = threading.Event()
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
            run = {"run": job.run, "folder": str(self._runs[job.run])}
            self._send({"path": str(path), "name": job.name, "difficulty": job.difficulty, **run})
            while (message := self._messages.get(timeout=max(0.0, deadline - time.monotonic()))) is not None:
                yield message
                if "result" in message or "problem" in message:
                    if message.get("last"):
                        self.kill()
                    return
            self.failure = f"the scoring process stopped ({self.end()}); other videos are not affected, try again"
            self.died = True
        except queue.Empty:
            self.failure = f"scoring took longer than {self.limit:g} s and was stopped; give a shorter or smaller video"
        except OSError:
            self.failure = f"the scoring process had already stopped ({self.end()}); try again"
            self.died = True
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
                message = json.loads(line)
            except ValueError:
                break
            if "ready" in message:
                self.ready.set()
            else:
                self._messages.put(message)
        self._messages.put(None)

    def end(self) -> str:
        """Return how the process ended."""
        try:
            code = self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:  # it is alive, and wrote something that is not JSON
            self.kill()
            return "invalid output"
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"
