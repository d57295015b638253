"""The queue of videos and their scores, in one SQLite file that persists across restarts."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any

from aqakit.errors import DataError
from aqakit.web.clock import Clock, Reading
from aqakit.web.job import Job, Status, Usage, job_of, told_by
from aqakit.web.schema import MIGRATIONS

ATTEMPTS = 10
"""A video that was being scored this many times when the server was killed is given up."""

PATIENCE = 5.0
"""Seconds to wait while another program has locked the file."""


class Jobs:
    """The queue. Its methods are thread-safe.

    Attributes:
        usage: what the queue holds; reading it never waits.

    Raises:
        DataError: the file was written by a newer aqakit, is damaged, or cannot be written.
    """

    usage: Usage

    def __init__(self, file: Path) -> None:
        self._lock, self._reading = threading.Lock(), threading.Lock()
        with ExitStack() as opened:
            try:
                _make_private(file)
                self._database = opened.enter_context(closing(_connect(file)))
                self._reader = opened.enter_context(closing(_connect(file)))
                self._database.execute("PRAGMA journal_mode = WAL")
                self._database.execute("PRAGMA synchronous = FULL")  # a score that was shown survives a power failure
                self._migrate(file)
                if (found := self._database.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                    raise sqlite3.DatabaseError(found)
                self._clock = Clock(self._last())
                self._changed()
            except (sqlite3.DatabaseError, OSError) as error:
                said = getattr(error, "strerror", None) or " ".join(str(error).split())
                sentence = f"{file}: cannot be used ({said}); choose another folder, or mend or remove this file"
                raise DataError(sentence) from None
            opened.pop_all()

    def close(self) -> None:
        """Close the file."""
        with self._lock, self._reading:
            self._reader.close()
            self._database.close()

    def add(
        self,
        name: str,
        run: str,
        difficulty: float | None,
        size: int,
        *,
        job_id: str,
        client: str = "",
        **details: object,
    ) -> None:
        """Put a video at the end of the queue; ``details`` are columns that a visitor may set."""
        row: dict[str, object] = {
            "id": job_id,
            "name": name,
            "run": run,
            "difficulty": difficulty,
            "size": size,
            "created": time.time(),
        }
        row |= {"client": client, **details}
        marks = ", ".join("?" * len(row))
        self.change(f"INSERT INTO jobs ({', '.join(row)}) VALUES ({marks})", *row.values())

    def get(self, job_id: str) -> Job | None:
        """Return one video; None if there is no such video."""
        ahead = "(SELECT COUNT(*) FROM jobs o WHERE o.status IN ('queued', 'scoring') AND o.number < j.number)"
        query = f"SELECT j.*, {ahead} AS ahead, result FROM jobs j LEFT JOIN results USING (number) WHERE id = ?"
        found = self.read(query, job_id)
        return job_of(found[0]) if found else None

    def read(self, query: str, *values: object) -> Sequence[sqlite3.Row]:
        """Return the rows of a query, which does not wait behind a change that waits for the disk."""
        with self._reading:
            return self._reader.execute(query, values).fetchall()

    def take(self) -> Job | None:
        """Take the first video in the queue and mark it as being scored; None if the queue is empty."""
        first = "SELECT number FROM jobs WHERE status = 'queued' ORDER BY number LIMIT 1"
        change = f"UPDATE jobs SET status = 'scoring', attempts = attempts + 1 WHERE number = ({first})"
        found = self.change(f"{change} RETURNING *, 0 AS ahead, NULL AS result")
        return job_of(found[0]) if found else None

    def finish(self, job_id: str, result: dict[str, Any]) -> None:
        """Store an answer."""
        self._end(job_id, "finished", result, None)

    def fail(self, job_id: str, problem: str) -> None:
        """Store the reason why there is no answer."""
        self._end(job_id, "failed", None, problem)

    def delete(self, job_id: str) -> bool:
        """Delete a video; return whether it existed."""
        return bool(self.change("DELETE FROM jobs WHERE id = ? RETURNING id", job_id))

    def release(self, job_id: str) -> None:
        """Return a video to its old place in the queue, because it was not scored through no fault of its own."""
        self.change("UPDATE jobs SET status = 'queued', attempts = attempts - 1 WHERE id = ?", job_id)

    def recover(self) -> None:
        """After a restart, put back the videos that were being scored when the server was stopped, or give them up."""
        problem = f"the server was stopped {ATTEMPTS} times while it was scoring this video, so it is not tried again"
        change = "UPDATE jobs SET status = 'failed', finished = ?, ended = ?, problem = ? WHERE status = 'scoring'"
        self.change(f"{change} AND attempts >= ?", time.time(), self._clock.now(), problem, ATTEMPTS)
        self.change("UPDATE jobs SET status = 'queued' WHERE status = 'scoring'")

    def waiting(self) -> int:
        """Return the number of videos that wait or are being scored."""
        return self.usage.waiting

    def stored(self) -> int:
        """Return the total size in bytes of all videos still kept."""
        return self.usage.stored

    def kept(self) -> set[str]:
        """Return the ids of jobs whose video is still kept."""
        return {row["id"] for row in self.change("SELECT id FROM jobs WHERE video")}

    def expired(self, keep: float) -> list[str]:
        """Return the ids of jobs that ended ``keep`` seconds ago and whose video is still kept.

        Their files are deleted before :meth:`expire`, which needs space on the disk.
        """
        before = self._clock.now() - keep
        return [row["id"] for row in self.change("SELECT id FROM jobs WHERE video = 1 AND ended < ?", before)]

    def expire(self, keep: float, forget: float) -> list[str]:
        """Drop videos ``keep`` seconds after their job ended, and scores after ``forget`` seconds.

        Returns:
            The ids of the jobs whose file must be deleted.
        """
        now = self._clock.now()
        gone = self.change("UPDATE jobs SET video = 0 WHERE video = 1 AND ended < ? RETURNING id", now - keep)
        self.change("DELETE FROM jobs WHERE ended < ?", now - max(keep, forget))
        self.change("INSERT OR REPLACE INTO clock VALUES (1, ?, ?, ?, ?)", *astuple(self._clock.read()))
        return [row["id"] for row in gone]

    def _end(self, job_id: str, status: Status, result: dict[str, Any] | None, problem: str | None) -> None:
        told: dict[str, object] = {
            "status": status,
            "finished": time.time(),
            "ended": self._clock.now(),
            "problem": problem,
        }
        told |= told_by(result or {})
        with self._lock, self._transaction():
            sets = ", ".join(f"{name} = ?" for name in told)
            self._database.execute(f"UPDATE jobs SET {sets} WHERE id = ?", (*told.values(), job_id))
            self._database.execute(
                "DELETE FROM results WHERE number = (SELECT number FROM jobs WHERE id = ?)", (job_id,)
            )
            if result is not None:
                keep = "INSERT INTO results SELECT number, ? FROM jobs WHERE id = ?"
                self._database.execute(keep, (json.dumps(result), job_id))
            self._changed()

    def change(self, statement: str, *values: object) -> Sequence[sqlite3.Row]:
        """Change the file; return what the statement returns."""
        with self._lock:
            found = self._database.execute(statement, values).fetchall()
            if not statement.startswith("SELECT"):
                self._changed()
            return found

    def _changed(self) -> None:
        count = "SELECT client, COUNT(*) FROM jobs WHERE status IN ('queued', 'scoring') GROUP BY client"
        held = {row[0]: int(row[1]) for row in self._database.execute(count)}
        stored = self._database.execute("SELECT COALESCE(SUM(size), 0) FROM jobs WHERE video = 1").fetchone()[0]
        self.usage = Usage(sum(held.values()), int(stored), held)

    def _last(self) -> Reading | None:
        row = self._database.execute("SELECT seconds, system, boot, up FROM clock").fetchone()
        return Reading(*row) if row else None

    def _migrate(self, file: Path) -> None:
        with self._transaction():
            version = self._database.execute("PRAGMA user_version").fetchone()[0]
            if version > len(MIGRATIONS):
                raise DataError(f"{file}: was written by a newer aqakit; update aqakit, or choose another folder")
            for script in MIGRATIONS[version:]:
                for statement in filter(str.strip, script.split(";")):
                    self._database.execute(statement)
            if version < len(MIGRATIONS):
                self._database.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")


def _connect(file: Path) -> sqlite3.Connection:
    made = sqlite3.connect(file, check_same_thread=False, isolation_level=None, timeout=PATIENCE)
    made.row_factory = sqlite3.Row
    made.execute("PRAGMA foreign_keys = ON")
    made.create_function("fold", 1, str.casefold, deterministic=True)
    return made


def _make_private(file: Path) -> None:
    """Make the file readable by its owner alone; SQLite gives the files beside it the same mode."""
    opened = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.fchmod(opened, 0o600)
    finally:
        os.close(opened)


def new_id() -> str:
    """Return 128 random bits, safe for URLs."""
    return secrets.token_urlsafe(16)
