"""Connections that send nothing, or too slowly, end; and they keep nobody else out."""

import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import uvicorn

from aqakit.web import connections, scorer
from aqakit.web.app import create_app
from aqakit.web.connections import Connection, limited
from aqakit.web.job import Job
from aqakit.web.limits import Limits
from aqakit.web.listening import AT_ONCE, listen
from tests.web.siege import besieged, health_watched
from tests.web.test_scorer import Answers, FakeWorker
from tests.web.test_start import free_port

Connect = Callable[..., socket.socket]
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Answer at once; ``/slow`` after the body, ``/large`` with more than fits into any buffer."""
    if scope["path"] == "/slow":
        while (await receive()).get("more_body"):
            pass
    body = bytes(2**25) if scope["path"] == "/large" else b"answer"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def connect() -> Iterator[Connect]:
    """Connects to a server whose times are short and that has room for twenty connections."""
    times = {"most": 20, "header_seconds": 0.3, "reading_seconds": 0.3}
    protocol = type("Short", (Connection,), times)
    sockets = listen("127.0.0.1", free_port())
    config = uvicorn.Config(answer, http=protocol, lifespan="off", log_level="critical", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=(sockets,))
    thread.start()

    def connected(first: bytes = b"") -> socket.socket:
        made = socket.create_connection(address, timeout=5)
        made.sendall(first)
        return made

    address = sockets[0].getsockname()
    yield connected
    server.should_exit = True
    thread.join()


def rest(one: socket.socket) -> tuple[bytes, float]:
    """What arrives until the end of the connection, and the seconds until then."""
    started, found = time.monotonic(), b""
    try:
        while part := one.recv(2**16):
            found += part
    except ConnectionResetError:
        pass
    return found, time.monotonic() - started


def trickle(one: socket.socket, data: bytes, pause: float = 0.02, within: float = 5.0) -> float:
    """Send the same byte again and again until the connection ends; return the seconds until then."""
    started = time.monotonic()
    while time.monotonic() < started + within:
        try:
            one.sendall(data)
        except OSError:
            return time.monotonic() - started
        time.sleep(pause)
    raise AssertionError("it is still open")


@pytest.mark.parametrize(
    ("first", "said"),
    [(b"", b""), (REQUEST[:20], b"HTTP/1.1 408 "), (REQUEST, b"HTTP/1.1 200 "), (REQUEST + b"GET /", b"HTTP/1.1 200 ")],
)
def test_one_that_sends_no_whole_header_ends(connect: Connect, first: bytes, said: bytes) -> None:
    with connect(first) as one:
        found, seconds = rest(one)
    assert found.startswith(said)
    assert bool(found) == bool(said)
    assert (b"408" in found) == (first not in (b"", REQUEST))
    assert 0.2 < seconds < 2


def test_a_header_that_trickles_ends(connect: Connect) -> None:
    with connect(b"GET / HTTP/1.1\r\nx-y: ") as one:
        assert trickle(one, b"x") < 2


def test_a_body_that_goes_on_after_its_answer_ends(connect: Connect) -> None:
    with connect(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nx") as one:
        assert one.recv(100).startswith(b"HTTP/1.1 200 ")
        assert trickle(one, b"x") < 2


def test_an_answer_that_is_not_read_ends(connect: Connect) -> None:
    with connect(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n") as one:
        time.sleep(1.0)
        found, _ = rest(one)
    assert len(found) < 2**25


@pytest.mark.slow
def test_an_answer_that_is_read_slowly_does_not_end(connect: Connect) -> None:
    with connect(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") as one:
        length = 0
        for _ in range(10):
            length += len(one.recv(2**21))
            time.sleep(0.05)
        length += len(rest(one)[0])
    assert length > 2**25


def test_a_request_may_take_longer_than_a_header(connect: Connect) -> None:
    with connect(b"POST /slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 20\r\n\r\n") as one:
        for _ in range(20):
            one.sendall(b"x")
            time.sleep(0.03)
        assert rest(one)[0].endswith(b"answer")


@pytest.mark.parametrize("first", [b"", b"GET / HT", REQUEST])
def test_silent_ones_make_way_for_new_ones(connect: Connect, first: bytes) -> None:
    with ExitStack() as stack:
        silent = [stack.enter_context(connect(first)) for _ in range(60)]
        for _ in range(5):
            started = time.monotonic()
            with connect(REQUEST) as one:
                assert one.recv(100).startswith(b"HTTP/1.1 200 ")
            assert time.monotonic() - started < 0.25
        assert len(silent) == 60


@pytest.mark.slow
def test_begun_bodies_make_way_and_busy_ones_do_not(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    head = b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\nx"
    with ExitStack() as stack:
        begun = [stack.enter_context(connect(head)) for _ in range(20)]
        time.sleep(0.05)
        with connect(REQUEST) as one:
            found, seconds = rest(one)
            assert found.startswith(b"HTTP/1.1 503 ")
            assert b"Retry-After" in found
            assert seconds < 0.25
        monkeypatch.setattr(connections, "SILENCE", 0.0)
        with connect(REQUEST) as one:
            assert one.recv(100).startswith(b"HTTP/1.1 200 ")
        assert rest(begun[0])[1] < 1  # the oldest has gone


class Refusing(FakeWorker):
    """Refuses every video at once: a fake score could not be answered to its sender."""

    def ask(self, job: Job, _: Path) -> Answers:
        yield {"problem": f"{job.name} is no video"}


@pytest.mark.slow
def test_a_small_siege_keeps_no_honest_visitor_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scorer, "Worker", Refusing)
    card: Any = SimpleNamespace(needs_difficulty=False)
    limits = Limits(queue=40, disk=30 * 2**20)  # less than the siege claims
    app = create_app(tmp_path / "kept", {"tiny": tmp_path}, {"tiny": card}, limits=limits)
    port = free_port()
    config = uvicorn.Config(app, http=limited(200), ws="none", log_level="critical", backlog=AT_ONCE)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=(listen("127.0.0.1", port),))
    thread.start()
    try:
        with besieged(port, 80, 80), health_watched(port) as health, httpx.Client(timeout=20, verify=False) as client:
            for _ in range(20):
                started = time.monotonic()
                sent = client.post(f"http://127.0.0.1:{port}/api/scores?run=tiny", content=bytes(100_000))
                assert sent.status_code == 202, sent.text
                assert time.monotonic() - started < 10
    finally:
        server.should_exit = True
        thread.join()
    assert max(health) <= 0.5


def test_there_are_files_for_all_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    set_to: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: set_to.append(limits))
    for given, most, wanted in (
        ((1024, 4096), 1000, [(2100, 4096)]),
        ((1024, 1024), 462, []),
        ((9000, 9000), 1000, []),
    ):
        set_to.clear()
        monkeypatch.setattr(resource, "getrlimit", lambda _, given=given: given)
        assert limited(1000).most == most
        assert set_to == wanted
