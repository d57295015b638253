"""Uploads get room one by one, slow ones are cut off, and a full disk loses nothing."""

import asyncio
import errno
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from fastapi import HTTPException
from fastapi.testclient import TestClient
from starlette.requests import ClientDisconnect

from aqakit.web import uploads
from aqakit.web.app import create_app
from aqakit.web.hub import Hub
from aqakit.web.jobs import Jobs, new_id
from aqakit.web.limits import Limits
from aqakit.web.uploads import Uploads

LIMITS = Limits(upload=1000, patience=0.0, window=0.2, rate=1000.0, queue=8, share=0.5, disk=10_000, spare=0)
CARD = SimpleNamespace(needs_difficulty=False)


async def body(*chunks: bytes, pause: float = 0.0, forever: bool = False) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
        await asyncio.sleep(pause)
    if forever:
        await asyncio.Event().wait()


def made(folder: Path, **limits: float) -> Uploads:
    (folder / "videos").mkdir(exist_ok=True)
    return Uploads(Jobs(folder / "jobs.sqlite"), folder / "videos", replace(LIMITS, **limits))


async def sent(to: Uploads, *chunks: bytes, client: str = "a", promised: int = 0, **kinds: object) -> int | str:
    """Return the size of what arrived, or the status of the refusal and its sentence."""
    try:
        async with to.receive(body(*chunks, **kinds), promised, to.folder / new_id(), client) as size:
            return size
    except HTTPException as error:
        return f"{error.status_code} {error.detail}"


async def hold(stack: AsyncExitStack, to: Uploads, count: int, client: str = "a", promised: int = 10) -> None:
    """Let uploads arrive that are not yet in the queue."""
    for _ in range(count):
        await stack.enter_async_context(to.receive(body(bytes(promised)), promised, to.folder / new_id(), client))


def files(to: Uploads) -> list[str]:
    return [file.name for file in to.folder.iterdir()]


@pytest.mark.parametrize(
    ("limits", "status"),
    [({"queue": 2, "share": 1.0}, "503"), ({"disk": 29}, "507"), ({"queue": 4, "share": 0.5}, "429")],
)
def test_what_was_granted_counts_before_it_is_there(tmp_path: Path, limits: dict[str, float], status: str) -> None:
    async def run() -> None:
        to = made(tmp_path, **limits)
        async with AsyncExitStack() as stack:
            await hold(stack, to, 2)
            assert str(await sent(to, bytes(10), promised=10)).startswith(status)
        if status != "503":
            assert await sent(to, bytes(10), promised=10) == 10  # it is free again
        async with AsyncExitStack() as stack:
            at_once = await asyncio.gather(*(hold(stack, to, 1) for _ in range(9)), return_exceptions=True)
            assert at_once.count(None) == 2  # that all nine were checked before the first arrived helps none of them

    asyncio.run(run())


def test_a_client_cannot_hold_more_than_its_share_of_the_queue(tmp_path: Path) -> None:
    async def run() -> None:
        to = made(tmp_path)
        for client, count in (("192.0.2.1", 2), ("2001:db8::1", 4)):
            for _ in range(count):
                to.jobs.add("a", "run", None, 1, job_id=new_id(), client=uploads.client_of(client))
        async with AsyncExitStack() as stack:
            await hold(stack, to, 1, "192.0.2.1")
            assert await sent(to, b"x", client="192.0.2.1") == 1
            assert str(await sent(to, b"x", client="2001:db8::2")).startswith("429 4 of your videos")  # same network
            await hold(stack, to, 1, "192.0.2.1")
            assert str(await sent(to, b"x", client="192.0.2.1")).startswith("503 the queue is full")

    asyncio.run(run())


def test_the_share_is_kept_across_a_restart(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path / "jobs.sqlite")
    jobs.add("a", "run", None, 7, job_id=new_id(), client="b")
    again = Jobs(tmp_path / "jobs.sqlite")
    assert again.usage == jobs.usage
    assert (again.usage.by_client, again.usage.stored) == ({"b": 1}, 7)


def test_an_upload_that_trickles_is_cut_off_and_one_that_is_fast_enough_is_not(tmp_path: Path) -> None:
    async def run() -> None:
        to = made(tmp_path, upload=100_000, disk=1_000_000)
        slow = sent(to, *[b"x"] * 100, pause=0.01, forever=True)  # a byte every 10 ms never pauses
        halted = sent(to, bytes(199), forever=True)
        fast = sent(to, *[bytes(150)] * 60, pause=0.01)
        found = await asyncio.wait_for(asyncio.gather(slow, halted, fast), 5)
        assert [str(one)[:3] for one in found] == ["408", "408", "900"]
        assert len(files(to)) == 1

    asyncio.run(run())


def test_silent_uploads_make_way_for_one_that_needs_their_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "SILENCE", 0.05)
    monkeypatch.setattr(uploads, "LOOK_AGAIN", 0.01)

    async def run() -> None:
        to = made(tmp_path, window=60, rate=0.001, patience=5.0)  # where one byte is enough of a beginning
        silent = [asyncio.create_task(sent(to, b"x", promised=1000, forever=True)) for _ in range(40)]
        await asyncio.sleep(0.02)
        assert await asyncio.wait_for(sent(to, bytes(10), promised=10), 2) == 10
        for task in silent:
            task.cancel()
        assert any(str(found).startswith("408") for found in await asyncio.gather(*silent, return_exceptions=True))
        assert len(files(to)) == 1

    asyncio.run(run())


def test_who_has_sent_next_to_nothing_gets_no_room(tmp_path: Path) -> None:
    async def run() -> None:
        to = made(tmp_path, window=60)
        silent = [asyncio.create_task(sent(to, b"x", promised=1000, forever=True)) for _ in range(40)]
        await asyncio.sleep(0.02)
        assert not files(to)
        assert await asyncio.wait_for(sent(to, bytes(10), promised=10), 2) == 10
        for task in silent:
            task.cancel()

    asyncio.run(run())


def test_free_space_of_the_disk_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        to = made(tmp_path, spare=100)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=150))
        assert await sent(to, bytes(50), promised=50) == 50
        assert str(await sent(to, bytes(51), promised=51)).startswith("507 the disk of the server is full")

    asyncio.run(run())


class FullDisk:
    """A file on which the last part does not fit."""

    def __init__(self, file: Path) -> None:
        self.file = file.open("xb", buffering=0)

    def __enter__(self) -> "FullDisk":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def flush(self) -> None:
        pass

    def write(self, chunk: bytes) -> None:
        self.file.write(chunk[:1])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("what", "status"), [("file", 507), ("database or disk is full", 507), ("disk I/O error", 507), ("locked", 503)]
)
def test_a_disk_that_fills_during_an_upload_is_a_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, status: int
) -> None:
    monkeypatch.setattr("aqakit.web.scorer.Scorer.start", lambda _: None)
    monkeypatch.setattr("aqakit.web.scorer.Scorer.join", lambda _, timeout: None)
    app = create_app(tmp_path / "kept", {}, {"run": CARD}, limits=replace(Limits(), spare=0))  # type: ignore[dict-item]
    with TestClient(app, base_url="http://localhost") as client:

        def refuse(*_: object, **__: object) -> None:
            raise sqlite3.OperationalError(what)

        with monkeypatch.context() as full:
            full.setattr(*((uploads, "open_private", FullDisk) if what == "file" else (Jobs, "add", refuse)))
            refused = client.post("/api/scores?run=run", content=b"a video")
        assert refused.status_code == status
        assert "\n" not in refused.json()["detail"]
        assert not list((tmp_path / "kept" / "videos").iterdir())
        job = client.post("/api/scores?run=run", content=b"a video")
        assert job.status_code == 202
        with monkeypatch.context() as full:
            full.setattr(Jobs, "delete", refuse)
            if what != "file":
                assert client.delete(f"/api/scores/{job.json()['id']}").status_code == status
                assert not list((tmp_path / "kept" / "videos").iterdir())  # which makes space
                assert client.get(f"/api/scores/{job.json()['id']}/video").status_code == 404
        assert client.delete(f"/api/scores/{job.json()['id']}").status_code == 204


def test_what_a_visitor_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise ClientDisconnect

    async def run() -> None:
        to = made(tmp_path)
        with pytest.raises(HTTPException, match="interrupted"):
            async with to.receive(broken(), 0, to.folder / "half", "a"):
                pass
        assert not files(to)
        assert to._refused(1, "a") is None

    asyncio.run(run())


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_only_the_owner_can_read_what_is_kept(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with Hub.open(tmp_path / "new" / "kept", {}, {}, replace(LIMITS, spare=0)) as hub:
            asyncio.run(sent(hub.uploads, b"x"))
            modes = {str(p.relative_to(tmp_path)): p.stat().st_mode & 0o777 for p in (tmp_path / "new").rglob("*")}
    finally:
        os.umask(before)
    folders = {"new/kept", "new/kept/videos"}
    assert {f"new/kept/jobs.sqlite{end}" for end in ("", "-wal", "-shm")} < modes.keys()
    assert modes == {name: 0o700 if name in folders else 0o600 for name in modes}


def test_a_folder_with_other_things_in_it_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    tmp_path.chmod(0o755)
    with Hub.open(tmp_path, {}, {}, LIMITS):
        assert tmp_path.stat().st_mode & 0o777 == 0o755
