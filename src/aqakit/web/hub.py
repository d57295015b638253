"""State shared by the endpoints: the queue, the folder of videos and the thread that scores them."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from fastapi import HTTPException
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from aqakit.errors import OptionError
from aqakit.web.jobs import Jobs, new_id
from aqakit.web.limits import MEGABYTE, Limits
from aqakit.web.models import Progress, RunCard, Score
from aqakit.web.scorer import Scorer

UPLOAD_SECONDS = 1800.0
"""Maximum duration of an upload in seconds."""

_GONE = "there is no score with this id; it was deleted, or it expired after some weeks"


class Hub:
    """The state of one server; created by :meth:`open`."""

    def __init__(self, folder: Path, runs: Mapping[str, Path], cards: Mapping[str, RunCard], limits: Limits) -> None:
        self.cards, self.limits = cards, limits
        self.videos = folder / "videos"
        self.videos.mkdir(exist_ok=True)
        self.jobs = Jobs(folder / "jobs.sqlite")
        self.jobs.recover()
        kept = self.jobs.kept()
        for file in self.videos.iterdir():
            if file.name not in kept:  # of an upload interrupted by the end of the server
                file.unlink()
        self.scorer = Scorer(self.jobs, self.videos, runs, limits)
        self._arriving = 0

    @classmethod
    @contextmanager
    def open(
        cls, folder: Path, runs: Mapping[str, Path], cards: Mapping[str, RunCard], limits: Limits
    ) -> Iterator[Hub]:
        """Open a folder exclusively and continue its queue.

        Raises:
            OptionError: another server uses the folder.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OptionError(f"{folder}: another server uses this folder; choose one with --folder") from None
            hub = cls(folder, runs, cards, limits)
            hub.scorer.start()
            try:
                yield hub
            finally:
                hub.scorer.stop()
                hub.jobs.close()

    def card(self, run: str) -> RunCard:
        """Return a run, or raise 404."""
        if run not in self.cards:
            raise HTTPException(404, f"there is no run {run!r}; available: {', '.join(self.cards)}")
        return self.cards[run]

    def score(self, job_id: str) -> Score:
        """Return the progress of a video, or raise 404."""
        job = self.jobs.get(job_id)
        if job is None:
            raise HTTPException(404, _GONE)
        done = self.scorer.progress.get(job_id) if job.status == "scoring" else None
        return Score(
            **{name: getattr(job, name) for name in Score.model_fields if hasattr(job, name)},
            waiting=self.jobs.waiting(),
            progress=Progress(done=done[0], total=done[1]) if done else None,
        )

    def delete(self, job_id: str) -> None:
        """Delete a video and its score, or raise 404; later messages of the worker about it are ignored."""
        if not self.jobs.delete(job_id):
            raise HTTPException(404, _GONE)
        (self.videos / job_id).unlink(missing_ok=True)

    def video(self, job_id: str) -> Path:
        """Return the uploaded file, or raise 404."""
        if not self.score(job_id).video:
            raise HTTPException(404, "this video was removed; its score is still there")
        return self.videos / job_id

    async def receive(
        self, body: AsyncIterator[bytes], promised: int, *, run: str, name: str, difficulty: float | None
    ) -> Score:
        """Write a video to disk as it arrives, and put it in the queue."""
        await run_in_threadpool(self._make_room, promised)
        job_id = new_id()
        file = self.videos / job_id
        self._arriving += 1
        try:
            async with asyncio.timeout(UPLOAD_SECONDS):
                size = await self._write(body, file)
            shown = "".join(c for c in name if c.isprintable()) or "video"
            await run_in_threadpool(self.jobs.add, shown, run, difficulty, size, job_id=job_id)
        except BaseException as error:  # a visitor who leaves causes a cancellation
            file.unlink(missing_ok=True)
            if isinstance(error, TimeoutError):
                raise HTTPException(408, "the upload took too long") from None
            if isinstance(error, ClientDisconnect):
                raise HTTPException(400, "the upload was interrupted") from None
            raise
        finally:
            self._arriving -= 1
        self.scorer.wake()
        return await run_in_threadpool(self.score, job_id)

    def _make_room(self, promised: int) -> None:
        """Refuse an upload that is known to exceed a limit before it arrives."""
        self._check_size(promised)
        if self.jobs.waiting() + self._arriving >= self.limits.queue:
            raise HTTPException(503, "the queue is full; try again later", {"Retry-After": "60"})
        if self.jobs.stored() + (self._arriving + 1) * self.limits.upload > self.limits.disk:
            raise HTTPException(507, "the server has no space left for videos; try again in some hours")

    async def _write(self, body: AsyncIterator[bytes], file: Path) -> int:
        size = 0
        with file.open("xb") as out:
            async for chunk in body:
                size += len(chunk)
                self._check_size(size)
                await run_in_threadpool(out.write, chunk)
        if not size:
            raise HTTPException(400, "no video arrived; send it as the body of the request")
        return size

    def _check_size(self, size: int) -> None:
        if size > self.limits.upload:
            raise HTTPException(413, f"the video is larger than {self.limits.upload / MEGABYTE:g} MB; cut or shrink it")
