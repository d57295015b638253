"""Folders of numbered pictures, read as videos: one sequence, with one pattern of names, one ending, unique numbers."""

from __future__ import annotations

import math
import os
import re
import time
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from operator import attrgetter
from pathlib import Path

import numpy as np
from av.codec.context import CodecContext
from av.error import FFmpegError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from aqakit.errors import VideoError
from aqakit.recordings.video.info import LIMITS, Decoded, VideoInfo, describe

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
"""Endings of the file names that are taken for pictures, in upper or lower case."""

_KINDS: Mapping[str, re.Pattern[bytes]] = {
    "mjpeg": re.compile(rb"\xff\xd8\xff"),
    "png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "bmp": re.compile(rb"BM"),
    "webp": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
    "tiff": re.compile(rb"II\*\0|MM\0\*"),
}
"""FFmpeg's decoders, and the first bytes of what they read."""

_SETTLED = 2.0  # seconds; a folder that changed later than that may change again without a new time stamp
_NAMED = 4  # patterns that a message names


@dataclass(frozen=True)
class Folder:
    """Pictures in the order of the numbers in their names, which may start at any number."""

    info: VideoInfo
    names: tuple[str, ...]

    def path_of(self, number: int) -> Path:
        """Return the file of a frame."""
        return self.info.path / self.names[number]

    def decode(self, wanted: Sequence[int]) -> Generator[Decoded, None, None]:
        """Yield the requested pictures; for an unreadable one, the nearest readable one after the previous request.

        Raises:
            VideoError: a picture has another size than the first one.
        """
        done = -1
        for number in wanted:
            for nearest in range(number, done, -1):
                found = _decode(self.path_of(nearest))
                if found is not None:
                    self._check_size(nearest, found[0])
                    yield Decoded(nearest, found[0], found[1])
                    break
            done = number

    def _check_size(self, number: int, picture: VideoFrame) -> None:
        own, first = (picture.width, picture.height), (self.info.width, self.info.height)
        if sorted(own) != sorted(first):  # a camera that is turned in between swaps the sides
            raise VideoError(
                f"{self.path_of(number)} has {own[0]} × {own[1]} pixels, but the first picture of the folder "
                f"{first[0]} × {first[1]}; the pictures of a video have one size, so take out what is of another one"
            )


def survey(path: Path) -> Folder:
    """List the pictures and decode the first readable one.

    Raises:
        VideoError: the folder cannot be listed, holds several sequences, or has no readable picture.
    """
    try:
        modified = path.stat().st_mtime_ns
    except OSError as error:
        raise VideoError(f"{path}: {error.strerror}") from error
    if time.time() - modified / 1e9 < _SETTLED:
        return _survey(path)
    return _remembered(path, modified)


@lru_cache(maxsize=64)
def _remembered(path: Path, modified: int) -> Folder:
    return _survey(path)


def _survey(path: Path) -> Folder:
    try:
        with os.scandir(path) as entries:
            inside = [n for n in map(attrgetter("name"), entries) if n.lower().endswith(ENDINGS) and n[0] != "."]
    except OSError as error:
        raise VideoError(f"{path}: {error.strerror}") from error
    if not inside:
        raise VideoError(f"{path} is a folder without frames; expected pictures ({', '.join(ENDINGS)})")
    names, gaps = _sequence(path, inside)
    first = next((found for name in names if (found := _decode(path / name)) is not None), None)
    if first is None:
        raise VideoError(f"{path}: none of its {len(names)} pictures can be read")
    return Folder(describe(path, first[0], first[2], len(names), gaps=gaps), names)


def _sequence(path: Path, names: Sequence[str]) -> tuple[tuple[str, ...], int]:
    """Return the names in the order of their numbers, and how many numbers are missing.

    Raises:
        VideoError: they are of several sequences, lack a number, or have one twice.
    """
    parts = [re.split(r"([0-9]+)", name[: name.rindex(".")]) for name in names]
    longest = max(map(len, parts))
    values = {k: len({part[k] for part in parts if k < len(part)}) for k in range(longest - 2, 0, -2)}
    counted = max(values, key=values.__getitem__, default=-1)
    patterns = Counter(_pattern(part, counted, name) for part, name in zip(parts, names, strict=True))
    if len(patterns) > 1 or counted < 0:
        listed = [f"{pattern} ({count})" for pattern, count in sorted(patterns.items())]
        more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
        what = f"{len(patterns)} sequences" if counted > 0 else "pictures without numbers"
        raise VideoError(
            f"{path} holds {what}, and a video is one sequence: {', '.join(listed[:_NAMED])}{more}; "
            "give each a folder of its own"
        )
    numbered = sorted((int(part[counted]), name) for part, name in zip(parts, names, strict=True))
    for (number, name), (after, other) in pairwise(numbered):
        if number == after:
            raise VideoError(f"{path}: {name} and {other} have the same number; keep one of them")
    steps = np.diff(np.array([number for number, _ in numbered], object))
    gaps = (numbered[-1][0] - numbered[0][0]) // math.gcd(*steps) + 1 - len(names) if len(steps) else 0
    return tuple(name for _, name in numbered), gaps


def _pattern(parts: Sequence[str], counted: int, name: str) -> str:
    shown = [*parts[:counted], "*", *parts[counted + 1 :]] if 0 < counted < len(parts) else parts
    return "".join(shown) + name[name.rindex(".") :]


def _decode(path: Path) -> tuple[VideoFrame, bool, str] | None:
    """Return a picture, whether it is incomplete, and its kind by its content; None if it cannot be read."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    kind = next((name for name, begin in _KINDS.items() if begin.match(content)), None)
    if kind is None:
        return None
    context = CodecContext.create(kind, "r")
    assert isinstance(context, VideoCodecContext)
    context.options = LIMITS
    try:
        found = [*context.decode(Packet(content)), *context.decode(None)]
    except FFmpegError:
        return None
    return (found[0], found[0].is_corrupt or _is_cut(kind, content), kind) if found else None


def _is_cut(kind: str, content: bytes) -> bool:
    """Return whether a JPEG ends within its pixels, which FFmpeg fills up without a word."""
    return kind == "mjpeg" and content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda")
