"""HTTP connections with time limits, so that visitors who send nothing keep nobody else out."""

from __future__ import annotations

import asyncio
import resource
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from aqakit.web.uploads import client_of

MOST = 1000
"""Connections at the same time; the one that can best be missed is closed in favour of a new one."""

HEADER_SECONDS = 10.0
"""Time for the header of a request, from the start of the connection or the end of the answer before it."""

READING_SECONDS = 30.0
"""Time for which a client may read nothing of an answer, or go on with a body after its answer."""

SILENCE = 1.0
"""Seconds after which a client that has begun a body is one that can be missed."""


TURNS = 8
"""Requests that are begun in one round of the event loop, so that hundreds at once do not block it."""

FIRST = b"GET /healthz "
"""Begin of the request that never waits for a turn."""


class Turns:
    """Lets a few requests begin in each round of the event loop; the others wait in their order."""

    def __init__(self, most: int = TURNS) -> None:
        self.most = self._left = most
        self._waiting: deque[Callable[[], None]] = deque()

    def take(self, loop: asyncio.AbstractEventLoop, begin: Callable[[], None]) -> None:
        """Call a function now, or as soon as it is its turn."""
        if self._left == self.most:
            loop.call_soon(self._renew, loop)
        if self._left:
            self._left -= 1
            begin()
        else:
            self._waiting.append(begin)

    def _renew(self, loop: asyncio.AbstractEventLoop) -> None:
        self._left = self.most
        while self._waiting and self._left:
            self._left -= 1
            self._waiting.popleft()()
        if self._left < self.most:
            loop.call_soon(self._renew, loop)


class Connection(H11Protocol):
    """One connection. Uvicorn's, which by itself waits for a header for ever and accepts any number of connections."""

    most = MOST
    turns = Turns()
    header_seconds = HEADER_SECONDS
    reading_seconds = READING_SECONDS
    address = ""
    heard = 0.0
    unread = 0
    _watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection, if need be in place of another one, or refuse it with 503."""
        super().connection_made(transport)
        self.address = client_of(self.client[0]) if self.client else ""
        self.heard = self.loop.time()
        if len(self.connections) > self.most and not self._replace_another():
            self._refuse(b"503 Service Unavailable", b"Retry-After: 5\r\n")
        else:
            self._end_after(self.header_seconds)

    def data_received(self, data: bytes) -> None:
        """Pass on what arrived, a new request in its turn."""
        self.heard = self.loop.time()
        if not self._waits or data.startswith(FIRST):
            return super().data_received(data)
        self.flow.pause_reading()
        return self.turns.take(self.loop, lambda: self._begin(data))

    def _begin(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()
            super().data_received(data)

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the rest of this one."""
        self.unread = self.transport.get_write_buffer_size()
        goes_on = self.unread or self.conn.their_state is h11.SEND_BODY
        self._end_after(self.reading_seconds if goes_on else self.header_seconds)
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Wait until the client has read a part of the answer."""
        super().pause_writing()
        self.unread = self.transport.get_write_buffer_size()
        self._end_after(self.reading_seconds)

    def resume_writing(self) -> None:
        """Go on with the answer."""
        super().resume_writing()
        self._end_after(self.header_seconds if self._waits else None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._end_after(None)
        super().connection_lost(exc)

    @property
    def _waits(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _end_after(self, seconds: float | None) -> None:
        if self._watch:
            self._watch.cancel()
        self._watch = None if seconds is None else self.loop.call_later(seconds, self._end)

    def _end(self) -> None:
        before, self.unread = self.unread, self.transport.get_write_buffer_size()
        if self.unread and self.unread < before:  # slow, but it reads
            self._end_after(self.reading_seconds)
        elif self.unread:
            self.transport.abort()
        elif self._waits:
            begun = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
            self._refuse(b"408 Request Timeout") if begun else self.transport.close()

    def _refuse(self, status: bytes, header: bytes = b"") -> None:
        """Answer without a request that could be read, and close."""
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 " + status + b"\r\nConnection: close\r\n" + header + b"\r\n")
            self.transport.close()

    def _replace_another(self) -> bool:
        """Close the one that can best be missed: without a request, of the client with the most, silent for longest."""
        now, open_ones = self.loop.time(), [one for one in self.connections if isinstance(one, Connection)]
        count = Counter(one.address for one in open_ones)
        missed = [one for one in open_ones if one is not self and one._can_be_missed(now)]
        if not missed:
            return False
        one = max(missed, key=lambda one: (one.cycle is None, count[one.address], now - one.heard))
        one.transport.abort()
        self.connections.discard(one)  # at once; uvicorn does so only in the next turn of the loop
        return True

    def _can_be_missed(self, now: float) -> bool:
        return self._waits or (self.cycle.more_body and now - self.heard > SILENCE)


def limited(wanted: int = MOST) -> type[Connection]:
    """Return the protocol with as many connections as this process may open files for, two for each."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * wanted + 100
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        soft = allowed
    most = wanted if soft == resource.RLIM_INFINITY else min(wanted, max(1, (soft - 100) // 2))
    options: dict[str, Any] = {"most": most, "turns": Turns()}
    return type("Connection", (Connection,), options)
