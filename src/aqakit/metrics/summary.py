"""One row of metrics for a set of predictions: accuracy of the mean, proper scores, calibration."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from aqakit.metrics import accuracy, calibration, scoring
from aqakit.scores.distributions import ScoreDistribution

COVERAGES = (0.5, 0.8, 0.9, 0.95)
"""Coverages of the central intervals that :func:`evaluate` evaluates."""


def evaluate(distribution: ScoreDistribution, true: ArrayLike, span: float) -> dict[str, float]:
    """Compute one row of a table: accuracy of the mean, proper scores, calibration.

    Args:
        distribution: predictions of batch shape (n,).
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
