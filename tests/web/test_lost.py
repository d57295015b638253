"""A server that is killed thirty times, and one whose disk is full twenty times, lose nothing."""

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from aqakit.web import server
from tests.cli.test_full_disk import mounted
from tests.forks import fork, wait
from tests.web.test_server import folder, free_port, run, send, serving, videos  # noqa: F401 (fixtures)

pytestmark = pytest.mark.slow
JOBS = 60


class Visitor(threading.Thread):
    """Sends videos, each until it is accepted, and remembers the answers."""

    def __init__(self, port: int, videos: list[Path], pause: Callable[[], float]) -> None:  # noqa: F811
        super().__init__(daemon=True)
        self.port, self.videos, self.pause = port, videos, pause
        self.accepted: list[tuple[int, dict[str, Any]]] = []
        self.refused: list[int] = []

    def run(self) -> None:
        for number in range(JOBS):
            while not self._sent(number % len(self.videos)):
                time.sleep(0.05)
            time.sleep(self.pause())

    def _sent(self, which: int) -> bool:
        with (
            contextlib.suppress(httpx.TransportError),
            httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60, verify=False) as client,
        ):
            response = send(client, self.videos[which])
            if response.status_code == 202:
                self.accepted.append((which, response.json()))
                return True
            assert response.status_code in (503, 507), response.text
            self.refused.append(response.status_code)
        return False


def scores(port: int, jobs: list[tuple[int, dict[str, Any]]], within: float = 240) -> list[float]:
    """Wait until all jobs are done, and return their scores; a job that is lost or failed is an error."""
    deadline = time.monotonic() + within
    found = []
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, verify=False) as client:
        for _, job in jobs:
            while (now := client.get(f"/api/scores/{job['id']}").json())["status"] not in ("finished", "failed"):
                assert time.monotonic() < deadline, now
                time.sleep(0.05)
            assert now["status"] == "finished", now
            found.append(now["result"]["score"])
    return found


@pytest.fixture(scope="module")
def expected(run: Any, videos: list[Path]) -> list[float]:  # noqa: F811
    return [float(run.predict(path).mean) for path in videos]


def forked(run: Path, folder: Path, port: int) -> int:  # noqa: F811
    """Start a server in a child that has imported everything already; return its process id."""
    options = {"host": "127.0.0.1", "token": None, "megabytes": 5, "hours": 24.0}
    return fork(lambda: server.serve([run], port=port, folder=folder, **options))


def test_killed_thirty_times_no_job_is_lost_and_every_score_is_the_same(
    run: Any,  # noqa: F811
    videos: list[Path],  # noqa: F811
    expected: list[float],
    tmp_path: Path,
) -> None:
    port, chance = free_port(), random.Random(0)
    visitor = Visitor(port, videos, lambda: chance.uniform(0, 3.0))
    visitor.start()
    killed = scored = 0
    for _ in range(30):
        child = forked(run.folder, tmp_path / "kept", port)
        time.sleep(chance.uniform(0.2, 9.0))
        scored += _is_scoring(port)
        os.kill(child, signal.SIGKILL)
        killed += wait(child) == -signal.SIGKILL
    with serving(run.folder, tmp_path / "kept", port):
        visitor.join(timeout=240)
        assert len(visitor.accepted) == JOBS
        found = scores(port, visitor.accepted)
    print(f"{killed} kills, {scored} of them while videos waited or were scored; {len(found)} jobs")
    assert killed == 30
    assert found == pytest.approx([expected[which] for which, _ in visitor.accepted], rel=1e-5)


def _is_scoring(port: int) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return bool(httpx.get(f"http://127.0.0.1:{port}/healthz", verify=False).json()["waiting"])
    return False


@contextlib.contextmanager
def filled(disk: Path) -> Iterator[None]:
    """In this context, a disk has no space."""
    with (disk / "fill").open("wb", buffering=0) as fill, contextlib.suppress(OSError):
        while fill.write(bytes(4096)):
            pass
    try:
        yield
    finally:
        (disk / "fill").unlink()


def test_a_disk_that_is_full_twenty_times_loses_nothing(
    run: Any,  # noqa: F811
    videos: list[Path],  # noqa: F811
    expected: list[float],
    tmp_path: Path,
) -> None:
    port, chance = free_port(), random.Random(0)
    told = set()
    with mounted(tmp_path / "disk", 30_000) as disk, serving(run.folder, disk / "kept", port) as (process, client):
        visitor = Visitor(port, videos, lambda: chance.uniform(0, 0.5))
        visitor.start()
        for _ in range(20):
            time.sleep(chance.uniform(0, 1.5))
            with filled(disk):
                time.sleep(chance.uniform(0, 1.5))
                health = client.get("/healthz")
                told.add(health.json()["status"])
                left = list((disk / "kept" / "videos").iterdir())
                assert all(file.stat().st_size for file in left)  # nothing half-written
            assert process.poll() is None
        visitor.join(timeout=240)
        assert len(visitor.accepted) == JOBS
        found = scores(port, visitor.accepted)
        assert client.get("/healthz").json() == {"status": "ok", "waiting": 0}
        assert len(list((disk / "kept" / "videos").iterdir())) == JOBS
    print(f"{len(found)} jobs; {len(visitor.refused)} refusals {set(visitor.refused)}; health: {told}")
    assert 507 in visitor.refused
    assert found == pytest.approx([expected[which] for which, _ in visitor.accepted], rel=1e-5)
