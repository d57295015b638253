"""Times and numbers of frames: frames per second, and frames that are not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aqakit.errors import DataError

_MOST = 100
"""How many times as long as its frames a recording may become when those that are not there are put in."""


def rate_of(path: Path, seconds: NDArray[np.float64]) -> float | None:
    """Return the frames per second of times; None for fewer than two.

    Raises:
        DataError: a time is missing, or does not come after the one before.
    """
    if len(seconds) < 2:
        return None
    steps = np.diff(seconds)
    bad = np.flatnonzero(~(steps > 0))
    if len(bad):
        raise DataError(
            f"{path}, frame {bad[0] + 1}, counted from 0: its time does not come after that of the frame before; sort "
            "the rows by time, or leave that column out"
        )
    return float(1 / np.median(steps))


def slots(path: Path, numbers: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the place of each frame, from 0, on a line of evenly spaced frames; numbers may count in larger steps.

    Raises:
        DataError: a number is missing, comes twice, is smaller than the one before, or far from all others.
    """
    steps = np.diff(numbers)
    bad = np.flatnonzero(~(steps > 0))
    if np.isnan(numbers).any() or len(bad):
        at = int(bad[0]) + 1 if len(bad) else 0
        raise DataError(
            f"{path}, frame {at}, counted from 0: its number does not follow the one before; sort the frames"
        )
    step = steps.min() if len(steps) else 1.0
    places = (numbers - numbers[0]) / step
    if (places != np.round(places)).any():
        raise DataError(f"{path}: the numbers of its frames are not evenly spaced; number them 0, 1, 2, …")
    if places[-1] >= _MOST * len(numbers):
        at = int(np.argmax(steps))
        raise DataError(
            f"{path}: the numbers of its frames jump from {numbers[at]:.0f} to {numbers[at + 1]:.0f}; number them "
            "0, 1, 2, …"
        )
    return np.round(places).astype(np.int64)


def with_gaps(
    path: Path, numbers: NDArray[np.float64], values: NDArray[np.float64], confidence: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, tuple[str, ...]]:
    """Put in frames that are not there, without joints: values (T, J, C), confidence (T, J), and a note if any."""
    places = slots(path, numbers)
    length = int(places[-1]) + 1 if len(places) else 0
    if length == len(values):
        return values, confidence, ()
    spread = np.full((length, *values.shape[1:]), np.nan)
    spread[places] = values
    if confidence is not None:
        known = np.zeros((length, confidence.shape[1]))
        known[places] = confidence
        confidence = known
    return spread, confidence, (f"{length - len(values)} frames are missing from the numbers of the file",)
