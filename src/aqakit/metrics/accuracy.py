"""Errors and correlations of predicted scores.

All functions take ``true`` and ``predicted`` (…, n) and work along the last axis, so a thousand resamples are one call.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from aqakit.types import Floats


def spearman(true: ArrayLike, predicted: ArrayLike) -> Floats:
    """Spearman's rank correlation, with ties at their mean rank; NaN where either side is constant.

    >>> float(spearman([1, 2, 3, 4], [10, 20, 40, 30]))
    0.8
    """
    true, predicted = _floats(true), _floats(predicted)
    return pearson(stats.rankdata(true, axis=-1), stats.rankdata(predicted, axis=-1))


def pearson(true: ArrayLike, predicted: ArrayLike) -> Floats:
    """Pearson's linear correlation; NaN where either side is constant."""
    true, predicted = _centred(true), _centred(predicted)
    variance = (true**2).sum(-1) * (predicted**2).sum(-1)
    covariance = (true * predicted).sum(-1)
    undefined = np.full_like(covariance, np.nan)
    return np.asarray(np.divide(covariance, np.sqrt(variance), out=undefined, where=variance > 0))


def kendall(true: ArrayLike, predicted: ArrayLike) -> Floats:
    """Kendall's τ-b; NaN where either side is constant."""
    tau = np.vectorize(lambda a, b: stats.kendalltau(a, b).statistic, signature="(n),(n)->()", otypes=[float])
    return np.asarray(tau(_floats(true), _floats(predicted)))


def fisher_mean(correlations: ArrayLike) -> Floats:
    """Mean of correlations by atanh and tanh (Fisher's z), as is usual over actions. NaN stays NaN.

    USDL's six actions of AQA-7:

    >>> round(float(fisher_mean([0.8099, 0.7570, 0.6538, 0.7109, 0.9166, 0.8878])), 4)
    0.8102
    """
    with np.errstate(divide="ignore"):  # a correlation of 1 is infinite before tanh and 1 again after it
        return np.asarray(np.tanh(np.arctanh(_floats(correlations)).mean(-1)))


def relative_l2(true: ArrayLike, predicted: ArrayLike, span: float) -> Floats:
    """R-ℓ2 × 100, as in the papers' tables: 100 · mean((predicted − true)² / span²).

    Args:
        true: (…, n).
        predicted: (…, n).
        span: highest minus lowest score; published code takes it from the test labels of the run.
    """
    return np.asarray(100 * ((_error(true, predicted) / span) ** 2).mean(-1))


def mae(true: ArrayLike, predicted: ArrayLike) -> Floats:
    """Mean absolute error, in units of the score."""
    return np.asarray(np.abs(_error(true, predicted)).mean(-1))


def rmse(true: ArrayLike, predicted: ArrayLike) -> Floats:
    """Root mean squared error, in units of the score."""
    return np.asarray(np.sqrt((_error(true, predicted) ** 2).mean(-1)))


def two_values(true: ArrayLike) -> tuple[float, float] | None:
    """Return the low and high value of labels (n,) that repeat exactly two, ignoring NaN; otherwise None.

    >>> two_values([0, 1, 1]), two_values([1, 2, 3]), two_values([4.5, 9.0])
    ((0.0, 1.0), None, None)
    """
    known = _floats(true)
    known = known[~np.isnan(known)]
    values = np.unique(known).tolist()
    return (values[0], values[1]) if len(values) == 2 < len(known) else None


def two_value_accuracy(true: ArrayLike, predicted: ArrayLike, values: tuple[float, float]) -> Floats:
    """Share of the predictions on the right side of the middle of the two values that labels have."""
    middle = sum(values) / 2
    return np.asarray(((_floats(predicted) >= middle) == (_floats(true) >= middle)).mean(-1))


def auc(true: ArrayLike, predicted: ArrayLike, values: tuple[float, float]) -> float:
    """Area under the ROC curve of predictions (n,), for labels (n,) of two values; NaN if only one of them occurs."""
    high = _floats(true) >= sum(values) / 2
    count, others = int(high.sum()), int((~high).sum())
    if not count or not others:
        return float("nan")
    return float((stats.rankdata(_floats(predicted))[high].mean() - (count + 1) / 2) / others)  # Mann and Whitney 1947


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)


def _error(true: ArrayLike, predicted: ArrayLike) -> Floats:
    return _floats(predicted) - _floats(true)


def _centred(values: ArrayLike) -> Floats:
    floats = _floats(values)
    # Exactly 0 where constant: subtracting a rounded mean would leave a correlation of rounding errors.
    constant = (floats == floats[..., :1]).all(-1, keepdims=True)
    return np.where(constant, 0.0, floats - floats.mean(-1, keepdims=True))
