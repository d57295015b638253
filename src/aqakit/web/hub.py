"""State shared by the endpoints: the queue, the folder of videos and the thread that scores them."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import HTTPException
from fastapi.concurrency import run_in_threadpool

from aqakit.errors import DataError, OptionError
from aqakit.web.improver import Improver
from aqakit.web.jobs import Jobs, new_id
from aqakit.web.limits import Limits
from aqakit.web.models import Health, Progress, RunCard, Score
from aqakit.web.scorer import Scorer
from aqakit.web.uploads import Uploads

_GONE = "there is no score with this id; it was deleted, or it expired after some weeks"


class Hub:
    """The state of one server; created by :meth:`open`."""

    def __init__(self, folder: Path, runs: Mapping[str, Path], cards: Mapping[str, RunCard], limits: Limits) -> None:
        self.cards, self.limits, self.runs = dict(cards), limits, dict(runs)
        self.videos = folder / "videos"
        self.videos.mkdir(mode=0o700, exist_ok=True)
        self.videos.chmod(0o700)
        self.jobs = Jobs(folder / "jobs.sqlite")
        kept = self.jobs.kept()
        for file in self.videos.iterdir():  # first, since a full disk may need the space
            if file.name not in kept:  # of an upload interrupted by the end of the server
                file.unlink()
        self.jobs.recover()
        self.uploads = Uploads(self.jobs, self.videos, limits)
        lost: set[str] = set()
        self._chosen = next((row[0] for row in self.jobs.read("SELECT run FROM chosen")), None)
        self.improver = Improver(folder / "improved", limits, self._serve)
        self.scorers = [Scorer(self.jobs, self.videos, self.runs, limits, k, lost) for k in range(limits.workers)]

    def _serve(self, name: str, path: Path, card: RunCard) -> None:
        self.runs[name], self.cards[name] = path, card

    def discard(self, name: str) -> None:
        """Stop serving a run that was made on the page, and delete it; or raise 404."""
        if name not in self.improver.comparisons:
            raise HTTPException(404, f"there is no run {name!r} that was made on this page")
        self.runs.pop(name, None)
        self.cards.pop(name, None)
        self.jobs.change("DELETE FROM chosen WHERE run = ?", name)
        self.improver.discard(name)

    @property
    def chosen(self) -> str | None:
        """The run that the owner chose to use, if it is served; in memory, so that nobody waits for it."""
        return self._chosen if self._chosen in self.cards else None

    def choose(self, run: str) -> None:
        """Use a run from now on, or raise 404."""
        self.card(run)
        self.jobs.change("INSERT OR REPLACE INTO chosen VALUES (1, ?)", run)
        self._chosen = run

    @classmethod
    @contextmanager
    def open(
        cls, folder: Path, runs: Mapping[str, Path], cards: Mapping[str, RunCard], limits: Limits
    ) -> Iterator[Hub]:
        """Open a folder exclusively and continue its queue.

        Raises:
            OptionError: another server uses the folder, or it cannot be used.
        """
        try:
            lock = _lock(folder)
        except BlockingIOError:
            raise OptionError(f"{folder}: another server uses this folder; choose one with --folder") from None
        except OSError as error:
            raise _unusable(folder, error) from None
        try:
            try:
                hub = cls(folder, runs, cards, limits)
            except DataError as error:
                raise OptionError(str(error)) from None
            except OSError as error:
                raise _unusable(folder, error) from None
            except sqlite3.Error as error:
                raise OptionError(f"{folder}: the queue cannot be written ({error})") from None
            for scorer in hub.scorers:
                scorer.start()
            try:
                yield hub
            finally:
                hub.close()
        finally:
            os.close(lock)

    def close(self) -> None:
        """Stop the workers and close the queue; a second time, do nothing."""
        self.improver.stop()
        for scorer in self.scorers:
            scorer.halt()
        for scorer in self.scorers:
            scorer.join(timeout=10)
        self.jobs.close()

    def health(self) -> Health:
        """Return whether videos are scored and scores are stored; this waits for nothing."""
        problem = next((scorer.problem for scorer in self.scorers if scorer.problem), "")
        if not all(scorer.is_alive() for scorer in self.scorers):
            problem = "the thread that scores videos has ended; restart the server"
        waiting = self.jobs.usage.waiting
        return Health(status="degraded" if problem else "ok", waiting=waiting, problem=problem or None)

    def card(self, run: str) -> RunCard:
        """Return a run, or raise 404."""
        if run not in self.cards:
            raise HTTPException(404, f"there is no run {run!r}; available: {', '.join(self.cards)}")
        return self.cards[run]

    def score(self, job_id: str) -> Score:
        """Return the progress of a video, or raise 404; quick, since it waits for no change of the queue."""
        job = self.jobs.get(job_id)
        if job is None:
            raise HTTPException(404, _GONE)
        seen = [scorer.progress.get(job_id) for scorer in self.scorers] if job.status == "scoring" else []
        done = next(filter(None, seen), None)
        shown = {name: getattr(job, name) for name in Score.model_fields if hasattr(job, name)}
        lists = {
            "tags": list(filter(None, job.tags.split(","))),
            "judges": [float(mark) for mark in job.judges.split()],
        }
        return Score(
            **shown | lists,
            waiting=self.jobs.waiting(),
            progress=Progress(done=done[0], total=done[1]) if done else None,
        )

    def delete(self, job_id: str) -> None:
        """Delete a video and its score, or raise 404; later messages of the worker about it are ignored."""
        self.score(job_id)
        (self.videos / job_id).unlink(missing_ok=True)  # first, since on a full disk nothing else makes space
        if not self.jobs.delete(job_id):
            raise HTTPException(404, _GONE)

    def delete_everything(self) -> None:
        """Delete all videos, scores and judgements."""
        for file in self.videos.iterdir():  # first, as above
            if file.name in self.jobs.kept():
                file.unlink(missing_ok=True)
        self.jobs.change("DELETE FROM jobs")

    def video(self, job_id: str) -> Path:
        """Return the uploaded file, or raise 404."""
        if not self.score(job_id).video or not (self.videos / job_id).exists():
            raise HTTPException(404, "this video was removed; its score is still there")
        return self.videos / job_id

    async def receive(
        self,
        body: AsyncIterator[bytes],
        promised: int,
        name: str,
        row: Mapping[str, Any],
    ) -> Score:
        """Write a video to disk as it arrives, and put it in the queue; ``row`` is what else is known of it."""
        job_id = new_id()
        shown = "".join(c for c in name if c.isprintable()) or "video"
        async with self.uploads.receive(body, promised, self.videos / job_id, row["client"]) as size:
            given = dict(row)
            run, difficulty = given.pop("run"), given.pop("difficulty")
            await run_in_threadpool(partial(self.jobs.add, shown, run, difficulty, size, job_id=job_id, **given))
        self.wake()
        return self.score(job_id)

    def wake(self) -> None:
        """Tell the scorers that something is in the queue."""
        for scorer in self.scorers:
            scorer.wake()


def _lock(folder: Path) -> int:
    """Make the folder if need be, keep it from other users, and return the descriptor that holds its lock."""
    umask = os.umask(0o077)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "lock").exists() or not any(folder.iterdir()):  # it is ours, and not one with other things in it
            with suppress(PermissionError):  # of another owner
                folder.chmod(0o700)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    finally:
        os.umask(umask)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock


def _unusable(folder: Path, error: OSError) -> OptionError:
    place = error.filename or folder
    if isinstance(error, FileExistsError):
        return OptionError(f"{place} is a file; choose a folder with --folder")
    return OptionError(f"{place}: {error.strerror or error}; choose another folder with --folder")
