"""Decoded frames that are found again without opening, hashing or reading a file.

Frames in the cache are mapped into memory: they cost memory only as long as the system has room for them, and all
processes of a machine share it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Lock

from aqakit.features.extract import Pixels

ROOM = 2**30
"""Bytes of frames that are kept, in each process, of recordings that cannot be cached."""

MAPPED = 30_000
"""Recordings that are kept mapped; a process may have 65,530 mappings on Linux."""


class PixelMemory:
    """Frames of the recordings that were read first, as far as there is room; others are read every time."""

    def __init__(self, room: int = ROOM, mapped: int = MAPPED) -> None:
        self._room, self._mapped = room, mapped
        self._held: dict[Hashable, Pixels] = {}
        self._lock = Lock()

    def get(self, key: Hashable, read: Callable[[], Pixels]) -> Pixels:
        """Return what is held under a key; else read it, and hold it if it fits. Threads may ask at the same time."""
        if key in self._held:
            return self._held[key]
        pixels = read()
        with self._lock:
            if key not in self._held and self._fits(pixels):
                self._held[key] = pixels
        return pixels

    def _fits(self, pixels: Pixels) -> bool:
        if pixels.mapped:
            self._mapped -= 1
            return self._mapped >= 0
        fits = pixels.frames.nbytes <= self._room
        self._room -= fits * pixels.frames.nbytes
        return fits
