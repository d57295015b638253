"""Mistakes at the start of the server: one sentence, exit code 2, and no traceback."""

import os
import socket
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn

from aqakit.web import server
from aqakit.web.hub import Hub
from aqakit.web.jobs import Jobs
from aqakit.web.limits import Limits
from aqakit.web.listening import listen
from tests.cli.test_commands import aqakit

Start = Callable[..., tuple[int, str]]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Start:
    """Starts a server that stops at once; returns the exit code and what was said."""
    monkeypatch.setattr(server, "card", lambda *_: SimpleNamespace())
    monkeypatch.setattr(uvicorn.Server, "run", lambda _, sockets: None)
    monkeypatch.setattr("aqakit.web.scorer.Scorer.start", lambda _: None)
    monkeypatch.setattr("aqakit.web.scorer.Scorer.join", lambda _, timeout: None)
    monkeypatch.delenv("AQAKIT_TOKEN", raising=False)

    def started(folder: Path, *words: Any, port: int | None = None) -> tuple[int, str]:
        capsys.readouterr()
        port = port or free_port()
        code = aqakit(monkeypatch, "serve", tmp_path / "run", "--folder", folder, "--port", port, *words)
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return code, out + err

    return started


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def refused(said: tuple[int, str], *words: str) -> None:
    code, text = said
    (line,) = text.splitlines()
    assert code == 2, text
    assert line.startswith("aqakit: ")
    for word in words:
        assert word in line


def test_without_a_mistake_it_starts_again_and_again(start: Start, tmp_path: Path) -> None:
    for _ in range(2):
        code, text = start(tmp_path / "kept")
        assert (code, text.count("http://127.0.0.1:"), "WARNING" in text) == (0, 1, False)


def test_a_folder_in_use(start: Start, tmp_path: Path) -> None:
    with Hub.open(tmp_path / "kept", {}, {}, Limits()):
        refused(start(tmp_path / "kept"), "another server uses this folder", "--folder")


def test_a_newer_database(start: Start, tmp_path: Path) -> None:
    start(tmp_path / "kept")
    with sqlite3.connect(tmp_path / "kept" / "jobs.sqlite") as database:
        database.execute("PRAGMA user_version = 99")
    refused(start(tmp_path / "kept"), "jobs.sqlite", "newer aqakit")


def test_a_damaged_database(start: Start, tmp_path: Path) -> None:
    kept = tmp_path / "kept" / "jobs.sqlite"
    start(kept.parent)
    jobs = Jobs(kept)
    for number in range(200):
        jobs.add("a" * 100, "run", None, 1, job_id=str(number))
    jobs.close()
    whole = kept.read_bytes()
    torn = whole[:8192] + os.urandom(4096) + whole[12288:]
    for content in (b"no database at all" * 100, whole[:5000], torn, whole[:30] + b"\xff" * 40 + whole[70:]):
        kept.write_bytes(content)
        refused(start(kept.parent), "jobs.sqlite: cannot be used")
        assert kept.read_bytes() == content  # as it was, for whoever repairs it
    kept.unlink()
    with sqlite3.connect(kept) as other:
        other.execute("CREATE TABLE jobs (something TEXT)")
    refused(start(kept.parent), "jobs.sqlite: cannot be used")


@pytest.mark.parametrize("place", ["kept", "kept/videos"])
def test_a_file_in_place_of_a_folder(start: Start, tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("a file")
    refused(start(tmp_path / "kept"), f"{tmp_path / place} is a file")
    assert (tmp_path / place).read_text() == "a file"


def test_a_folder_in_place_of_a_file_or_below_a_file(start: Start, tmp_path: Path) -> None:
    (tmp_path / "kept" / "jobs.sqlite").mkdir(parents=True)
    refused(start(tmp_path / "kept"), "jobs.sqlite")
    (tmp_path / "file").touch()
    refused(start(tmp_path / "file" / "kept"), "file/kept", "--folder")


def test_a_folder_that_cannot_be_written(start: Start, tmp_path: Path) -> None:
    refused(start(Path("/proc/kept")), "/proc/kept", "--folder")
    (tmp_path / "disk").mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "ro,size=64k", "tmpfs", str(tmp_path / "disk")]
    if os.geteuid() != 0 or subprocess.run(words, check=False, capture_output=True).returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        for folder in (tmp_path / "disk", tmp_path / "disk" / "new"):
            refused(start(folder), str(tmp_path / "disk"), "Read-only file system", "--folder")
    finally:
        subprocess.run(["umount", "-l", str(tmp_path / "disk")], check=True)


def test_a_full_disk(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Jobs) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Jobs, "recover", refuse)
    refused(start(tmp_path / "kept"), "database or disk is full")


def test_a_port_in_use_and_an_address_that_is_not_here(start: Start, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        refused(start(tmp_path / "kept", port=port), f"port {port} of 127.0.0.1 is in use", "--port")
    refused(start(tmp_path / "kept", "--host", "192.0.2.1"), "--host 192.0.2.1", "no such address")
    for odd in ("no.such.host.invalid", "a..b", "[::1", "1.2.3.4.5"):
        refused(start(tmp_path / "kept", "--host", odd), odd)
    assert not (tmp_path / "kept").exists()


def test_a_port_is_taken_at_every_address_of_a_name() -> None:
    port = free_port()
    sockets = listen("localhost", port)
    try:
        for one in sockets:
            assert one.getsockname()[1] == port
            with socket.create_connection(one.getsockname()[:2], timeout=5):
                pass
    finally:
        for one in sockets:
            one.close()


def test_an_empty_token_is_refused(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(start(tmp_path / "kept", "--token", ""), "token", "empty")
    monkeypatch.setenv("AQAKIT_TOKEN", "")
    refused(start(tmp_path / "kept"), "token", "empty")
    assert start(tmp_path / "kept", "--token", "sesame")[0] == 0


def test_an_open_door_is_said_loudly(start: Start, tmp_path: Path) -> None:
    code, text = start(tmp_path / "kept", "--host", "0.0.0.0")
    assert code == 0
    assert "WARNING: no token is set" in text
    assert "WARNING" not in start(tmp_path / "kept", "--host", "0.0.0.0", "--token", "sesame")[1]
