"""Whether the stated uncertainty is true: of 90 % intervals, nine in ten should hold the score."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from aqakit.metrics import accuracy
from aqakit.metrics.scoring import as_tensor
from aqakit.scores.distributions import ScoreDistribution
from aqakit.types import Floats

LEVELS = np.linspace(0.05, 0.95, 19)


class RiskCoverage(NamedTuple):
    """What is lost when only the surest predictions are used.

    Attributes:
        coverage: (n,) shares 1/n, 2/n … 1 of the predictions, the surest first.
        risk: (n,) their mean absolute error; predictions of equal spread come in any order, on average.
    """

    coverage: Floats
    risk: Floats

    @property
    def area(self) -> float:
        """Mean of the risk over all shares: low where errors are small and the unsure ones are the large ones."""
        return float(self.risk.mean())


class RankAgreement(NamedTuple):
    """Two rank correlations of the same pairs."""

    spearman: float
    kendall: float


def coverage(distribution: ScoreDistribution, score: ArrayLike, level: float = 0.9) -> float:
    """Share of the true scores (n,) inside the central interval, its ends included."""
    low, high = distribution.detach().interval(level)
    true = as_tensor(distribution, score)
    return float(((low <= true) & (true <= high)).double().mean())


def width(distribution: ScoreDistribution, level: float = 0.9) -> float:
    """Mean width of the central interval, in units of the score."""
    low, high = distribution.detach().interval(level)
    return float((high - low).mean())


def pit(distribution: ScoreDistribution, score: ArrayLike) -> Floats:
    """(n,) cdf of each true score under its prediction: uniform on 0 to 1 when calibrated."""
    return distribution.detach().cdf(as_tensor(distribution, score)).cpu().double().numpy()


def expected_calibration_error(distribution: ScoreDistribution, score: ArrayLike, levels: ArrayLike = LEVELS) -> float:
    """Mean over levels of |share of true scores (n,) below that quantile − level| (Kuleshov et al. 2018)."""
    level = as_tensor(distribution, levels)
    below = as_tensor(distribution, score)[:, None] <= distribution.detach().quantile(level)
    return float((below.double().mean(0) - level).abs().mean())


def error_spread_correlation(distribution: ScoreDistribution, score: ArrayLike) -> RankAgreement:
    """Whether larger errors |mean − score| come with larger standard deviations; NaN when those are constant.

    Kendall's τ is over single videos; RICA² (Majeedi et al. 2024) reports it over bins of equal size, as
    :func:`binned_error_spread` does.
    """
    error, spread = _error_and_spread(distribution, score)
    return RankAgreement(float(accuracy.spearman(error, spread)), float(accuracy.kendall(error, spread)))


def binned_error_spread(distribution: ScoreDistribution, score: ArrayLike, bins: int = 10) -> float:
    """Kendall's τ of mean error against spread, over bins of equal size in the order of the spread."""
    error, spread = _error_and_spread(distribution, score)
    parts = np.array_split(np.argsort(spread, kind="stable"), min(bins, len(error)))
    # The median orders bins as the mean does, and that of equal spreads is exactly equal.
    return float(accuracy.kendall([error[p].mean() for p in parts], [np.median(spread[p]) for p in parts]))


def risk_coverage(distribution: ScoreDistribution, score: ArrayLike) -> RiskCoverage:
    """The risk–coverage curve (El-Yaniv and Wiener 2010) of the absolute error, by standard deviation."""
    error, spread = _error_and_spread(distribution, score)
    _, group, size = np.unique(spread, return_inverse=True, return_counts=True)
    typical = (np.bincount(group, error) / size)[np.sort(group)]  # equal spreads: each the mean error of them all
    count = np.arange(1, len(error) + 1)
    return RiskCoverage(count / len(error), typical.cumsum() / count)


def _error_and_spread(distribution: ScoreDistribution, score: ArrayLike) -> tuple[Floats, Floats]:
    known = distribution.detach()
    error = (known.mean - as_tensor(distribution, score)).abs()
    return error.cpu().double().numpy(), known.std.cpu().double().numpy()
