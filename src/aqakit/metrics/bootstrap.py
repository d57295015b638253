"""Bootstrap of a statistic: how much it would vary on other test samples, within folds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from aqakit.types import Floats

Statistic = Callable[[Floats, Floats], Floats]

_AT_ONCE = 2_000_000  # maximum number of resampled scores in memory


def bootstrap(
    statistic: Statistic,
    true: ArrayLike,
    predicted: ArrayLike,
    folds: ArrayLike | None = None,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Floats:
    """Return (draws,) means over folds of a statistic, with samples resampled within each fold; NaN if undefined.

    The same seed, folds and number of samples give the same resamples, so that two methods can be compared in pairs.

    Args:
        statistic: ``(true (…, n), predicted (…, n)) -> (…)``, as in :mod:`aqakit.metrics.accuracy`.
        true: (n,) scores.
        predicted: (n,) scores.
        folds: (n,) test fold of each sample; None for a single fold.
        draws: number of resamples.
        seed: seed of the resampling.
    """
    true, predicted = np.asarray(true, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    fold = np.zeros(len(true)) if folds is None else np.asarray(folds)
    random = np.random.default_rng(seed)
    total = np.zeros(draws)
    for name in np.unique(fold):
        (members,) = np.nonzero(fold == name)
        for part in np.array_split(np.arange(draws), -(-draws * len(members) // _AT_ONCE)):
            drawn = members[random.integers(len(members), size=(len(part), len(members)))]
            total[part] += statistic(true[drawn], predicted[drawn])
    return total / len(np.unique(fold))


def bootstrap_interval(
    statistic: Statistic,
    true: ArrayLike,
    predicted: ArrayLike,
    folds: ArrayLike | None = None,
    *,
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile interval, of probability ``level``, of the draws of :func:`bootstrap`.

    Returns:
        Low and high end, ignoring draws where the statistic is undefined (all values equal); NaN if all are.
    """
    means = bootstrap(statistic, true, predicted, folds, draws=draws, seed=seed)
    return interval(means, level)


def interval(draws: Floats, level: float = 0.95) -> tuple[float, float]:
    """Return the central percentile interval of draws (n,), ignoring NaN; NaN if all are."""
    known = draws[~np.isnan(draws)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
