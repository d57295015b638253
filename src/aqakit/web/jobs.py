"""The queue of videos and their scores, in one SQLite file that persists across restarts."""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from aqakit.errors import DataError

Status = Literal["queued", "scoring", "finished", "failed"]

ATTEMPTS = 3
"""A video that was being scored this many times when the server was stopped is given up."""

MIGRATIONS = (
    """
    CREATE TABLE jobs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        run TEXT NOT NULL,
        difficulty REAL,
        size INTEGER NOT NULL,
        status TEXT NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'scoring', 'finished', 'failed')),
        attempts INTEGER NOT NULL DEFAULT 0,
        created REAL NOT NULL,
        finished REAL,
        video INTEGER NOT NULL DEFAULT 1,
        result TEXT,
        problem TEXT
    );
    CREATE INDEX waiting ON jobs (status, number);
    """,
)
"""Scripts that make each next version of the schema; ``PRAGMA user_version`` counts those applied."""


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


class Jobs:
    """The queue. Its methods are thread-safe.

    Raises:
        DataError: the file was written by a newer aqakit.
    """

    def __init__(self, file: Path) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(file, check_same_thread=False, isolation_level=None, timeout=30)
        self._database.row_factory = sqlite3.Row
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")  # a score that was shown survives a power failure
        self._migrate(file)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def add(self, name: str, run: str, difficulty: float | None, size: int, *, job_id: str) -> None:
        """Put a video at the end of the queue."""
        row = (job_id, name, run, difficulty, size, time.time())
        self._run("INSERT INTO jobs (id, name, run, difficulty, size, created) VALUES (?, ?, ?, ?, ?, ?)", *row)

    def get(self, job_id: str) -> Job | None:
        """Return one video; None if there is no such video."""
        ahead = "(SELECT COUNT(*) FROM jobs o WHERE o.status IN ('queued', 'scoring') AND o.number < j.number)"
        found = self._run(f"SELECT *, {ahead} AS ahead FROM jobs j WHERE id = ?", job_id)
        return _job(found[0]) if found else None

    def take(self) -> Job | None:
        """Take the first video in the queue and mark it as being scored; None if the queue is empty."""
        first = "SELECT number FROM jobs WHERE status = 'queued' ORDER BY number LIMIT 1"
        change = f"UPDATE jobs SET status = 'scoring', attempts = attempts + 1 WHERE number = ({first})"
        found = self._run(f"{change} RETURNING *, 0 AS ahead")
        return _job(found[0]) if found else None

    def finish(self, job_id: str, result: dict[str, Any]) -> None:
        """Store an answer."""
        self._end(job_id, "finished", result=json.dumps(result))

    def fail(self, job_id: str, problem: str) -> None:
        """Store the reason why there is no answer."""
        self._end(job_id, "failed", problem=problem)

    def delete(self, job_id: str) -> bool:
        """Delete a video; return whether it existed."""
        return bool(self._run("DELETE FROM jobs WHERE id = ? RETURNING id", job_id))

    def release(self, job_id: str) -> None:
        """Return a video to its old place in the queue, because the server ends through no fault of the video."""
        self._run("UPDATE jobs SET status = 'queued', attempts = attempts - 1 WHERE id = ?", job_id)

    def recover(self) -> None:
        """After a restart, put back the videos that were being scored when the server was stopped, or give them up."""
        problem = f"the server was stopped {ATTEMPTS} times while it was scoring this video, so it is not tried again"
        change = "UPDATE jobs SET status = 'failed', finished = ?, problem = ? WHERE status = 'scoring'"
        self._run(f"{change} AND attempts >= ?", time.time(), problem, ATTEMPTS)
        self._run("UPDATE jobs SET status = 'queued' WHERE status = 'scoring'")

    def waiting(self) -> int:
        """Return the number of videos that wait or are being scored."""
        return int(self._run("SELECT COUNT(*) FROM jobs WHERE status IN ('queued', 'scoring')")[0][0])

    def stored(self) -> int:
        """Return the total size in bytes of all videos still kept."""
        return int(self._run("SELECT COALESCE(SUM(size), 0) FROM jobs WHERE video")[0][0])

    def kept(self) -> set[str]:
        """Return the ids of jobs whose video is still kept."""
        return {row["id"] for row in self._run("SELECT id FROM jobs WHERE video")}

    def expire(self, keep: float, forget: float) -> list[str]:
        """Drop videos ``keep`` seconds after their job ended, and scores after ``forget`` seconds.

        Returns:
            The ids of the jobs whose file must be deleted.
        """
        now = time.time()
        gone = self._run("UPDATE jobs SET video = 0 WHERE video AND finished < ? RETURNING id", now - keep)
        self._run("DELETE FROM jobs WHERE finished < ?", now - max(keep, forget))
        return [row["id"] for row in gone]

    def _end(self, job_id: str, status: Status, *, result: str | None = None, problem: str | None = None) -> None:
        change = "UPDATE jobs SET status = ?, finished = ?, result = ?, problem = ? WHERE id = ?"
        self._run(change, status, time.time(), result, problem, job_id)

    def _run(self, statement: str, *values: object) -> Sequence[sqlite3.Row]:
        with self._lock:
            return self._database.execute(statement, values).fetchall()

    def _migrate(self, file: Path) -> None:
        with self._transaction():
            version = self._database.execute("PRAGMA user_version").fetchone()[0]
            if version > len(MIGRATIONS):
                raise DataError(f"{file}: was written by a newer aqakit; update aqakit, or choose another folder")
            for script in MIGRATIONS[version:]:
                for statement in filter(str.strip, script.split(";")):
                    self._database.execute(statement)
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


def new_id() -> str:
    """Return 128 random bits, safe for URLs."""
    return secrets.token_urlsafe(16)


def _job(row: sqlite3.Row) -> Job:
    values = {name: row[name] for name in Job.__dataclass_fields__}
    result = None if row["result"] is None else json.loads(row["result"])
    return Job(**{**values, "result": result, "video": bool(row["video"])})
