"""Calibration of predicted uncertainty: of 90 % intervals, nine in ten should contain the true score."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from aqakit.metrics import accuracy
from aqakit.metrics.scoring import as_tensor
from aqakit.scores.distributions import Point, ScoreDistribution
from aqakit.types import Floats

LEVELS = np.linspace(0.05, 0.95, 19)


class RiskCoverage(NamedTuple):
    """Risk–coverage curve: the error if only the most certain predictions are used.

    Attributes:
        coverage: (n,) shares 1/n, 2/n … 1 of the predictions, the most certain first.
        risk: (n,) their mean absolute error, averaged over all orders of predictions with equal spread.
    """

    coverage: Floats
    risk: Floats

    @property
    def area(self) -> float:
        """Mean of the risk over all shares: low if errors are small and large errors have a large spread."""
        return float(self.risk.mean())


class RankAgreement(NamedTuple):
    """Two rank correlations of the same pairs."""

    spearman: float
    kendall: float


def coverage(distribution: ScoreDistribution, score: ArrayLike, level: float = 0.9) -> float:
    """Share of the true scores (n,) inside the central interval, including its ends; NaN for points."""
    if isinstance(distribution, Point):
        return float("nan")
    low, high = distribution.detach().interval(level)
    true = as_tensor(distribution, score)
    return float(((low <= true) & (true <= high)).double().mean())


def width(distribution: ScoreDistribution, level: float = 0.9) -> float:
    """Mean width of the central interval, in units of the score; NaN for points, which state none."""
    if isinstance(distribution, Point):
        return float("nan")
    low, high = distribution.detach().interval(level)
    return float((high - low).mean())


def pit(distribution: ScoreDistribution, score: ArrayLike) -> Floats:
    """Probability integral transform (n,): the cdf of each true score, uniform on 0 to 1 if calibrated."""
    return distribution.detach().cdf(as_tensor(distribution, score)).cpu().double().numpy()


def expected_calibration_error(distribution: ScoreDistribution, score: ArrayLike, levels: ArrayLike = LEVELS) -> float:
    """Mean over levels of |share of true scores (n,) below that quantile − level| (Kuleshov et al. 2018)."""
    level = as_tensor(distribution, levels)
    below = as_tensor(distribution, score)[:, None] <= distribution.detach().quantile(level)
    return float((below.double().mean(0) - level).abs().mean())


def error_spread_correlation(distribution: ScoreDistribution, score: ArrayLike) -> RankAgreement:
    """Rank correlations of the errors |mean − score| with the standard deviations; NaN if either is constant.

    Kendall's τ is over single videos; RICA² (Majeedi et al. 2024) reports it over bins of equal size, as
    :func:`binned_error_spread` does.
    """
    error, spread = _error_and_spread(distribution, score)
    return RankAgreement(float(accuracy.spearman(error, spread)), float(accuracy.kendall(error, spread)))


def binned_error_spread(distribution: ScoreDistribution, score: ArrayLike, bins: int = 10) -> float:
    """Kendall's τ of mean error and spread, over bins of equal size sorted by spread."""
    error, spread = _error_and_spread(distribution, score)
    parts = np.array_split(np.argsort(spread, kind="stable"), min(bins, len(error)))
    # The median orders bins as the mean does, and is exactly equal for equal spreads.
    return float(accuracy.kendall([error[p].mean() for p in parts], [np.median(spread[p]) for p in parts]))


def risk_coverage(distribution: ScoreDistribution, score: ArrayLike) -> RiskCoverage:
    """Risk–coverage curve (El-Yaniv and Wiener 2010) of the absolute error, sorted by standard deviation."""
    error, spread = _error_and_spread(distribution, score)
    _, group, size = np.unique(spread, return_inverse=True, return_counts=True)
    typical = (np.bincount(group, error) / size)[np.sort(group)]  # predictions of equal spread get their mean error
    count = np.arange(1, len(error) + 1)
    return RiskCoverage(count / len(error), typical.cumsum() / count)


def _error_and_spread(distribution: ScoreDistribution, score: ArrayLike) -> tuple[Floats, Floats]:
    known = distribution.detach()
    error = (known.mean - as_tensor(distribution, score)).abs()
    return error.cpu().double().numpy(), known.std.cpu().double().numpy()
