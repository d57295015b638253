"""Intervals that keep their promise: fitted on validation predictions, applied to all later ones.

Both recalibrations widen or narrow central intervals until, on the validation samples, each holds the share of
scores that it states. They differ in what they measure a score's distance by:

- :class:`Conformal`: |score − mean| / std, or |score − mean| where the method answers with a point (split
  conformal prediction, Lei et al. 2018). The answer has the shape of a normal between the fitted levels, and
  exactly the predicted mean.
- :class:`Isotonic`: the level of the central interval that just reaches the score (Kuleshov et al. 2018, on
  central intervals, so that the median stays). The answer keeps the shape that was predicted.

>>> import torch
>>> from aqakit.distributions import Point
>>> conformal = Conformal.fit(Point(torch.zeros(9)), torch.arange(-4.0, 5.0))
>>> [end.item() for end in conformal.apply(Point(torch.tensor([50.0]))).interval(0.8)]  # 8th of 9 distances: 4
[46.0, 54.0]
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import norm
from torch import Tensor

from aqakit.distributions import Normal, Point, Recalibrated, ScoreDistribution
from aqakit.errors import DataError

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Coverages that are fitted; few, since a density between neighbouring distances would be noise."""

_SMALLEST = 1e-6  # a distance or a spread of 0 counts as this


@dataclass(frozen=True)
class Recalibration(ABC):
    """A fitted map from predicted to calibrated distributions.

    Attributes:
        observed: distances, in normal scores of what was predicted, that were reached at the fitted levels.
        calibrated: the normal scores of these levels.
    """

    kind: ClassVar[str]

    observed: tuple[float, ...]
    calibrated: tuple[float, ...]

    @classmethod
    def fit(cls, distribution: ScoreDistribution, score: Tensor) -> Self:
        """Fit on n validation samples that were not learnt from; rows without a score (NaN) are left out.

        At each level p of :data:`LEVELS` the interval ends at the ⌈(n + 1) p⌉-th smallest distance, so that a new
        score from the same source lies inside with probability of at least p. (Below ten samples several levels
        share one distance, and it stands for the highest of them.) Beyond p = n / (n + 1) there is no such
        distance: the interval grows there as that of a normal distribution, which is a guess, not a guarantee.

        Raises:
            DataError: no sample with a score.
        """
        z = cls._base(distribution.detach()).normal_score(score).abs().cpu().double().numpy()
        distances = np.sort(z[~np.isnan(z)])
        if not len(distances):
            raise DataError(f"{cls.kind} recalibration needs validation samples with scores, and there is none")
        return cls(*_knots(distances))

    def apply(self, distribution: ScoreDistribution) -> ScoreDistribution:
        """The calibrated distribution of each prediction; their order is kept."""
        base = self._base(distribution)
        observed, calibrated = (
            torch.tensor(knots, dtype=base.dtype, device=base.device) for knots in (self.observed, self.calibrated)
        )
        return Recalibrated(base, observed, calibrated)

    @staticmethod
    @abstractmethod
    def _base(distribution: ScoreDistribution) -> ScoreDistribution:
        """The distribution whose normal scores are the distances."""

    def to_json(self) -> dict[str, Any]:
        """JSON values from which :func:`from_json` makes the same again, exactly."""
        return {"kind": self.kind, "observed": list(self.observed), "calibrated": list(self.calibrated)}


class Conformal(Recalibration):
    """Split conformal intervals around the mean, for every kind of distribution."""

    kind = "conformal"

    @staticmethod
    def _base(distribution: ScoreDistribution) -> ScoreDistribution:
        if isinstance(distribution, Point):
            return Normal(distribution.value, torch.ones_like(distribution.value))
        return Normal(distribution.mean, distribution.std.clamp_min(_SMALLEST))


class Isotonic(Recalibration):
    """Central intervals of the predicted shape, given their observed coverage.

    Raises:
        TypeError: on fitting a point, which has no intervals.
    """

    kind = "isotonic"

    @staticmethod
    def _base(distribution: ScoreDistribution) -> ScoreDistribution:
        if isinstance(distribution, Point):
            raise TypeError("isotonic recalibration needs a spread, and a point has none: use conformal")
        return distribution


def from_json(stored: dict[str, Any]) -> Recalibration:
    """The recalibration that :meth:`Recalibration.to_json` described.

    Raises:
        ValueError: no such kind.
    """
    kinds: dict[str, type[Recalibration]] = {kind.kind: kind for kind in (Conformal, Isotonic)}
    if stored["kind"] not in kinds:
        raise ValueError(f"there is no recalibration {stored['kind']!r}; there is: {', '.join(kinds)}")
    return kinds[stored["kind"]](tuple(stored["observed"]), tuple(stored["calibrated"]))


def _knots(distances: NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    """Distances and the normal scores of their levels, from (0, 0) on, both strictly increasing."""
    n, levels = len(distances), np.array(LEVELS)
    ranks = np.ceil((n + 1) * levels - 1e-9).astype(int)
    # Of several levels that fall on one sample, the highest speaks for it: few samples then do not look surer.
    kept = (ranks <= n) & (np.diff(ranks, append=n + 2) > 0)
    # Of several samples at one distance, the lowest level: its intervals are never too narrow.
    observed, first = np.unique(np.maximum(distances[ranks[kept] - 1], _SMALLEST), return_index=True)
    calibrated = norm.ppf((1 + levels[kept][first]) / 2)
    # Twice the last knot: from there on the map goes straight away from the origin, as that of a normal does.
    ends = ((0.0, *knots.tolist(), 2 * float(knots[-1])) for knots in (observed, calibrated))
    return tuple(ends)
