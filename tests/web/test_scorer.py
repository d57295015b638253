"""What became of a video is never lost, whatever the disk, the database or the worker does, and health says so."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aqakit.web import scorer as scorers
from aqakit.web.hub import Hub
from aqakit.web.jobs import Job, Jobs, new_id
from aqakit.web.limits import Limits

Answers = Iterator[dict[str, Any]]


class FakeWorker:
    """Answers at once; dies with videos of the name ``deadly``, as often as their difficulty says."""

    deaths: dict[str, int]
    starts = True

    def __init__(self, *_: object) -> None:
        self.failure, self.died, self.dead = "", False, False
        self.process = SimpleNamespace(poll=lambda: self.dead or None, pid=1)
        self.ready = SimpleNamespace(is_set=lambda: self.starts, wait=lambda _: self.starts)
        self.dead = not self.starts

    def ask(self, job: Job, _: Path) -> Answers:
        if self.deaths.get(job.name, 0) > 0:
            self.deaths[job.name] -= 1
            self.failure, self.died, self.dead = "the scoring process stopped (SIGKILL)", True, True
            return
        yield {"done": 1, "total": 1}
        yield {"result": {"score": 1.0}}

    def end(self) -> str:
        return "exit code 1"

    def kill(self) -> None:
        self.dead = True


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(scorers, "Worker", FakeWorker)
    monkeypatch.setattr(scorers, "AGAIN_AFTER", 0.01)
    monkeypatch.setattr(FakeWorker, "deaths", {"once": 1, "twice": 2}, raising=False)
    with Hub.open(tmp_path / "kept", {"run": tmp_path}, {}, Limits()) as hub:
        yield hub


def put(hub: Hub, name: str = "a") -> str:
    job_id = new_id()
    hub.jobs.add(name, "run", None, 1, job_id=job_id)
    hub.scorers[0].wake()
    return job_id


def until(condition: Any, within: float = 10) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def status(hub: Hub, job_id: str) -> str:
    job = hub.jobs.get(job_id)
    assert job
    return job.status


@pytest.mark.parametrize("change", ["take", "finish", "fail", "release"])
@pytest.mark.parametrize("why", ["database or disk is full", "database is locked"])
def test_what_cannot_be_stored_is_stored_later_and_health_says_so(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, change: str, why: str
) -> None:
    calls, broken, works = list[int](), [True], getattr(Jobs, change)

    def refuse(*given: Any) -> Any:
        calls.append(1)
        if broken:
            raise sqlite3.OperationalError(why)
        return works(*given)

    assert hub.health().status == "ok"
    monkeypatch.setattr(Jobs, change, refuse)
    job = put(hub, {"fail": "twice", "release": "once"}.get(change, "a"))
    until(lambda: len(calls) > 2)
    assert status(hub, job) == ("queued" if change == "take" else "scoring")
    told = hub.health()
    assert told.status == "degraded"
    assert why in str(told.problem)
    assert "\n" not in str(told.problem)
    broken.clear()
    until(lambda: status(hub, job) == ("failed" if change == "fail" else "finished"))
    until(lambda: hub.health().status == "ok")
    later = put(hub)
    until(lambda: status(hub, later) == "finished")


def test_a_result_that_was_never_stored_is_scored_again_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: Hub
) -> None:
    def refuse(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(Jobs, "finish", refuse)
        job = put(hub)
        until(lambda: hub.health().status == "degraded")
        hub.scorers[0].halt()
        hub.scorers[0].join(timeout=10)
        assert not hub.scorers[0].is_alive()
        assert hub.health().status == "degraded"
    again = Jobs(tmp_path / "kept" / "jobs.sqlite")
    again.recover()
    taken = again.take()
    assert taken
    assert taken.id == job


@pytest.mark.parametrize(("name", "end"), [("once", "finished"), ("twice", "failed")])
def test_a_worker_that_dies_is_replaced_and_the_video_tried_once_more(hub: Hub, name: str, end: str) -> None:
    first, second = put(hub, name), put(hub)
    until(lambda: status(hub, second) == "finished")
    assert status(hub, first) == end


def test_a_worker_that_does_not_start_fails_no_video_and_health_says_so(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(FakeWorker, "starts", False)
        hub.scorers[0]._worker.kill()  # type: ignore[union-attr]
        until(lambda: hub.health().status == "degraded")
        assert "does not start (exit code 1)" in str(hub.health().problem)
        job = put(hub)
        time.sleep(0.05)
        assert status(hub, job) == "queued"
    until(lambda: status(hub, job) == "finished")
    assert hub.health().status == "ok"


def test_expired_videos_go_even_if_the_disk_is_too_full_to_say_so(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    job = put(hub)
    until(lambda: status(hub, job) == "finished")
    (hub.videos / job).touch()

    def refuse(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Jobs, "expire", refuse)
    monkeypatch.setattr(scorers, "TIDY_EVERY", -1.0)
    hub.scorers[0].limits = Limits(keep=-1)
    hub.scorers[0].wake()
    until(lambda: not (hub.videos / job).exists())


def test_health_waits_for_nobody(hub: Hub) -> None:
    with hub.jobs._lock, hub.jobs._reading:  # a change waits for the disk
        started = time.perf_counter()
        assert hub.health().waiting == 0
        assert time.perf_counter() - started < 0.1


def test_two_workers_score_two_videos_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2, timeout=10)

    class Together(FakeWorker):
        """Answers only while another one is asked, too."""

        def ask(self, job: Job, path: Path) -> Answers:
            both.wait()
            yield from super().ask(job, path)

    monkeypatch.setattr(scorers, "Worker", Together)
    monkeypatch.setattr(FakeWorker, "deaths", {}, raising=False)
    with Hub.open(tmp_path / "kept", {"run": tmp_path}, {}, Limits(workers=2)) as hub:
        made = [put(hub, name) for name in "abcd"]
        until(lambda: {one.status for job in made if (one := hub.jobs.get(job))} == {"finished"})
        assert hub.health().status == "ok"
    assert not any(scorer.is_alive() for scorer in hub.scorers)


def test_a_video_with_which_two_workers_died_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scorers, "Worker", FakeWorker)
    monkeypatch.setattr(FakeWorker, "deaths", {"deadly": 2}, raising=False)
    with Hub.open(tmp_path / "kept", {"run": tmp_path}, {}, Limits(workers=2)) as hub:
        job = put(hub, "deadly")
        until(lambda: hub.score(job).status == "failed")
        assert FakeWorker.deaths["deadly"] == 0
