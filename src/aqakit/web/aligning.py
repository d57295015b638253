"""Two recordings paired in time by dynamic time warping. Runs in a process that may die."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqakit.explanation.comparison import compared, warp
from aqakit.recordings import video
from aqakit.recordings.clip_plan import thinned
from aqakit.types import Floats
from aqakit.web.limits import Limits
from aqakit.web.motion import channels

MOMENTS = 400
"""Frames of a video that are paired; of a longer one, as many evenly over the time."""

CELLS = 24
"""Rows and columns to which a frame is reduced to tell moments apart."""

PACE = 25.0
"""Frames per second of a video that has no rate of its own."""

DIFFERENCES = 6
"""Channels of motion whose difference is told."""


def videos(first: Path, second: Path, limits: Limits) -> dict[str, Any]:
    """Pair the moments of two videos.

    Returns:
        ``pairs``, (time of the first, time of the second) in seconds, both never falling, one for each moment of the
        first; ``seconds``, the length of each; ``rates``, frames per second of each.

    Raises:
        VideoError: one of them cannot be read, or is longer or larger than allowed.
    """
    (times_a, a, rate_a), (times_b, b, rate_b) = (_signature(path, limits) for path in (first, second))
    ends = [float(times[-1]) + 1 / rate for times, rate in ((times_a, rate_a), (times_b, rate_b))]
    return {"pairs": _of_the_first(warp(a, b), times_a, times_b), "seconds": ends, "rates": [rate_a, rate_b]}


def motion(first: Path, second: Path, kind: str, layouts: Sequence[str | None]) -> dict[str, Any]:
    """Pair the moments of two recordings of motion; ``kind`` and ``layouts`` as of :func:`.motion.channels`.

    Returns:
        The same as of videos, and ``differences``: the channels that differ most.

    Raises:
        DataError: one of them cannot be read, or they have different channels.
    """
    a, b = (channels(path, kind, layout) for path, layout in zip((first, second), layouts, strict=True))
    found = compared(a, b, str(first), str(second))
    times_a, times_b = (np.arange(len(one.values)) / one.rate for one in (a, b))
    told = ("channel", "unit", "mean", "largest", "at_a", "at_b")
    return {
        "pairs": _of_the_first(found.pairs, times_a, times_b),
        "seconds": [len(a.values) / a.rate, len(b.values) / b.rate],
        "rates": [a.rate, b.rate],
        "differences": [{name: getattr(one, name) for name in told} for one in found.differences[:DIFFERENCES]],
    }


def _of_the_first(pairs: NDArray[np.intp], times_a: Floats, times_b: Floats) -> list[list[float]]:
    """One pair of times for each moment of the first that is paired."""
    rows = np.unique(pairs[:, 0])
    partner = np.array([times_b[pairs[pairs[:, 0] == row, 1]].mean() for row in rows])
    found = np.stack([times_a[rows], np.maximum.accumulate(partner)], 1)
    return [[round(x, 4) for x in pair] for pair in found.tolist()]


def _signature(path: Path, limits: Limits) -> tuple[Floats, Floats, float]:
    """Times (T,) in seconds, what moves in small grey frames (T, CELLS²), and the frame rate.

    The median over time is taken off, so that the background, which says nothing of the moment, is gone.
    """
    info = video.probe(path)
    limits.check(info)
    numbers = thinned(info.frames, MOMENTS)
    read = video.stream(path, numbers.tolist(), size=(CELLS, CELLS), interpolation="area")
    grey = np.array([frame.mean(2).ravel() for _, frame in read])
    moving = grey - np.median(grey, 0)
    return frame_times(path, info.frames)[numbers], moving / (moving.std() or 1.0), info.rate or PACE


def frame_times(path: Path, frames: int) -> Floats:
    """Seconds (T,) at which a browser shows the frames."""
    found = video.times(path)
    return np.arange(frames) / PACE if found is None else found
