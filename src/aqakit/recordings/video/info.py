"""Metadata of videos, reports of how reading went, and limits."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from av.video.frame import VideoFrame

from aqakit.recordings.video.orientation import Orientation

MAX_PIXELS = 2**26
"""Largest frame that is read: 67 million pixels, twice 8K."""

READABLE = 0.5
"""Minimum share of readable frames, both of the requested and of the declared ones."""

UNEVEN = (
    "its frame rate varies: if its window counts the pictures that FFmpeg writes at a constant rate, as in MTL-AQA, "
    "choose rate=constant"
)
"""Said of a window in a video whose rate varies."""

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
        mirrored: whether they are mirrored left to right afterwards.
        gaps: of a folder, how many numbers are missing between the first and the last picture.
        varies: whether the frame rate varies, so that counting pictures at a constant rate gives other numbers.
    """

    path: Path
    frames: int
    promised: int
    width: int
    height: int
    rate: float
    duration: float
    codec: str
    rotation: int = 0
    mirrored: bool = False
    gaps: int = 0
    varies: bool = False


class Decoded(NamedTuple):
    """A decoded frame: its number, its pixels, and whether it is damaged."""

    number: int
    frame: VideoFrame
    corrupt: bool


@dataclass
class Report:
    """How reading went, summed over all calls that it was passed to.

    Attributes:
        requested: number of distinct frames requested.
        decoded: how many of them were readable.
        corrupt: how many of the readable ones are damaged.
        missing: how many were replaced by another frame.
        absent: approximate number of declared frames after the end of files that are cut off.
        gaps: how many numbers are missing between the pictures of folders.
        uneven: how many videos have a rate that varies, although frames are counted as stored and a window is given.
        searched: number of frames in which a body was looked for.
        found: in how many of them it was found.
    """

    requested: int = 0
    decoded: int = 0
    corrupt: int = 0
    missing: int = 0
    absent: int = 0
    gaps: int = 0
    uneven: int = 0
    searched: int = 0
    found: int = 0

    @property
    def ok(self) -> bool:
        """Whether there is nothing to say."""
        lost = self.searched - self.found
        return not any((self.corrupt, self.missing, self.absent, self.gaps, self.uneven, lost))

    def sentence(self) -> str:
        """Return the report in words.

        >>> Report(requested=160, decoded=157, corrupt=2, missing=3).sentence()
        '157 of 160 frames readable; 3 missing, replaced by the frame before; 2 damaged'
        """
        parts = [f"{self.decoded} of {self.requested} frames readable"]
        parts += [f"{self.missing} missing, replaced by the frame before"] * (self.missing > 0)
        parts += [f"{self.corrupt} damaged"] * (self.corrupt > 0)
        parts += [f"cut off about {self.absent} frames early"] * (self.absent > 0)
        parts += [f"gaps in the numbers of its pictures ({self.gaps} missing), which are not counted"] * (self.gaps > 0)
        parts += [UNEVEN] * (self.uneven > 0)
        parts += [self.in_view()] if self.searched else []
        return "; ".join(parts)

    def in_view(self) -> str:
        """Return in words in how many frames the body was found.

        >>> Report(searched=103, found=61).in_view()
        'the body is in view in 61 of 103 frames (59 %)'
        """
        return f"the body is in view in {self.found} of {self.searched} frames ({100 * self.found // self.searched} %)"


class Source(Protocol):
    """A source of frames: a file or a folder."""

    @property
    def info(self) -> VideoInfo:
        """Metadata of the video."""

    def decode(self, wanted: Sequence[int]) -> Generator[Decoded, None, None]:
        """Yield readable frames with their numbers, in order: the requested ones, and possibly others."""


def describe(
    path: Path,
    frame: VideoFrame,
    codec: str,
    count: int,
    *,
    rate: float = 0.0,
    absent: int = 0,
    gaps: int = 0,
    varies: bool = False,
) -> VideoInfo:
    """Return the metadata of a video, given one decoded frame."""
    orientation = Orientation.of_frame(frame)
    height, width = orientation.size(frame.height, frame.width)
    return VideoInfo(
        path=path,
        frames=count,
        promised=count + absent,
        width=width,
        height=height,
        rate=rate,
        duration=count / rate if rate else 0.0,
        codec=codec,
        rotation=90 * orientation.quarters,
        mirrored=orientation.mirrored,
        gaps=gaps,
        varies=varies,
    )
