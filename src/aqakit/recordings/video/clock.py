"""Times of frames: what they say of the rate, and how FFmpeg counts the pictures of a video at a constant rate."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low

import numpy as np

PAUSE = 10.0
"""Seconds between two frames, from which on a clock that jumped is suspected …"""

PAUSE_STEPS = 100
"""… if they are also that many times the usual time between two frames."""

HALF = 2**-17
"""FFmpeg moves times away from 0 by this much, so that a half is never in the balance."""

REORDERED = 32
"""Packets are stored in the order of decoding, which differs from that of showing by less than this."""


@dataclass(frozen=True)
class Shown:
    """When a frame is shown, for how long, in units of the track's time base, and whether it is a keyframe."""

    time: int | None
    duration: int
    key: bool


def goes_back(times: Sequence[int]) -> bool:
    """Return whether the clock of a file, whose frames are in the order of decoding, is set back somewhere."""
    shown = np.array(times, np.int64)
    return bool((shown[REORDERED:] < np.maximum.accumulate(shown)[:-REORDERED]).any())


def spacing(times: Sequence[int], unit: float) -> float:
    """Return the mean time between frames, in units of ``unit`` seconds, without jumps of the clock; 0 if unknown."""
    steps = np.diff(np.array(times, np.int64)).astype(float)
    if not len(steps):
        return 0.0
    longest = max(PAUSE_STEPS * float(np.median(steps)), PAUSE / unit if unit else 0.0)
    return float(steps[steps <= longest].mean())


def constant_rate(starts: Sequence[float], durations: Sequence[float], *, alone: bool) -> list[int]:
    """Return in how many pictures each frame is shown when FFmpeg writes a video as pictures (``-i FILE %d.png``).

    A picture is due at each whole number. FFmpeg repeats a frame while the next one is late, and drops one where they
    come too fast; up to 1.1 pictures of drift are let pass. These are the rules of ``do_video_out`` of FFmpeg 5.1, mode
    ``cfr``; other versions may repeat the last frame once more or less.

    Args:
        starts: when each frame is shown, in pictures since the start of the file, in order.
        durations: for how long, in pictures; 1 for each if the file reorders its frames, since FFmpeg then ignores it.
        alone: whether the file has no other track; then the first picture is the first frame, however late.

    >>> constant_rate([0, 1, 4, 5], [1, 1, 1, 1], alone=True)
    [1, 2, 2, 1]
    """
    shown: list[int] = []
    repeats = deque([0, 0, 0], maxlen=3)
    due = 0
    for start, duration in zip(starts, durations, strict=True):
        lead, steps = start + math.copysign(HALF, start) - due, max(round(duration), 1)
        end = lead + steps
        if lead < 0 < end:
            lead = 0.0
        if alone and not shown and lead >= 0.5:
            due, end, lead = round(start), steps, 0.0
        count = 0 if end < -1.1 else round(end) if end > 1.1 else 1
        earlier = min(round(lead - 0.6), count) if end > 1.1 and lead > 1.1 else 0
        shown.append(count - earlier)
        shown[max(len(shown) - 2, 0)] += earlier
        due += count
        repeats.append(earlier)
    shown[-1] += median_low(repeats)
    return shown
