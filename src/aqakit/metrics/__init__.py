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
        "coverage_90": calibration.coverage(distribution, score, 0.9),
        "width_90": calibration.width(distribution, 0.9),
        "ece": calibration.expected_calibration_error(distribution, score),
        "error_spread": calibration.error_spread_correlation(distribution, score).spearman,
    }


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
    """Percentile interval of the mean over folds of a statistic, resampling samples within each fold.

    Args:
        statistic: ``(true (…, n), predicted (…, n)) -> (…)``, as in :mod:`aqakit.metrics.accuracy`.
        true: (n,) scores.
        predicted: (n,) scores.
        folds: (n,) which fold each sample was tested in; without it, all are one fold.
        level: probability of the interval.
        draws: number of resamplings; those where the statistic is undefined (all one value) are left out.
        seed: of the resampling.

    Returns:
        Low and high end; NaN when no resampling has a value.
    """
    true, predicted = np.asarray(true, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    fold = np.zeros(len(true)) if folds is None else np.asarray(folds)
    random = np.random.default_rng(seed)
    total = np.zeros(draws)
    for name in np.unique(fold):
        (members,) = np.nonzero(fold == name)
        drawn = members[random.integers(len(members), size=(draws, len(members)))]
        total += statistic(true[drawn], predicted[drawn])
    means = total[~np.isnan(total)] / len(np.unique(fold))
    if not len(means):
        return float("nan"), float("nan")
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
