"""How many pairs are in order: of two, is the one that was said to be better the one with the higher score?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_DRAWS = 2000


@dataclass(frozen=True)
class PairsInOrder:
    """Share of pairs in order.

    Attributes:
        share: of the weight of all pairs; a tie counts half.
        low: lower end of the 95 % interval.
        high: upper end.
        ties: number of pairs whose two scores are equal.
        pairs: number of pairs.
    """

    share: float
    low: float
    high: float
    ties: int
    pairs: int


def in_order(
    score: NDArray[np.floating],
    better: Sequence[int],
    worse: Sequence[int],
    weight: Sequence[float] | None = None,
    seed: int = 0,
) -> PairsInOrder:
    """Judge scores (n,) by m pairs of them, given as indices.

    The interval is a bootstrap over *items*, since pairs that share one share its error: each draw weighs a pair by how
    often both of its items were drawn.

    Raises:
        ValueError: there are no pairs.
    """
    won, lost = np.array(better, np.intp), np.array(worse, np.intp)
    if not len(won):
        raise ValueError("there are no pairs to judge")
    times = np.ones(len(won)) if weight is None else np.array(weight, float)
    gap = np.asarray(score, float)[won] - np.asarray(score, float)[lost]
    right = (gap > 0) + 0.5 * (gap == 0)
    rng, n = np.random.default_rng(seed), len(score)
    draws = []
    for _ in range(_DRAWS):
        count = np.bincount(rng.integers(0, n, n), minlength=n)
        drawn = times * count[won] * count[lost]
        if drawn.sum() > 0:
            draws.append(drawn @ right / drawn.sum())
    low, high = np.quantile(draws, [0.025, 0.975]) if draws else (0.0, 1.0)
    share = float(times @ right / times.sum())
    return PairsInOrder(share, float(min(low, share)), float(max(high, share)), int((gap == 0).sum()), len(won))
