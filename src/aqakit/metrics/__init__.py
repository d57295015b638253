"""Numbers that judge predicted distributions against true scores.

``accuracy`` looks at the means only, ``scoring`` and ``calibration`` at the whole distributions; :func:`evaluate` is
one row of all of them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aqakit.distributions import ScoreDistribution
from aqakit.metrics import accuracy, calibration, scoring

Floats = NDArray[np.float64]
Statistic = Callable[[Floats, Floats], Floats]

COVERAGES = (0.5, 0.8, 0.9, 0.95)
"""Central intervals that :func:`evaluate` looks at."""

_AT_ONCE = 2_000_000  # resampled scores held in memory


def evaluate(distribution: ScoreDistribution, true: ArrayLike, span: float) -> dict[str, float]:
    """One row of a table: accuracy of the mean, proper scores, calibration.

    Args:
        distribution: of batch shape (n,).
        true: (n,) scores.
        span: highest minus lowest score, for ``relative_l2`` (which is × 100).
    """
    score, mean = np.asarray(true, dtype=np.float64), distribution.detach().mean.cpu().double().numpy()
    return {
        "spearman": float(accuracy.spearman(score, mean)),
        "kendall": float(accuracy.kendall(score, mean)),
        "pearson": float(accuracy.pearson(score, mean)),
        "mae": float(accuracy.mae(score, mean)),
        "rmse": float(accuracy.rmse(score, mean)),
        "relative_l2": float(accuracy.relative_l2(score, mean, span)),
        "nll": scoring.nll(distribution, score),
        "crps": scoring.crps(distribution, score),
        **{f"coverage_{level * 100:g}": calibration.coverage(distribution, score, level) for level in COVERAGES},
        **{f"width_{level * 100:g}": calibration.width(distribution, level) for level in COVERAGES},
        "ece": calibration.expected_calibration_error(distribution, score),
        "error_spread": calibration.error_spread_correlation(distribution, score).spearman,
        "error_spread_bins": calibration.binned_error_spread(distribution, score),
        "risk_area": calibration.risk_coverage(distribution, score).area,
    }


def bootstrap(
    statistic: Statistic,
    true: ArrayLike,
    predicted: ArrayLike,
    folds: ArrayLike | None = None,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Floats:
    """(draws,) means over folds of a statistic, resampling samples within each fold; NaN where it is undefined.

    The same seed, folds and number of samples give the same resamples, so that two methods can be compared in pairs.

    Args:
        statistic: ``(true (…, n), predicted (…, n)) -> (…)``, as in :mod:`aqakit.metrics.accuracy`.
        true: (n,) scores.
        predicted: (n,) scores.
        folds: (n,) which fold each sample was tested in; without it, all are one fold.
        draws: number of resamplings.
        seed: of the resampling.
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
    """Percentile interval, of probability ``level``, of what :func:`bootstrap` draws.

    Returns:
        Low and high end, without the draws where the statistic is undefined (all one value); NaN when all are.
    """
    means = bootstrap(statistic, true, predicted, folds, draws=draws, seed=seed)
    return interval(means, level)


def interval(draws: Floats, level: float = 0.95) -> tuple[float, float]:
    """Central percentile interval of draws (n,), those that are NaN left out; NaN when all are."""
    known = draws[~np.isnan(draws)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
