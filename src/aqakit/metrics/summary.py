"""One row of metrics for a set of predictions: accuracy of the mean, proper scores, calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from aqakit.metrics import accuracy, calibration, scoring
from aqakit.scores.distributions import ScoreDistribution

COVERAGES = (0.5, 0.8, 0.9, 0.95)
"""Coverages of the central intervals that :func:`evaluate` evaluates."""


TWO_VALUES = ("accuracy", "auc")
"""Further columns of labels with two values."""


def evaluate(
    distribution: ScoreDistribution, true: ArrayLike, span: float, values: tuple[float, float] | None = None
) -> dict[str, float]:
    """Compute one row of a table: accuracy of the mean, proper scores, calibration.

    Args:
        distribution: predictions of batch shape (n,).
        true: (n,) scores.
        span: highest minus lowest score, for ``relative_l2`` (which is × 100). ``relative_l2_papers`` has the range
            of ``true`` in its place, as published code does; NaN if that is 0.
        values: the two values of the labels of a task, which then has ``accuracy`` and ``auc`` too.
    """
    score, mean = np.asarray(true, dtype=np.float64), distribution.detach().mean.cpu().double().numpy()
    own = float(np.ptp(score)) or float("nan")
    row = {
        "spearman": float(accuracy.spearman(score, mean)),
        "kendall": float(accuracy.kendall(score, mean)),
        "pearson": float(accuracy.pearson(score, mean)),
        "mae": float(accuracy.mae(score, mean)),
        "rmse": float(accuracy.rmse(score, mean)),
        "relative_l2": float(accuracy.relative_l2(score, mean, span)),
        "relative_l2_papers": float(accuracy.relative_l2(score, mean, own)),
        "nll": scoring.nll(distribution, score),
        "crps": scoring.crps(distribution, score),
        **{f"coverage_{level * 100:g}": calibration.coverage(distribution, score, level) for level in COVERAGES},
        **{f"width_{level * 100:g}": calibration.width(distribution, level) for level in COVERAGES},
        "ece": calibration.expected_calibration_error(distribution, score),
        "error_spread": calibration.error_spread_correlation(distribution, score).spearman,
        "error_spread_bins": calibration.binned_error_spread(distribution, score),
        "risk_area": calibration.risk_coverage(distribution, score).area,
    }
    if values:
        found = float(accuracy.two_value_accuracy(score, mean, values)), accuracy.auc(score, mean, values)
        row |= dict(zip(TWO_VALUES, found, strict=True))
    return row


def average(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of every column over folds and seeds.

    A Spearman that is undefined counts as 0. A fold with one value of two has no AUC, and its mean is over the others.
    """
    by_name = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    by_name["spearman"] = np.nan_to_num(by_name["spearman"])
    if (auc := by_name.get("auc")) is not None and not np.isnan(auc).all():
        by_name["auc"] = auc[~np.isnan(auc)]
    return {name: float(values.mean()) for name, values in by_name.items()}


def two_value_notes(values: tuple[float, float] | None) -> list[str]:
    """Return a note on how to read a table of labels with two values; none for other labels."""
    if values is None:
        return []
    low, high = values
    return [
        f"The true scores have two values, {low:g} and {high:g}: Spearman cannot reach 1 unless predictions tie too. "
        f"accuracy: a mean of at least {(low + high) / 2:g} counts as {high:g}; auc: area under the ROC curve."
    ]
