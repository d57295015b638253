"""Gaps of a person's joints are filled up to a length, and trembling is smoothed away."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.signal import savgol_filter

Smooth = Literal["none", "one-euro", "savitzky-golay"]
Joints = NDArray[np.float32]

GAP = 0.25
"""Seconds of the longest gap that is filled."""

_CUTOFF, _FASTER, _OF_SPEED = 2.0, 2.0, 1.0
"""The one-euro filter: cutoff at rest in Hz, its growth per body size a second, and the cutoff of the speed in Hz."""

_LENGTH, _ORDER = 0.3, 2
"""Savitzky and Golay: seconds of the window, and degree of the polynomials."""


def present(joints: Joints) -> NDArray[np.bool_]:
    """(T,) whether a frame has joints (T, J, D)."""
    return np.isfinite(joints[:, 0, 0])


def filled(joints: Joints, times: NDArray[np.float64], gap: float) -> Joints:
    """Return joints (T, J, D) whose gaps of at most ``gap`` seconds are filled along straight lines.

    Gaps are frames of NaN; those at the ends stay.
    """
    seen = np.flatnonzero(present(joints))
    done = joints.copy()
    for before, after in pairwise(seen):
        if after - before > 1 and times[after] - times[before] <= gap + 1e-9:
            inside = np.arange(before + 1, after)
            share = (times[inside] - times[before]) / (times[after] - times[before])
            done[inside] = joints[before] + share[:, None, None] * (joints[after] - joints[before])
    return done


def everywhere(joints: Joints, times: NDArray[np.float64]) -> Joints:
    """Return joints without NaN: all gaps are filled along straight lines, those at the ends with the nearest frame."""
    seen = present(joints)
    flat = joints.reshape(len(joints), -1)
    columns = [np.interp(times, times[seen], column[seen]) for column in flat.T]
    return np.stack(columns, 1).reshape(joints.shape).astype(np.float32)


def smoothed(joints: Joints, times: NDArray[np.float64], how: Smooth) -> Joints:
    """Return smoothed joints (T, J, D), each stretch without a gap for itself.

    ``one-euro`` (Casiez, Roussel and Vogel 2012) follows fast motion with little delay. ``savitzky-golay`` fits
    parabolas over 0.3 s, which has no delay and takes frames to be evenly spaced.
    """
    done = joints.copy()
    if how == "none":
        return done
    for first, last in _stretches(present(joints)):
        part, clock = joints[first:last].astype(np.float64), times[first:last]
        done[first:last] = _one_euro(part, clock) if how == "one-euro" else _savitzky_golay(part, clock)
    return done


def _stretches(seen: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], seen, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist())


def _savitzky_golay(joints: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(joints) <= _ORDER + 1:
        return joints
    step = float(np.median(np.diff(times)))
    length = round(_LENGTH / max(step, 1e-6)) | 1
    length = min(max(length, 2 * (_ORDER // 2) + 3), (len(joints) - 1) | 1)
    return savgol_filter(joints, length if length <= len(joints) else length - 2, _ORDER, axis=0)


def _one_euro(joints: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    size = max(float(np.sqrt(np.square(joints - joints.mean(1, keepdims=True)).sum(-1).mean())), 1e-6)
    done = joints.copy()
    speed = np.zeros_like(joints[0])
    for at in range(1, len(joints)):
        step = max(float(times[at] - times[at - 1]), 1e-6)
        slope = (joints[at] - done[at - 1]) / step
        speed += _share(_OF_SPEED, step) * (slope - speed)
        length = np.linalg.norm(speed, axis=-1, keepdims=True) / size
        done[at] = done[at - 1] + _share(_CUTOFF + _FASTER * length, step) * (joints[at] - done[at - 1])
    return done


def _share(cutoff: NDArray[np.float64] | float, step: float) -> NDArray[np.float64] | float:
    """Weight of the new value in a low-pass filter of the first order."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff * step))
