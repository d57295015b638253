"""Room for uploads: who gets how much of the queue and of the disk, and who is cut off."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import math
import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from fastapi import HTTPException
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from aqakit.web.jobs import Jobs
from aqakit.web.limits import MEGABYTE, Limits

LONGEST = 1800.0
"""Maximum duration of an upload in seconds."""

SILENCE = 1.0
"""Seconds without a byte after which an upload is cut off if another one needs its room."""

LOOK_AGAIN = 0.25
"""Seconds between two looks of an upload that waits for room."""

FULL = "the disk of the server is full; try again when its owner has made space"


@dataclass(eq=False)
class Arrival:
    """An upload that has room, and is arriving.

    Attributes:
        client: who sends it.
        size: bytes of the disk that are reserved for it.
        arrived: bytes that are on the disk.
        heard: time of the loop when it was last waited for; infinite while it is the server that works.
        limit: cuts it off when it expires.
    """

    client: str
    size: int
    heard: float
    limit: asyncio.Timeout
    arrived: int = 0


class Uploads:
    """Grants room to uploads, one by one, in the thread of the event loop; what was granted counts at once.

    Args:
        jobs: the queue.
        folder: where the videos are stored.
        limits: of uploads, queue and disk.
    """

    def __init__(self, jobs: Jobs, folder: Path, limits: Limits) -> None:
        self.jobs, self.folder, self.limits = jobs, folder, limits
        self._arriving: set[Arrival] = set()
        self._by_client: Counter[str] = Counter()
        self._reserved = 0  # bytes of all that are arriving
        self._missing = 0  # those of them that are not yet on the disk

    @asynccontextmanager
    async def receive(self, body: AsyncIterator[bytes], promised: int, file: Path, client: str) -> AsyncIterator[int]:
        """Write a body to a file as it arrives, and yield its size; the room is held until the end of the context.

        Args:
            body: parts of the video.
            promised: its size in bytes; 0 if unknown.
            file: where to write it; it is deleted if the upload or the context fails.
            client: who sends it.

        Raises:
            HTTPException: there is no room, or the upload is too large, too slow, empty or interrupted.
        """
        self._check_size(promised)
        arrival = None
        try:
            async with asyncio.timeout(LONGEST) as limit:
                async with asyncio.timeout(self.limits.window):
                    first = await _beginning(body, self.limits.rate * self.limits.window)
                arrival = await self._enter(promised or self.limits.upload, client_of(client), limit)
                await self._write(first, body, file, arrival)
            yield arrival.arrived
        except BaseException as error:  # a visitor who leaves causes a cancellation
            with suppress(OSError):
                file.unlink(missing_ok=True)
            raise _refusal(error) from None
        finally:
            if arrival:
                self._leave(arrival)

    async def _enter(self, size: int, client: str, limit: asyncio.Timeout) -> Arrival:
        """Wait a moment for room if others hold it, and take it."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self.limits.patience
        while refusal := self._refused(size, client):
            self._cut_off_the_silent(loop.time())
            if loop.time() > until or (refusal.status_code == 507 and not self._arriving):
                raise refusal
            await asyncio.sleep(LOOK_AGAIN)
        arrival = Arrival(client, size, loop.time(), limit)
        self._arriving.add(arrival)
        self._by_client[client] += 1
        self._reserved += size
        self._missing += size
        return arrival

    def _leave(self, arrival: Arrival) -> None:
        if arrival in self._arriving:
            self._arriving.discard(arrival)
            self._by_client[arrival.client] -= 1
            self._by_client += Counter()  # forget those who hold nothing
            self._reserved -= arrival.size
            self._missing -= arrival.size - arrival.arrived

    def _refused(self, size: int, client: str) -> HTTPException | None:
        limits, usage = self.limits, self.jobs.usage
        if usage.waiting + len(self._arriving) >= limits.queue:
            return HTTPException(503, "the queue is full; try again later", {"Retry-After": "60"})
        held = usage.by_client.get(client, 0) + self._by_client[client]
        if held >= math.ceil(limits.share * limits.queue):
            return HTTPException(429, f"{held} of your videos are waiting; send more later", {"Retry-After": "60"})
        if usage.stored + self._reserved + size > limits.disk:
            return HTTPException(507, "the server has no space left for videos; try again in some hours")
        if self._missing + size + limits.spare > shutil.disk_usage(self.folder).free:
            return HTTPException(507, FULL)
        return None

    def _cut_off_the_silent(self, now: float) -> None:
        """End the upload that has been silent for longest, so that another one gets its room."""
        slowest = min(self._arriving, key=lambda one: one.heard, default=None)
        if slowest and now - slowest.heard > SILENCE:
            slowest.limit.reschedule(now)
            self._leave(slowest)

    async def _write(self, first: bytes, body: AsyncIterator[bytes], file: Path, arrival: Arrival) -> None:
        limits, loop = self.limits, asyncio.get_running_loop()
        with open_private(file) as out:
            async with asyncio.timeout(limits.window) as pace:
                await self._add(first, out, arrival)
                since = len(first)
                async for chunk in body:
                    await self._add(chunk, out, arrival)
                    since += len(chunk)
                    if since >= limits.rate * limits.window:
                        since = 0
                        pace.reschedule(loop.time() + limits.window)
            arrival.heard = math.inf
            await run_in_threadpool(out.flush)
        if not arrival.arrived:
            raise HTTPException(400, "no video arrived; send it as the body of the request")

    async def _add(self, chunk: bytes, out: BinaryIO, arrival: Arrival) -> None:
        self._check_size(arrival.arrived + len(chunk))
        arrival.heard = math.inf
        await run_in_threadpool(out.write, chunk)
        arrival.heard = asyncio.get_running_loop().time()
        arrival.arrived += len(chunk)
        if arrival in self._arriving:
            self._missing -= len(chunk)

    def _check_size(self, size: int) -> None:
        if size > self.limits.upload:
            raise HTTPException(413, f"the video is larger than {self.limits.upload / MEGABYTE:g} MB; cut or shrink it")


async def _beginning(body: AsyncIterator[bytes], least: float) -> bytes:
    """Wait for the first bytes of a body, in memory; an upload that does not send even these gets no room."""
    first = bytearray()
    async for chunk in body:
        first += chunk
        if len(first) >= least:
            break
    return bytes(first)


def _refusal(error: BaseException) -> BaseException:
    if isinstance(error, TimeoutError):
        return HTTPException(408, "the upload was too slow, or paused while others waited")
    if isinstance(error, ClientDisconnect):
        return HTTPException(400, "the upload was interrupted")
    return refused_by_disk(error) or error


def refused_by_disk(error: BaseException) -> HTTPException | None:
    """Return the answer to a request that failed because something cannot be stored; None for other errors."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return HTTPException(507, FULL)
    if isinstance(error, sqlite3.Error):
        if "full" in str(error) or "I/O" in str(error):
            return HTTPException(507, FULL)
        return HTTPException(503, "the queue cannot be reached at the moment; try again", {"Retry-After": "5"})
    return None


@lru_cache(maxsize=1024)
def client_of(address: str) -> str:
    """Return what stands for a client: its address, or its network if it may have as many addresses as it likes.

    >>> client_of("192.0.2.7"), client_of("2001:db8::1:2:3:4")
    ('192.0.2.7', '2001:db8::/64')
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4 or found.is_loopback:
        return str(found)
    return str(ipaddress.ip_network((int(found), 64), strict=False))


def open_private(file: Path) -> BinaryIO:
    """Create a file that only its owner can read, whatever the umask."""
    opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.fchmod(opened, 0o600)
    return os.fdopen(opened, "wb")
