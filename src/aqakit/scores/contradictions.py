"""Comparisons that contradict each other: no scale puts both, or a whole circle of them, in order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import expit

from aqakit.scores.paired_comparison import PairedScale

_SHOWN = 5


def described(scale: PairedScale, better: Sequence[int], worse: Sequence[int], names: Sequence[str]) -> list[str]:
    """Return sentences on comparisons that contradict each other, or are unlikely by the scale of all of them."""
    both = [" and ".join(sorted((names[i], names[j]))) for i, j in both_ways(better, worse)]
    notes = [f"said both ways: {_listed(both)}"] if both else []
    if not both and (way := cycle(better, worse)):
        notes.append("a circle, each better than the next: " + ", ".join(names[k] for k in way))
    odd = [f"{names[better[k]]} over {names[worse[k]]}" for k in surprises(scale, better, worse)]
    return notes + ([f"against the rest, look again: {_listed(odd)}"] if odd else [])


def _listed(found: Sequence[str]) -> str:
    more = len(found) - _SHOWN
    return "; ".join(found[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def both_ways(better: Sequence[int], worse: Sequence[int]) -> list[tuple[int, int]]:
    """Return the pairs that were said both ways, (i, j) with i < j."""
    said = set(zip(better, worse, strict=True))
    return sorted((i, j) for i, j in said if i < j and (j, i) in said)


def cycle(better: Sequence[int], worse: Sequence[int]) -> list[int]:
    """Return a shortest circle in which each item was preferred to the next, [a, b, …, a]; empty if there is none."""
    after: dict[int, set[int]] = {}
    for i, j in zip(better, worse, strict=True):
        after.setdefault(i, set()).add(j)
    found = [way for start in sorted(after) if (way := _back_to(start, after))]
    return min(found, key=len, default=[])


def surprises(scale: PairedScale, better: Sequence[int], worse: Sequence[int], chance: float = 0.1) -> list[int]:
    """Return which comparisons the scale gives less than a chance, the least likely first."""
    likely = expit(scale.strength[np.array(better)] - scale.strength[np.array(worse)])
    return [int(k) for k in likely.argsort(kind="stable") if likely[k] < chance]


def _back_to(start: int, after: dict[int, set[int]]) -> list[int]:
    before: dict[int, int] = {}
    edge = [start]
    while edge:
        reached = []
        for i in edge:
            for j in sorted(after.get(i, ())):
                if j == start:
                    return _path(i, start, before)
                if j not in before:
                    before[j] = i
                    reached.append(j)
        edge = reached
    return []


def _path(last: int, start: int, before: dict[int, int]) -> list[int]:
    """The way from ``start`` to ``last``, and back to ``start``."""
    way, here = [start], last
    while here != start:
        way.append(here)
        here = before[here]
    return [start, *way[:0:-1], start]
