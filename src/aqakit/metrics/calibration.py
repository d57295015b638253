"""Whether the stated uncertainty is true: of 90 % intervals, nine in ten should hold the score."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aqakit.distributions import ScoreDistribution
from aqakit.metrics import accuracy
from aqakit.metrics.scoring import as_tensor

Floats = NDArray[np.float64]
LEVELS = np.linspace(0.05, 0.95, 19)


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
    """Whether larger errors |mean − score| come with larger standard deviations; NaN when those are constant."""
    known = distribution.detach()
    error = (known.mean - as_tensor(distribution, score)).abs().cpu().numpy()
    spread = known.std.cpu().numpy()
    return RankAgreement(float(accuracy.spearman(error, spread)), float(accuracy.kendall(error, spread)))
