"""Which of several answers is likely right, alone and in a sequence of frames."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from aqakit.backbones.parts.blazepose.networks import Seen
from aqakit.backbones.parts.blazepose.regions import Region, between, difference

_ABSENT = 3.5
"""Cost of a frame without the body: as of a presence of .08 where half of it is seen."""


def path(
    tried: Sequence[Sequence[Seen]],
    places: Sequence[tuple[Region, ...]],
    ends: tuple[Region | None, Region | None],
    seconds: float,
) -> list[Seen | None]:
    """Return one of each frame's answers, or None, so that together they cost least (Viterbi).

    Args:
        tried: answers for each frame.
        places: regions in which the body should be in each frame, if known.
        ends: regions of the body before the first and after the last frame, if known.
        seconds: between two frames.
    """
    states = [[*(one for one in some if one.next.is_usable), None] for some in tried]
    where = [[one.next if one else next(iter(place), None) for one in some] for some, place in zip(states, places)]
    total: list[float] = [0.0]
    before: Sequence[Region | None] = [ends[0]]
    back: list[list[int]] = []
    for some, here, place in zip(states, where, places):
        steps = [[total[k] + _step(old, new, seconds) for k, old in enumerate(before)] for new in here]
        back.append([int(np.argmin(step)) for step in steps])
        total = [min(step) + _cost(one, place) for step, one in zip(steps, some)]
        before = here
    total = [sum_ + _step(old, ends[1], seconds) for sum_, old in zip(total, before)]
    at = int(np.argmin(total))
    chosen: list[Seen | None] = []
    for some, came in zip(reversed(states), reversed(back)):
        chosen.append(some[at])
        at = came[at]
    return chosen[::-1]


def _step(old: Region | None, new: Region | None, seconds: float) -> float:
    return 0.0 if old is None or new is None else min(jump(old, new, seconds), 6.0)


def jump(first: Region, second: Region, seconds: float) -> float:
    """Cost of a change of region in a time: 0 as long as a body can move so fast, as in a somersault."""
    off = difference(first, second)
    return (
        4 * max(0.0, off.distance - 0.1 - 3 * seconds)
        + 4 * max(0.0, off.size - 0.1 - 2 * seconds)
        + 2 * max(0.0, off.turn - 0.2 - 18 * seconds)
    )


def likely(seen: Seen) -> float:
    """Logarithm of how likely an answer is right, by presence and how well joints are seen; 0 at most."""
    return math.log(max(seen.presence, 1e-3)) + 2 * math.log(max(float(seen.visibility.mean()), 1e-2))


def _cost(seen: Seen | None, places: tuple[Region, ...]) -> float:
    """Cost of an answer: that it is not likely, and that it is unlike where and how large the body should be."""
    if seen is None:
        return _ABSENT
    off = [difference(seen.next, place) for place in places]
    cost = [3 * max(0.0, one.size - 0.4) + 2 * max(0.0, one.distance - 0.3) + max(0.0, one.turn - 0.8) for one in off]
    return min(cost, default=0.0) - likely(seen)


def places_between(left: Region | None, right: Region | None, share: float) -> tuple[Region, ...]:
    """Where the body should be between two frames; alone, one of them tells less."""
    if left is not None and right is not None:
        return (between(left, right, share),)
    return tuple(one for one in (left, right) if one is not None)


def unlike(one: Region, other: Region) -> bool:
    """Whether a look at one region may tell more than a look at the other."""
    off = difference(one, other)
    return off.distance > 0.1 or off.size > 0.15 or off.turn > 0.2


def agree(one: Region, other: Region) -> bool:
    """Whether two regions may be of the same body, seen by the two networks."""
    off = difference(one, other)
    return off.distance < 0.35 and off.size < 0.4 and off.turn < 1
