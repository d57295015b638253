"""What a video holds, how reading it went, and the limits of what is read."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from av.video.frame import VideoFrame

MAX_PIXELS = 2**26
"""The largest frame that is read: 67 million pixels, twice 8K."""

READABLE = 0.5
"""The least share of the frames, of those wanted and of those the file promises, that must be readable."""

LIMITS = {"max_pixels": str(MAX_PIXELS)}
"""The limits as FFmpeg's decoders are told them."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video holds.

    Attributes:
        path: the file or the folder of pictures.
        frames: how many frames there are, counted.
        promised: about how many there should be by the header or index: more than ``frames`` if it is cut off.
        width, height: of an upright frame, in pixels.
        rate: average frames per second; 0 where none is known, as in a folder of pictures.
        duration: in seconds; 0 where no rate is known.
        codec: FFmpeg's name of it.
        rotation: degrees, anticlockwise, by which stored frames are turned to stand upright.
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
    """How reading went, summed over the calls that were given it.

    Attributes:
        requested: distinct frames wanted.
        decoded: how many of them were readable.
        corrupt: how many of the readable ones the decoder flagged as damaged.
        missing: how many were replaced by another frame.
        absent: about how many frames the files promise behind their last one, being cut off.
    """

    requested: int = 0
    decoded: int = 0
    corrupt: int = 0
    missing: int = 0
    absent: int = 0

    def sentence(self) -> str:
        """In words.

        >>> Report(requested=160, decoded=157, corrupt=2, missing=3).sentence()
        '157 of 160 frames readable; 3 missing, replaced by the frame before; 2 flagged corrupt'
        """
        parts = [f"{self.decoded} of {self.requested} frames readable"]
        parts += [f"{self.missing} missing, replaced by the frame before"] * (self.missing > 0)
        parts += [f"{self.corrupt} flagged corrupt"] * (self.corrupt > 0)
        parts += [f"cut off about {self.absent} frames early"] * (self.absent > 0)
        return "; ".join(parts)


class Source(Protocol):
    """Something that frames come from."""

    @property
    def info(self) -> VideoInfo:
        """What it holds."""

    def decode(self, wanted: Sequence[int]) -> Generator[tuple[int, VideoFrame], None, None]:
        """Readable frames with their numbers, in order: those wanted, and perhaps others."""


def turns(frame: VideoFrame) -> int:
    """Quarter turns, anticlockwise, that make a frame upright."""
    return round(frame.rotation / 90) % 4


def describe(path: Path, frame: VideoFrame, codec: str, count: int, *, rate: float = 0.0, absent: int = 0) -> VideoInfo:
    """The facts of a video, one frame of which is decoded."""
    quarters = turns(frame)
    width, height = (frame.height, frame.width) if quarters % 2 else (frame.width, frame.height)
    duration = count / rate if rate else 0.0
    return VideoInfo(path, count, count + absent, width, height, rate, duration, codec, 90 * quarters)
