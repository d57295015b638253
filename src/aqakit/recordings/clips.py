"""Kinds of clip plans, the plans of the papers, and how they are written in an option.

A plan maps the number of frames of a video into an (N, T) table of frame numbers, one row for each clip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from aqakit import discovery
from aqakit.errors import OptionError
from aqakit.recordings.clip_plan import ClipPlan as ClipPlan
from aqakit.recordings.clip_plan import Frames as Frames
from aqakit.recordings.clip_plan import spread as spread
from aqakit.recordings.named_clips import Named


@dataclass(frozen=True)
class Uniform(ClipPlan):
    """``count`` clips of ``frames`` frames, ``stride`` apart, evenly from the first frame to the last.

    A video shorter than one clip gives the same clip ``count`` times, with its frames spread over the video.

    >>> Uniform(count=3, frames=2).clips(9)
    array([[0, 1], [3, 4], [7, 8]])
    >>> Uniform(count=2, frames=4).clips(3)
    array([[0, 0, 1, 2], [0, 0, 1, 2]])
    """

    count: int
    frames: int
    stride: int = 1

    def _short(self, length: int) -> bool:
        return length < _span(self.frames, self.stride)

    def _clips(self, length: int) -> Frames:
        if self._short(length):
            return np.tile(spread(self.frames, length), (self.count, 1))
        room = length - _span(self.frames, self.stride)
        starts = spread(self.count, room + 1) if self.count > 1 else np.array([room // 2])
        return _runs(starts, self.frames, self.stride)


@dataclass(frozen=True)
class Sliding(ClipPlan):
    """A clip of ``frames`` frames, ``stride`` apart, every ``step`` frames, however long the video is.

    The last clip is moved back to end with the video, so that its end is covered. A video shorter than one clip
    gives one clip, with its frames spread over the video.

    >>> Sliding(frames=4, step=3).clips(9)
    array([[0, 1, 2, 3], [3, 4, 5, 6], [5, 6, 7, 8]])
    """

    frames: int
    step: int
    stride: int = 1

    def _short(self, length: int) -> bool:
        return length < _span(self.frames, self.stride)

    def _clips(self, length: int) -> Frames:
        if self._short(length):
            return spread(self.frames, length)[None]
        last = length - _span(self.frames, self.stride)
        starts = np.unique(np.append(np.arange(0, last + 1, self.step), last))
        return _runs(starts, self.frames, self.stride)


@dataclass(frozen=True)
class Segments(ClipPlan):
    """One frame from the middle of each of ``count`` equal segments, as TSN samples at test time: (count, 1).

    >>> Segments(3).clips(10).ravel()
    array([1, 5, 8])
    """

    count: int

    def _short(self, length: int) -> bool:
        return length < self.count

    def _clips(self, length: int) -> Frames:
        return ((2 * np.arange(self.count, dtype=np.int64) + 1) * length // (2 * self.count))[:, None]


@dataclass(frozen=True)
class Every(ClipPlan):
    """Every ``step``-th frame from the first on, as clips of one frame: (N, 1).

    >>> Every(4).clips(10).ravel()
    array([0, 4, 8])
    """

    step: int

    def _short(self, length: int) -> bool:
        return length < 1

    def _clips(self, length: int) -> Frames:
        return np.arange(0, length, self.step, dtype=np.int64)[:, None]


@dataclass(frozen=True)
class Starts(ClipPlan):
    """A published plan: clips at given ``starts`` of a window of ``nominal`` frames.

    Clip k consists of the frames ``starts[k] + offsets``. A longer video is reduced to the nominal length by
    ``fit``: its ``last`` frames (a window that ends where the action ends, and begins before the action if that is
    shorter), its ``centre``, or as many frames ``spread`` evenly over it. A shorter video is always
    spread: frame i of the plan is then ⌊i (L − 1) / (nominal − 1)⌋, so that some frames repeat. With ``rounding`` by
    ``linspace``, that number is computed in floating point, as by ``np.linspace(0, L - 1, nominal, dtype=int)`` in the
    public code: for some lengths, a frame is then one lower.

    >>> PLANS["dae"].clips(103)[-1], PLANS["dae"].clips(110)[0, 0], PLANS["dae"].clips(52).max()
    (array([ 87,  88, ..., 101, 102]), np.int64(7), np.int64(51))
    """

    starts: tuple[int, ...]
    offsets: tuple[int, ...]
    nominal: int
    fit: Literal["last", "centre", "spread"] = "last"
    rounding: Literal["exact", "linspace"] = "exact"

    def __post_init__(self) -> None:
        super().__post_init__()
        reach = max(self.starts, default=0) + max(self.offsets, default=0)
        if not self.starts or not self.offsets or min(*self.starts, *self.offsets) < 0 or reach >= self.nominal:
            raise OptionError(f"clip plan starts: a clip is not inside the {self.nominal} frames of the plan")

    def _short(self, length: int) -> bool:
        return length < self.nominal

    def _clips(self, length: int) -> Frames:
        positions = np.array(self.starts, np.int64)[:, None] + np.array(self.offsets, np.int64)
        if self.fit == "spread" or self._short(length):
            exact = self.rounding == "exact"
            rows = spread(self.nominal, length) if exact else np.linspace(0, length - 1, self.nominal, dtype=np.int64)
            return rows[positions]
        room = length - self.nominal
        return positions + (room if self.fit == "last" else room // 2)

    def _reach(self, window: tuple[int, int]) -> tuple[int, int]:
        return (0, window[1] + 1) if self.fit == "last" else super()._reach(window)

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that determines which frames are read, as JSON values."""
        found = super().fingerprint()
        if self.rounding == "exact":  # left out, so that features cached by earlier versions are found
            del found["rounding"]
        return found


def _span(frames: int, stride: int) -> int:
    return (frames - 1) * stride + 1


def _runs(starts: Frames, frames: int, stride: int) -> Frames:
    return starts[:, None] + np.arange(frames, dtype=np.int64) * stride


_SIXTEEN = tuple(range(16))

PLANS: Mapping[str, ClipPlan] = {
    "dae": Starts((*range(0, 81, 10), 87), _SIXTEEN, 103),
    "usdl": Starts((*range(0, 81, 10), 87), _SIXTEEN, 103),
    "core": Starts((*range(0, 81, 10), 86), _SIXTEEN, 103),
    "tpt": Starts(tuple(range(0, 96, 5)), tuple(range(8)), 103),
    "tsa": Starts(tuple(range(0, 81, 10)), _SIXTEEN, 96, "spread"),
    "c3d-avg": Starts(tuple(range(0, 81, 16)), _SIXTEEN, 103),
    "mscadc": Starts((0,), tuple(13 * i // 2 for i in range(16)), 103),
    "jigsaws": Starts(tuple(range(0, 145, 16)), _SIXTEEN, 160, "spread"),
    "jigsaws-linspace": Starts(tuple(range(0, 145, 16)), _SIXTEEN, 160, "spread", "linspace"),
    "action-net": Starts(tuple(range(0, 2080, 80)), tuple(range(0, 80, 5)), 2080, "centre"),
    "gestures": Named(),
}
"""The clip plans of the papers, and ``gestures``: one clip for each gesture, or other named segment.

- ``dae`` and ``usdl`` (Zhang et al. 2021; Tang et al. 2020): ten clips at 0, 10, …, 80, 87 of 103 frames.
- ``core`` (Yu et al. 2021): the same, but with the last clip at 86, so that frame 102 is never used.
- ``tpt`` (Bai et al. 2022): 20 clips of eight frames at 0, 5, …, 95.
- ``tsa`` (Xu et al. 2022): nine clips at 0, 10, …, 80 of 96 frames spread over the dive.
- ``c3d-avg`` (Parmar and Morris 2019): six consecutive clips; the last seven of 103 frames are not used.
- ``mscadc`` (Parmar and Morris 2019): one clip of 16 frames, 6.5 apart, rounded down.
- ``jigsaws`` (Tang et al. 2020): 160 frames spread over the trial, divided into ten consecutive clips.
- ``jigsaws-linspace``: the same, with the rounding of the public code.
- ``action-net`` (Zeng et al. 2020): 26 consecutive clips of 16 frames at 5 frames per second, from the centre;
  implemented as every fifth frame, which is right for videos of 25 frames per second.
"""

KINDS: Mapping[str, type[ClipPlan]] = {
    "uniform": Uniform,
    "sliding": Sliding,
    "segments": Segments,
    "every": Every,
    "named": Named,
}


def parse(text: str) -> ClipPlan:
    """Parse a plan: the name of one of :data:`PLANS`, or a kind with its numbers.

    >>> parse("sliding:frames=16:step=8")
    Sliding(frames=16, step=8, stride=1)
    >>> parse("sliding/frames=16/step=8")  # the same inside the options of a backbone, separated by colons
    Sliding(frames=16, step=8, stride=1)

    Raises:
        OptionError: there is no such plan, or the numbers do not fit it.
    """
    spec = text.replace("/", ":")
    name, options = discovery.parse_spec(spec) if ":" in spec else (text, {})
    if name in PLANS and not options:
        return PLANS[name]
    if name not in KINDS:
        raise OptionError(f"there is no clip plan {text!r}{discovery.nearest(name, [*PLANS, *KINDS])}")
    try:
        return KINDS[name](**{key: int(value) for key, value in options.items()})
    except (TypeError, ValueError) as error:
        needs = ", ".join(KINDS[name].__annotations__)
        raise OptionError(f"clip plan {text!r} is invalid: {name} takes integers for {needs}") from error
