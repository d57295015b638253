"""What every clip plan is: a choice of the frames of each clip, by integer arithmetic on frame numbers.

A plan maps the number of frames of a video into an (N, T) table of frame numbers, one row for each clip.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqakit.errors import OptionError
from aqakit.types import Segment

Frames = NDArray[np.int64]


def spread(count: int, length: int) -> Frames:
    """Return ``count`` frame numbers, evenly from first to last of ``length``, rounded down: ⌊i (L − 1) / (n − 1)⌋.

    Frames repeat if ``count`` is greater than ``length``.

    >>> spread(5, 9), spread(5, 3), spread(1, 9)
    (array([0, 2, 4, 6, 8]), array([0, 0, 1, 1, 2]), array([0]))
    """
    return np.arange(count, dtype=np.int64) * (length - 1) // max(count - 1, 1)


def thinned(length: int, most: int) -> Frames:
    """Return the numbers of at most ``most`` of ``length`` frames, evenly from first to last, rounded to the nearest.

    >>> thinned(9, 3), thinned(3, 5)
    (array([0, 4, 8]), array([0, 1, 2]))
    """
    return np.unique(np.linspace(0, length - 1, most).round().astype(np.int64))


class ClipPlan(ABC):
    """Base class: chooses the frames of each clip of a video."""

    @property
    def kind(self) -> str:
        """Name of the kind of plan."""
        return type(self).__name__.lower()

    @property
    def size(self) -> int:
        """Number of frames of each clip (T)."""
        return self.clips(1).shape[1]

    def number(self, length: int) -> int | None:
        """Number of clips of a video of this length (N); None if it depends on more than the length."""
        return len(self.clips(length))

    def of(self, segments: Sequence[Segment], where: str) -> ClipPlan:
        """Return the plan for a recording with these named segments; ``where`` names it in messages."""
        return self

    def names(self, window: tuple[int, int] | None = None) -> tuple[str, ...]:
        """Return the name of each clip, if the clips are named segments of a recording; else nothing."""
        return ()

    @abstractmethod
    def _short(self, length: int) -> bool:
        """Whether frames must be repeated for a video of this length."""

    @abstractmethod
    def _clips(self, length: int) -> Frames:
        """(N, T) frame numbers in [0, length)."""

    def _reach(self, window: tuple[int, int]) -> tuple[int, int]:
        """Return the first frame that may be read for the window, and the number of frames."""
        return window[0], window[1] - window[0] + 1

    def short(self, length: int, window: tuple[int, int] | None = None) -> bool:
        """Whether the video, or a window of it, is too short for the plan, so that frames are repeated."""
        return self._short(self._reach(window or (0, length - 1))[1])

    def clips(self, length: int, shift: int = 0) -> Frames:
        """Return the (N, T) int64 frame numbers in [0, length).

        Args:
            length: number of frames of the video.
            shift: number of frames to move all clips by (the papers' temporal augmentation); positions outside
                the video repeat its first or last frame.
        """
        return self.within((0, length - 1), length, shift)

    def within(self, window: tuple[int, int], length: int, shift: int = 0) -> Frames:
        """Return the (N, T) int64 frame numbers of an action in the ``window`` (both ends included) of a video.

        Raises:
            ValueError: the window is empty or not inside the video.
        """
        first, last = window
        if not 0 <= first <= last < length:
            raise ValueError(f"the window {first}–{last} is not inside a video of {length} frames")
        start, count = self._reach(window)
        return np.clip(start + self._clips(count) + shift, 0, length - 1)

    def spans(self, window: tuple[int, int], length: int) -> Frames:
        """Return the first and last frame of each clip, (N, 2) int64; the arguments are those of :meth:`within`."""
        table = self.within(window, length)
        return np.stack([table.min(1), table.max(1)], axis=1)

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that determines which frames are read, as JSON values."""
        return {"kind": self.kind, **asdict(self)}  # type: ignore[call-overload]

    def __post_init__(self) -> None:
        for key, value in asdict(self).items():  # type: ignore[call-overload]
            if isinstance(value, int) and value < 1:
                raise OptionError(f"clip plan {self.kind}: {key} must be at least 1, not {value}")
