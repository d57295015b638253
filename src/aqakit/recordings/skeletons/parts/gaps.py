"""Joints that are missing for a while: interpolated, and flagged where they were missing for too long."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def fill(values: NDArray[np.float64], longest: int) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Interpolate linearly over time; before the first and after the last sight of a joint, hold that position.

    A joint that is never seen is put at the mean of the joints that are.

    Args:
        values: (T, J, C), NaN in any coordinate of a joint that is missing.
        longest: frames of the longest gap that counts as seen.

    Returns:
        The values without NaN; (T, J) whether a joint counts as seen; (T, J) whether it was missing.
    """
    missing: NDArray[np.bool_] = np.asarray(np.isnan(values).any(2))
    filled = values.copy()
    never = missing.all(0)
    times = np.arange(len(values))
    for joint in np.flatnonzero(missing.any(0) & ~never):
        there = ~missing[:, joint]
        for axis in range(values.shape[2]):
            known = values[there, joint, axis]
            filled[~there, joint, axis] = np.interp(times[~there], times[there], known)
    if never.any():
        filled[:, never] = filled[:, ~never].mean(1, keepdims=True)
    return filled, ~missing | (_lengths(missing) <= longest), missing


def _lengths(missing: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(T, J) length of the gap that each missing joint is in; 0 where it is not missing.

    A joint that is never seen is in no gap that has an end.
    """
    found = np.zeros(missing.shape, np.int64)
    edges = np.diff(np.pad(missing, ((1, 1), (0, 0))).astype(np.int8), axis=0)
    for joint in np.flatnonzero(missing.any(0)):
        starts, ends = np.flatnonzero(edges[:, joint] == 1), np.flatnonzero(edges[:, joint] == -1)
        for start, end in zip(starts, ends, strict=True):
            whole = end - start == len(missing)
            found[start:end, joint] = np.iinfo(np.int64).max if whole else end - start
    return found
