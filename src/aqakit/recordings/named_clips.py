"""Clip plan of recordings whose parts have names, such as the gestures of surgery: one clip for each part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aqakit.errors import DataError
from aqakit.recordings.clip_plan import ClipPlan, Frames, spread
from aqakit.system.wording import option
from aqakit.types import Segment


@dataclass(frozen=True)
class Named(ClipPlan):
    """One clip for each named segment of the recording: ``frames`` frames, evenly from its first to its last.

    What reads rows instead of pictures takes all rows of a segment. The segments are those of the sample, so that the
    plan has clips only after :meth:`of`.
    """

    frames: int = 16

    @property
    def size(self) -> int:
        """Number of frames of each clip (T)."""
        return self.frames

    def number(self, length: int) -> int | None:
        """None: it depends on the segments."""
        return None

    def of(self, segments: Sequence[Segment], where: str) -> ClipPlan:
        """Return the plan for a recording with these named segments.

        Raises:
            DataError: there are none.
        """
        if not segments:
            raise DataError(
                f"{where}: the clip plan takes one clip for each named segment, and there are none; give them "
                f"({option('segments')}, the column segments of a manifest, the data set's files), or choose another "
                "plan"
            )
        return Marked(self.frames, tuple(segments), where)

    def _short(self, length: int) -> bool:
        raise DataError("the clips of this plan are named segments of a recording, and none are given")

    def _clips(self, length: int) -> Frames:
        raise DataError("the clips of this plan are named segments of a recording, and none are given")


@dataclass(frozen=True)
class Marked(ClipPlan):
    """The plan :class:`Named` for one recording.

    >>> marked = Named(frames=3).of([Segment("reach", 0, 4), Segment("push", 5, 14)], "trial 1")
    >>> marked.clips(20), marked.names()
    (array([[ 0,  2,  4], [ 5,  9, 14]]), ('reach', 'push'))
    >>> marked.spans((3, 9), 20)
    array([[3, 4], [5, 9]])
    """

    frames: int
    segments: tuple[Segment, ...]
    where: str = field(compare=False)

    kind = Named.__name__.lower()

    @property
    def size(self) -> int:
        """Number of frames of each clip (T)."""
        return self.frames

    def names(self, window: tuple[int, int] | None = None) -> tuple[str, ...]:
        """Return the name of each clip."""
        return tuple(segment.name for segment in self._inside(window))

    def within(self, window: tuple[int, int], length: int, shift: int = 0) -> Frames:
        """Return the (N, T) int64 frame numbers of the segments that the window holds, each cut to it.

        Raises:
            ValueError: the window is empty or not inside the video.
            DataError: a segment is not inside the video, or none is in the window.
        """
        table = [first + spread(self.frames, last - first + 1) for first, last in self.spans(window, length).tolist()]
        return np.clip(np.stack(table) + shift, 0, length - 1)

    def spans(self, window: tuple[int, int], length: int) -> Frames:
        """Return the first and last frame of each segment, (N, 2) int64; the arguments are those of :meth:`within`."""
        begin, end = window
        if not 0 <= begin <= end < length:
            raise ValueError(f"the window {begin}–{end} is not inside a video of {length} frames")
        for name, first, last in self.segments:
            if not 0 <= first <= last < length:
                raise DataError(
                    f"{self.where}: the segment {name} has frames {first} to {last}, counted from 0, but the recording "
                    f"has frames 0 to {length - 1}"
                )
        if not (inside := self._inside(window)):
            raise DataError(f"{self.where}: no named segment is in the window from {begin} to {end}")
        return np.array([(max(s.first, begin), min(s.last, end)) for s in inside], np.int64)

    def short(self, length: int, window: tuple[int, int] | None = None) -> bool:
        """Whether frames of a segment must be repeated."""
        spans = self.spans(window or (0, length - 1), length)
        return bool((spans[:, 1] - spans[:, 0] + 1).min() < self.frames)

    def fingerprint(self) -> dict[str, Any]:
        """Return the frames of each clip and of each segment; names change no pictures."""
        return {"kind": self.kind, "frames": self.frames, "spans": [[s.first, s.last] for s in self.segments]}

    def _inside(self, window: tuple[int, int] | None) -> list[Segment]:
        return [s for s in self.segments if window is None or (s.first <= window[1] and s.last >= window[0])]

    def _short(self, length: int) -> bool:
        return self.short(length)

    def _clips(self, length: int) -> Frames:
        return self.within((0, length - 1), length)
