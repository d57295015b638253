"""Folders of numbered pictures, read as videos."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from av.codec.context import CodecContext
from av.error import FFmpegError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from aqakit.errors import VideoError
from aqakit.recordings.video.info import LIMITS, VideoInfo, describe

PICTURES = {".jpg": "mjpeg", ".jpeg": "mjpeg", ".png": "png", ".bmp": "bmp", ".webp": "webp"}
"""File endings of the pictures that are read, and FFmpeg's decoders for them."""


@dataclass(frozen=True)
class Folder:
    """Pictures in the order of the numbers in their names, which may start at any number."""

    info: VideoInfo
    paths: tuple[Path, ...]

    def decode(self, wanted: Sequence[int]) -> Generator[tuple[int, VideoFrame], None, None]:
        """Yield the requested pictures; for an unreadable one, the nearest readable one after the previous request."""
        done = -1
        for number in wanted:
            for nearest in range(number, done, -1):
                frame = _decode(self.paths[nearest])
                if frame is not None:
                    yield nearest, frame
                    break
            done = number


def survey(path: Path) -> Folder:
    """List the pictures and decode the first readable one.

    Raises:
        VideoError: the folder cannot be listed, or has no readable picture.
    """
    try:
        inside = [p for p in path.iterdir() if p.suffix.lower() in PICTURES and not p.name.startswith(".")]
    except OSError as error:
        raise VideoError(f"{path}: {error.strerror}") from error
    if not inside:
        raise VideoError(f"{path} is a folder without frames; expected pictures ({', '.join(PICTURES)})")
    paths = tuple(sorted(inside, key=_by_number))
    frame = next((frame for frame in map(_decode, paths) if frame is not None), None)
    if frame is None:
        raise VideoError(f"{path}: none of its {len(paths)} pictures can be read")
    return Folder(describe(path, frame, PICTURES[paths[0].suffix.lower()], len(paths)), paths)


def _by_number(path: Path) -> list[str | int]:
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.name)]


def _decode(path: Path) -> VideoFrame | None:
    context = CodecContext.create(PICTURES[path.suffix.lower()], "r")
    assert isinstance(context, VideoCodecContext)
    context.options = LIMITS
    try:
        found = [*context.decode(Packet(path.read_bytes())), *context.decode(None)]
    except (FFmpegError, OSError):
        return None
    return found[0] if found else None
