"""Intervals that keep their promise: fitted on validation predictions, applied to all later ones.

Every recalibration widens or narrows central intervals until, on the validation samples, each holds the share of
scores that it states. They differ in what they measure a score's distance by:

- :class:`Conformal`: |score − mean| / std, or |score − mean| where the method answers with a point (split
  conformal prediction, Lei et al. 2018). The answer has the shape of a normal between the fitted levels, and
  exactly the predicted mean.
- :class:`Absolute`: |score − mean| whatever the spread, where that says nothing of the error.
- :class:`Quantile`: how far the score is outside the predicted interval of the same level, less than nothing inside
  it (conformalised quantile regression, Romano et al. 2019). All intervals of a level grow by as many points, on both
  sides, so that a lopsided prediction stays lopsided.
- :class:`Isotonic`: the level of the central interval that just reaches the score (Kuleshov et al. 2018, on
  central intervals, so that the median stays). The answer keeps the shape that was predicted.

Any of them may be fitted for each group of videos apart: :class:`Grouped`.

>>> import torch
>>> from aqakit.scores.distributions import Point
>>> conformal = Conformal.fit(Point(torch.zeros(9)), torch.arange(-4.0, 5.0))
>>> [end.item() for end in conformal.apply(Point(torch.tensor([50.0]))).interval(0.8)]  # 8th of 9 distances: 4
[46.0, 54.0]
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import norm
from torch import Tensor

from aqakit.errors import DataError, OptionError
from aqakit.scores.distributions import Normal, Point, Quantiles, Recalibrated, ScoreDistribution

Name = Literal["conformal", "absolute", "quantile", "isotonic"]
"""What a run may be recalibrated by."""

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Coverages that are fitted; few, since a density between neighbouring distances would be noise."""

_SMALLEST = 1e-6  # a distance or a spread of 0 counts as this


class Recalibration(ABC):
    """A fitted map from predicted to calibrated distributions; a frozen dataclass of JSON values."""

    kind: ClassVar[Name]

    @classmethod
    @abstractmethod
    def fit(cls, distribution: ScoreDistribution, score: Tensor) -> Self:
        """Fit on n validation samples that were not learnt from; rows without a score (NaN) are left out.

        At each level p of :data:`LEVELS` the interval ends at the ⌈(n + 1) p⌉-th smallest distance, so that a new
        score from the same source lies inside with probability of at least p. (Below ten samples several levels
        share one distance, and it stands for the highest of them.) Beyond p = n / (n + 1) there is no such
        distance: the interval grows there as that of a normal distribution, which is a guess, not a guarantee.

        Raises:
            DataError: no sample with a score.
        """

    @abstractmethod
    def apply(self, distribution: ScoreDistribution) -> ScoreDistribution:
        """The calibrated distribution of each prediction; their order is kept."""

    def to_json(self) -> dict[str, Any]:
        """JSON values from which :func:`from_json` makes the same again, exactly."""
        return {"kind": self.kind} | {name: list(values) for name, values in asdict(self).items()}  # type: ignore[call-overload]


@dataclass(frozen=True)
class _Stretched(Recalibration):
    """Distances are normal scores, and are mapped to those of the levels.

    Attributes:
        observed: distances, in normal scores of what was predicted, that were reached at the fitted levels.
        calibrated: the normal scores of these levels.
    """

    observed: tuple[float, ...]
    calibrated: tuple[float, ...]

    @classmethod
    def fit(cls, distribution: ScoreDistribution, score: Tensor) -> Self:
        known, score = _known(cls.kind, distribution, score)
        z = cls._base(known).normal_score(score).abs().cpu().double().numpy()
        return cls(*_knots(np.sort(z)))

    def apply(self, distribution: ScoreDistribution) -> ScoreDistribution:
        base = self._base(distribution)
        observed, calibrated = (
            torch.tensor(knots, dtype=base.dtype, device=base.device) for knots in (self.observed, self.calibrated)
        )
        return Recalibrated(base, observed, calibrated)

    @staticmethod
    @abstractmethod
    def _base(distribution: ScoreDistribution) -> ScoreDistribution:
        """The distribution whose normal scores are the distances."""


class Conformal(_Stretched):
    """Split conformal intervals around the mean, in proportion to the spread where there is one."""

    kind = "conformal"

    @staticmethod
    def _base(distribution: ScoreDistribution) -> ScoreDistribution:
        if isinstance(distribution, Point):
            return Absolute._base(distribution)
        return Normal(distribution.mean, distribution.std.clamp_min(_SMALLEST))


class Absolute(_Stretched):
    """Split conformal intervals around the mean, as wide for every video."""

    kind = "absolute"

    @staticmethod
    def _base(distribution: ScoreDistribution) -> ScoreDistribution:
        return Normal(distribution.mean, torch.ones_like(distribution.mean))


class Isotonic(_Stretched):
    """Central intervals of the predicted shape, given their observed coverage.

    Raises:
        OptionError: on fitting a point, which has no intervals.
    """

    kind = "isotonic"

    @staticmethod
    def _base(distribution: ScoreDistribution) -> ScoreDistribution:
        if isinstance(distribution, Point):
            raise OptionError("isotonic recalibration needs a spread, and a point has none: use conformal")
        return distribution


@dataclass(frozen=True)
class Quantile(Recalibration):
    """Conformalised quantile regression at several levels; on points the same as :class:`Absolute`.

    Attributes:
        levels: coverages that were fitted.
        offsets: points by which each end of the interval at that level moves outwards.
    """

    kind = "quantile"

    levels: tuple[float, ...]
    offsets: tuple[float, ...]

    @classmethod
    def fit(cls, distribution: ScoreDistribution, score: Tensor) -> Self:
        """As every recalibration; a distance is how far the score lies outside the interval, negative inside."""
        known, score = _known(cls.kind, distribution, score)
        ranks, kept = _ranks(len(score))
        fitted = np.array(LEVELS)[kept].tolist()
        offsets = [_nth_outside(known, score, level, rank) for level, rank in zip(fitted, ranks[kept].tolist())]
        return cls(tuple(fitted), tuple(offsets))

    def apply(self, distribution: ScoreDistribution) -> ScoreDistribution:
        """The calibrated distributions, by their quantiles at the fitted levels."""
        level, offset = (
            torch.tensor(v, dtype=torch.float64, device=distribution.device) for v in (self.levels, self.offsets)
        )
        known = distribution.to(torch.float64)
        middle, levels = known.median[..., None], _both_sides(level)
        moved = known.quantile(levels) + torch.cat([-offset.flip(0), offset.new_zeros(1), offset])
        # An interval holds those of lower levels and the median: it is widened to do so, never narrowed.
        above = torch.maximum(moved[..., len(level) :], middle).cummax(-1).values
        below = torch.minimum(moved[..., : len(level)], middle).flip(-1).cummin(-1).values.flip(-1)
        values = torch.cat([below, above], -1)
        return Quantiles(known.mean, values, levels).to(distribution.dtype)


@dataclass(frozen=True)
class Grouped:
    """A recalibration for each group of videos, so that the promise holds in every group (Vovk's Mondrian kind).

    Attributes:
        everyone: for groups that were not seen, or too seldom.
        groups: by name.
    """

    everyone: Recalibration
    groups: Mapping[str, Recalibration]

    @classmethod
    def fit(
        cls,
        distribution: ScoreDistribution,
        score: Tensor,
        group: Sequence[str],
        *,
        kind: type[Recalibration] = Conformal,
        least: int = 20,
    ) -> Self:
        """Fit on n validation samples and their groups (n,), apart where there are ``least`` scores of a group."""
        names = np.asarray(group)
        masks = {str(name): torch.from_numpy(names == name) for name in np.unique(names)}
        large = {name: mask for name, mask in masks.items() if int((~score[mask].isnan()).sum()) >= least}
        fitted = {name: kind.fit(distribution.select(mask), score[mask]) for name, mask in large.items()}
        return cls(kind.fit(distribution, score), fitted)

    def apply(self, distribution: ScoreDistribution, group: Sequence[str]) -> Quantiles:
        """The calibrated distributions of predictions (n,) of groups (n,), by their quantiles at the fitted levels."""
        levels = _both_sides(torch.tensor(LEVELS, dtype=torch.float64, device=distribution.device))
        known, names = distribution.to(torch.float64), np.asarray(group)
        values = self.everyone.apply(known).quantile(levels)
        for name, one in self.groups.items():
            mask = torch.from_numpy(names == name)
            values[mask] = one.apply(known.select(mask)).quantile(levels)
        return Quantiles(known.mean, values.cummax(-1).values, levels).to(distribution.dtype)


KINDS: Mapping[str, type[Recalibration]] = {kind.kind: kind for kind in (Conformal, Absolute, Quantile, Isotonic)}


def from_json(stored: Mapping[str, Any]) -> Recalibration:
    """The recalibration that :meth:`Recalibration.to_json` described.

    Raises:
        ValueError: no such kind.
    """
    values = dict(stored)
    kind = values.pop("kind")
    if kind not in KINDS:
        raise ValueError(f"there is no recalibration {kind!r}; there is: {', '.join(KINDS)}")
    return KINDS[kind](**{name: tuple(numbers) for name, numbers in values.items()})


def _known(kind: str, distribution: ScoreDistribution, score: Tensor) -> tuple[ScoreDistribution, Tensor]:
    """The rows that have a score."""
    there = ~score.isnan()
    if not bool(there.any()):
        raise DataError(f"{kind} recalibration needs validation samples with scores, and there is none")
    return distribution.detach().select(there), score[there]


def _ranks(n: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """⌈(n + 1) p⌉ at every level, and the levels that n samples tell apart."""
    ranks = np.ceil((n + 1) * np.array(LEVELS) - 1e-9).astype(int)
    # Of several levels that fall on one sample, the highest speaks for it: few samples then do not look surer.
    return ranks, (ranks <= n) & (np.diff(ranks, append=n + 2) > 0)


def _knots(distances: NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    """Distances and the normal scores of their levels, from (0, 0) on, both strictly increasing."""
    ranks, kept = _ranks(len(distances))
    # Of several samples at one distance, the lowest level: its intervals are never too narrow.
    observed, first = np.unique(np.maximum(distances[ranks[kept] - 1], _SMALLEST), return_index=True)
    calibrated = norm.ppf((1 + np.array(LEVELS)[kept][first]) / 2)
    # Twice the last knot: from there on the map goes straight away from the origin, as that of a normal does.
    ends = ((0.0, *knots.tolist(), 2 * float(knots[-1])) for knots in (observed, calibrated))
    return tuple(ends)


def _nth_outside(distribution: ScoreDistribution, score: Tensor, level: float, rank: int) -> float:
    """How far the ``rank``-th score lies outside its interval, in the order of that distance."""
    low, high = distribution.interval(level)
    outside = torch.maximum(low - score, score - high)
    return float(outside.sort().values[rank - 1])


def _both_sides(coverages: Tensor) -> Tensor:
    """Levels of the ends of central intervals, with the median between."""
    return torch.cat([(1 - coverages).flip(0) / 2, coverages.new_tensor([0.5]), (1 + coverages) / 2])
