"""A jump of the system's clock deletes no score, and the time that really passes does."""

import sqlite3
import time
from pathlib import Path

import pytest

from aqakit.web import clock
from aqakit.web.clock import LONGEST_REST, Clock, Reading
from aqakit.web.jobs import MIGRATIONS, Jobs, new_id

YEAR = 365 * 24 * 3600.0
DAY = 24 * 3600.0


class Times:
    """A system whose time, seconds since its start and start are chosen."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.system, self.up, self.boot = 1.7e9, 1000.0, "first"
        monkeypatch.setattr(time, "time", lambda: self.system)
        monkeypatch.setattr(clock, "_up", lambda: self.up)
        monkeypatch.setattr(clock, "_boot", lambda: self.boot)

    def passes(self, seconds: float) -> None:
        self.system += seconds
        self.up += seconds


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Times:
    return Times(monkeypatch)


def finished(jobs: Jobs) -> str:
    job_id = new_id()
    jobs.add("a.mp4", "run", None, 10, job_id=job_id)
    jobs.take()
    jobs.finish(job_id, {"score": 1.0})
    return job_id


@pytest.mark.parametrize("jump", [YEAR, -YEAR, 3 * DAY])
@pytest.mark.parametrize("restart", ["none", "of the server", "of the machine"])
def test_a_jump_of_the_clock_deletes_no_score(times: Times, tmp_path: Path, jump: float, restart: str) -> None:
    jobs = Jobs(tmp_path / "jobs.sqlite")
    job_id = finished(jobs)
    jobs.expire(DAY, 30 * DAY)
    times.passes(60)
    times.system += jump
    if restart == "of the machine":
        times.boot, times.up = "second", 5.0
    if restart != "none":
        jobs = Jobs(tmp_path / "jobs.sqlite")
    other = finished(jobs)  # during the jump, and after its end it is as old as it is
    times.passes(60)
    gone = jobs.expire(DAY, 30 * DAY)
    assert gone == ([job_id] if restart == "of the machine" and jump > 0 else [])  # a day may really have passed
    assert jobs.get(job_id).result == {"score": 1.0}  # type: ignore[union-attr]
    times.system -= jump
    times.passes(DAY + 1)
    assert other in jobs.expire(DAY, 30 * DAY)
    assert jobs.get(other).result == {"score": 1.0}  # type: ignore[union-attr]
    times.passes(29 * DAY)
    jobs.expire(DAY, 30 * DAY)
    assert jobs.get(other) is None


def test_the_clock_goes_on_with_what_really_passed(times: Times) -> None:
    first = Clock(None)
    assert first.now() == times.system
    times.passes(10)
    times.system += YEAR
    assert first.now() == 1.7e9 + 10
    read = first.read()
    assert read == Reading(1.7e9 + 10, 1.7e9 + 10 + YEAR, "first", 1010.0)
    times.passes(5)
    assert Clock(read).now() == 1.7e9 + 15
    times.boot, times.up = "second", 1.0
    assert Clock(read).now() == 1.7e9 + 15  # off for a moment
    times.system += YEAR
    assert Clock(read).now() == 1.7e9 + 10 + LONGEST_REST
    times.boot = ""  # no such thing on this system
    assert Clock(Reading(5.0, times.system - 3, "", 7.0)).now() == 8.0


def test_real_seconds_pass() -> None:
    made = Clock(None)
    started = time.monotonic()
    time.sleep(0.02)
    assert made.now() - time.time() == pytest.approx(0, abs=0.01)
    assert Clock(made.read()).now() - made.now() == pytest.approx(0, abs=0.01)
    assert time.monotonic() - started < 1


def test_scores_of_an_older_file_keep_their_age(times: Times, tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "jobs.sqlite")
    old.executescript(MIGRATIONS[0] + "PRAGMA user_version = 1;")
    row = (
        "INSERT INTO jobs (id, name, run, size, status, created, finished) VALUES (?, 'a', 'run', 1, 'finished', 0, ?)"
    )
    old.execute(row, ("new", times.system - 1))
    old.execute(row, ("old", times.system - 2 * DAY))
    old.commit()
    old.close()
    jobs = Jobs(tmp_path / "jobs.sqlite")
    assert jobs.expire(DAY, 30 * DAY) == ["old"]
    assert jobs.usage.stored == 1
