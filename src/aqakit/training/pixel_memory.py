"""Decoded frames that stay in memory while there is room, so that an epoch need not read them from the disk again."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from aqakit.features.extract import Pixels

ROOM = 2**30
"""Bytes of frames that are kept, in each process."""


class PixelMemory:
    """Frames of the recordings that were read first, up to ``room`` bytes; others are read every time."""

    def __init__(self, room: int = ROOM) -> None:
        self._left = room
        self._held: dict[Hashable, Pixels] = {}

    def get(self, key: Hashable, read: Callable[[], Pixels]) -> Pixels:
        """Return what is held under a key; else read it, and hold it if it fits."""
        if key in self._held:
            return self._held[key]
        pixels = read()
        if pixels.frames.nbytes <= self._left:
            self._left -= pixels.frames.nbytes
            self._held[key] = pixels
        return pixels
