"""Who may send requests: odd headers are refused, and never an error of the server."""

import ipaddress
import random
import socket
from contextlib import suppress
from typing import Any

import pytest

from aqakit.errors import OptionError
from aqakit.web.guard import ADDRESSES, Guard
from aqakit.web.listening import accepted, check_token

ODD = [
    b"", b" ", b"[", b"]", b"[]", b"[:]", b"[::1", b"[::g]", b"[[::1]]", b"[v1.x]", b"::", b":80", b"a:b", b"a b", b"%",
    b"localhost:99999", b"localhost:-1", b"localhost:\xb2", b"localhost:x", b"user@localhost", b"localhost@evil",
    b"localhost/", b"localhost?", b"localhost#", b"\xff\xfe", b"\xe2\x84\xa0", b"\x80localhost", b"null", b"//", b"\\",
    b"1.2.3.4.5", b"evil.example", b"localhost.evil.example", b"x" * 5000,
]  # fmt: skip


def status(guard: Guard, path: str = "/api/runs", **headers: bytes) -> int:
    """The status of the answer to a request with these headers; 200 if it is passed on."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("no body is read")

    named = [(name.encode(), value) for name, value in headers.items()]
    scope = {"type": "http", "path": path, "headers": named, "method": "GET", "query_string": b""}
    with suppress(StopIteration):
        guard(scope, receive, send).send(None)  # it waits for nothing, so it needs no event loop
    return int(sent[0]["status"])


async def behind(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize("hosts", [("localhost", "::1"), None, ("localhost", ADDRESSES)])
def test_odd_hosts_and_origins_are_refused_without_an_error(hosts: tuple[str, ...] | None) -> None:
    guard = Guard(behind, None, hosts)
    chance = random.Random(0)
    odd = [*ODD, *(chance.randbytes(chance.randrange(1, 12)).replace(b"\n", b"") for _ in range(200))]
    for value in odd:
        assert status(guard, host=value) == (200 if hosts is None else 403), value
        assert status(guard, host=b"localhost:8000", origin=b"http://" + value) == 403, value
        assert status(guard, host=b"localhost:8000", origin=value) == 403, value
        assert status(guard, host=b"", origin=value) == 403, value
        assert status(Guard(behind, "sesame", None), host=b"a", authorization=b"Bearer " + value) == 401, value
    assert status(guard, host=b"localhost:8000", origin=b"http://localhost:8000") == 200
    assert status(guard, host=b"LOCALHOST.:8000") == 200


def test_without_a_token_a_network_is_served_under_its_own_names_alone() -> None:
    guard = Guard(behind, None, accepted("0.0.0.0", ["Scores.Example"], None))
    own = socket.gethostname()
    for name in ("localhost", own, own.partition(".")[0] + ".local", "scores.example", "192.0.2.1:80", "[2001:db8::1]"):
        assert status(guard, host=name.encode()) == 200, name
    for name in ("evil.example", "1.2.3", "192.0.2.1.evil.example", ADDRESSES):
        assert status(guard, host=name.encode()) == 403, name
    assert accepted("0.0.0.0", [], "sesame") is None  # a foreign page does not know the token
    only = Guard(behind, None, accepted("127.0.0.1", ["proxy.example"], None))
    assert [status(only, host=h) for h in (b"127.0.0.1", b"proxy.example", b"192.0.2.1")] == [200, 200, 403]
    assert ipaddress.ip_address("127.0.0.1").is_loopback


@pytest.mark.parametrize("token", ["", " ", "\t\n", "two words", "schlüssel", "a\nb"])
def test_a_token_that_protects_nothing_or_cannot_be_sent_is_refused(token: str) -> None:
    with pytest.raises(OptionError, match="empty" if not token.strip() else "ASCII"):
        check_token(token)
    for good in (None, "sesame", "a-_~.!#"):
        check_token(good)
