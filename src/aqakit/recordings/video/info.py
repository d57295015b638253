"""Metadata of videos, reports of how reading went, and limits."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from av.video.frame import VideoFrame

MAX_PIXELS = 2**26
"""Largest frame that is read: 67 million pixels, twice 8K."""

READABLE = 0.5
"""Minimum share of readable frames, both of the requested and of the declared ones."""

LIMITS = {"max_pixels": str(MAX_PIXELS)}
"""The limits as options of FFmpeg's decoders."""


@dataclass(frozen=True)
class VideoInfo:
    """Metadata of a video.

    Attributes:
        path: the file or the folder of pictures.
        frames: counted number of frames.
        promised: approximate number declared by the header or index; more than ``frames`` if it is cut off.
        width, height: of an upright frame, in pixels.
        rate: average frames per second; 0 if unknown, as for a folder of pictures.
        duration: in seconds; 0 if the rate is unknown.
        codec: FFmpeg's name of the codec.
        rotation: degrees, anticlockwise, by which stored frames are rotated upright.
    """

    path: Path
    frames: int
    promised: int
    width: int
    height: int
    rate: float
    duration: float
    codec: str
    rotation: int


@dataclass
class Report:
    """How reading went, summed over all calls that it was passed to.

    Attributes:
        requested: number of distinct frames requested.
        decoded: how many of them were readable.
        corrupt: how many of the readable ones the decoder flagged as damaged.
        missing: how many were replaced by another frame.
        absent: approximate number of declared frames after the end of files that are cut off.
    """

    requested: int = 0
    decoded: int = 0
    corrupt: int = 0
    missing: int = 0
    absent: int = 0

    def sentence(self) -> str:
        """Return the report in words.

        >>> Report(requested=160, decoded=157, corrupt=2, missing=3).sentence()
        '157 of 160 frames readable; 3 missing, replaced by the frame before; 2 flagged corrupt'
        """
        parts = [f"{self.decoded} of {self.requested} frames readable"]
        parts += [f"{self.missing} missing, replaced by the frame before"] * (self.missing > 0)
        parts += [f"{self.corrupt} flagged corrupt"] * (self.corrupt > 0)
        parts += [f"cut off about {self.absent} frames early"] * (self.absent > 0)
        return "; ".join(parts)


class Source(Protocol):
    """A source of frames: a file or a folder."""

    @property
    def info(self) -> VideoInfo:
        """Metadata of the video."""

    def decode(self, wanted: Sequence[int]) -> Generator[tuple[int, VideoFrame], None, None]:
        """Yield readable frames with their numbers, in order: the requested ones, and possibly others."""


def turns(frame: VideoFrame) -> int:
    """Return the anticlockwise quarter turns that make a frame upright."""
    return round(frame.rotation / 90) % 4


def describe(path: Path, frame: VideoFrame, codec: str, count: int, *, rate: float = 0.0, absent: int = 0) -> VideoInfo:
    """Return the metadata of a video, given one decoded frame."""
    quarters = turns(frame)
    width, height = (frame.height, frame.width) if quarters % 2 else (frame.width, frame.height)
    duration = count / rate if rate else 0.0
    return VideoInfo(path, count, count + absent, width, height, rate, duration, codec, 90 * quarters)
