"""Recalibration of prediction intervals: fitted on validation predictions, applied to all later ones.

Every recalibration widens or narrows central intervals until, on the validation samples, each contains its stated
share of the scores. The kinds differ in the distance of a score from its prediction:

- :class:`Conformal`: |score − mean| / std, or |score − mean| if the method predicts a point (split conformal
  prediction, Lei et al. 2018). The result has the shape of a normal distribution between the fitted levels, and
  exactly the predicted mean.
- :class:`Absolute`: |score − mean| regardless of the spread, for spreads that are unrelated to the error.
- :class:`Quantile`: how far the score is outside the predicted interval of the same level, negative inside it
  (conformalised quantile regression, Romano et al. 2019). All intervals of a level grow by the same number of points
  on both sides, so that a skewed prediction stays skewed.
- :class:`Isotonic`: the level of the central interval that just reaches the score (Kuleshov et al. 2018, on
  central intervals, so that the median is unchanged). The result keeps the predicted shape.

Any of them can be fitted separately for each group of videos: :class:`Grouped`.

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
"""Kinds of recalibration that a run can use."""

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Fitted coverages; few, because the density between neighbouring distances would be noise."""

_SMALLEST = 1e-6  # replaces a distance or spread of 0


class Recalibration(ABC):
    """Base class: a fitted map from predicted to calibrated distributions; a frozen dataclass of JSON values."""

    kind: ClassVar[Name]

    @classmethod
    @abstractmethod
    def fit(cls, distribution: ScoreDistribution, score: Tensor) -> Self:
        """Fit on n held-out validation samples; rows without a score (NaN) are ignored.

        At each level p of :data:`LEVELS` the interval ends at the ⌈(n + 1) p⌉-th smallest distance, so that a new
        score from the same source lies inside with a probability of at least p. (With fewer than ten samples several
        levels share one distance, which is used for the highest of them.) Beyond p = n / (n + 1) there is no such
        distance: there the interval grows like that of a normal distribution, which is a guess, not a guarantee.

        Raises:
            DataError: no sample has a score.
        """

    @abstractmethod
    def apply(self, distribution: ScoreDistribution) -> ScoreDistribution:
        """Return the calibrated distribution of each prediction, in the same order."""

    def to_json(self) -> dict[str, Any]:
        """Return JSON values from which :func:`from_json` restores the recalibration exactly."""
        return {"kind": self.kind} | {name: list(values) for name, values in asdict(self).items()}  # type: ignore[call-overload]


@dataclass(frozen=True)
class _Stretched(Recalibration):
    """Maps distances, which are normal scores of the prediction, to the normal scores of the levels.

    Attributes:
        observed: distances observed at the fitted levels.
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
        """Return the distribution whose normal scores are the distances."""


class Conformal(_Stretched):
    """Split conformal intervals around the mean, proportional to the spread if there is one."""

    kind = "conformal"

    @staticmethod
    def _base(distribution: ScoreDistribution) -> ScoreDistribution:
        if isinstance(distribution, Point):
            return Absolute._base(distribution)
        return Normal(distribution.mean, distribution.std.clamp_min(_SMALLEST))


class Absolute(_Stretched):
    """Split conformal intervals around the mean, equally wide for every video."""

    kind = "absolute"

    @staticmethod
    def _base(distribution: ScoreDistribution) -> ScoreDistribution:
        return Normal(distribution.mean, torch.ones_like(distribution.mean))


class Isotonic(_Stretched):
    """Central intervals of the predicted shape, labelled with their observed coverage.

    Raises:
        OptionError: when fitted on points, which have no intervals.
    """

    kind = "isotonic"

    @staticmethod
    def _base(distribution: ScoreDistribution) -> ScoreDistribution:
        if isinstance(distribution, Point):
            raise OptionError("isotonic recalibration needs a spread, but a point has none: use conformal")
        return distribution


@dataclass(frozen=True)
class Quantile(Recalibration):
    """Conformalised quantile regression at several levels; the same as :class:`Absolute` for points.

    Attributes:
        levels: fitted coverages.
        offsets: points by which both ends of the interval at that level move outwards.
    """

    kind = "quantile"

    levels: tuple[float, ...]
    offsets: tuple[float, ...]

    @classmethod
    def fit(cls, distribution: ScoreDistribution, score: Tensor) -> Self:
        """Fit as in the base class; a distance is how far the score lies outside the interval, negative inside."""
        known, score = _known(cls.kind, distribution, score)
        ranks, kept = _ranks(len(score))
        fitted = np.array(LEVELS)[kept].tolist()
        offsets = [_nth_outside(known, score, level, rank) for level, rank in zip(fitted, ranks[kept].tolist())]
        return cls(tuple(fitted), tuple(offsets))

    def apply(self, distribution: ScoreDistribution) -> ScoreDistribution:
        """Return the calibrated distributions, as quantiles at the fitted levels."""
        level, offset = (
            torch.tensor(v, dtype=torch.float64, device=distribution.device) for v in (self.levels, self.offsets)
        )
        known = distribution.to(torch.float64)
        middle, levels = known.median[..., None], _both_sides(level)
        moved = known.quantile(levels) + torch.cat([-offset.flip(0), offset.new_zeros(1), offset])
        # An interval must contain the median and those of lower levels: it is widened if needed, never narrowed.
        above = torch.maximum(moved[..., len(level) :], middle).cummax(-1).values
        below = torch.minimum(moved[..., : len(level)], middle).flip(-1).cummin(-1).values.flip(-1)
        values = torch.cat([below, above], -1)
        return Quantiles(known.mean, values, levels).to(distribution.dtype)


@dataclass(frozen=True)
class Grouped:
    """Separate recalibrations for groups of videos, so that coverage holds in each (Vovk's Mondrian kind).

    Attributes:
        everyone: recalibration for unseen groups and groups with too few samples.
        groups: recalibrations of the other groups, by name.
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
        """Fit on n validation samples of groups (n,), separately for each group with at least ``least`` scores."""
        names = np.asarray(group)
        masks = {str(name): torch.from_numpy(names == name) for name in np.unique(names)}
        large = {name: mask for name, mask in masks.items() if int((~score[mask].isnan()).sum()) >= least}
        fitted = {name: kind.fit(distribution.select(mask), score[mask]) for name, mask in large.items()}
        return cls(kind.fit(distribution, score), fitted)

    def apply(self, distribution: ScoreDistribution, group: Sequence[str]) -> Quantiles:
        """Return the calibrated distributions of predictions (n,) of groups (n,), as quantiles at the fitted levels."""
        levels = _both_sides(torch.tensor(LEVELS, dtype=torch.float64, device=distribution.device))
        known, names = distribution.to(torch.float64), np.asarray(group)
        values = self.everyone.apply(known).quantile(levels)
        for name, one in self.groups.items():
            mask = torch.from_numpy(names == name)
            values[mask] = one.apply(known.select(mask)).quantile(levels)
        return Quantiles(known.mean, values.cummax(-1).values, levels).to(distribution.dtype)


KINDS: Mapping[str, type[Recalibration]] = {kind.kind: kind for kind in (Conformal, Absolute, Quantile, Isotonic)}


def from_json(stored: Mapping[str, Any]) -> Recalibration:
    """Restore a recalibration from the output of :meth:`Recalibration.to_json`.

    Raises:
        ValueError: the kind is unknown.
    """
    values = dict(stored)
    kind = values.pop("kind")
    if kind not in KINDS:
        raise ValueError(f"there is no recalibration {kind!r}; available: {', '.join(KINDS)}")
    return KINDS[kind](**{name: tuple(numbers) for name, numbers in values.items()})


def _known(kind: str, distribution: ScoreDistribution, score: Tensor) -> tuple[ScoreDistribution, Tensor]:
    """Return the rows that have a score."""
    there = ~score.isnan()
    if not bool(there.any()):
        raise DataError(f"{kind} recalibration needs validation samples with scores, but there are none")
    return distribution.detach().select(there), score[there]


def _ranks(n: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return ⌈(n + 1) p⌉ at every level, and the levels that n samples can distinguish."""
    ranks = np.ceil((n + 1) * np.array(LEVELS) - 1e-9).astype(int)
    # Of several levels that fall on one sample, keep the highest, so that few samples do not give narrower intervals.
    return ranks, (ranks <= n) & (np.diff(ranks, append=n + 2) > 0)


def _knots(distances: NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    """Return distances and the normal scores of their levels, starting at (0, 0), both strictly increasing."""
    ranks, kept = _ranks(len(distances))
    # Of several samples at one distance, keep the lowest level, so that intervals are never too narrow.
    observed, first = np.unique(np.maximum(distances[ranks[kept] - 1], _SMALLEST), return_index=True)
    calibrated = norm.ppf((1 + np.array(LEVELS)[kept][first]) / 2)
    # A knot at twice the last one: from there on the map is a line through the origin, as for a normal distribution.
    ends = ((0.0, *knots.tolist(), 2 * float(knots[-1])) for knots in (observed, calibrated))
    return tuple(ends)


def _nth_outside(distribution: ScoreDistribution, score: Tensor, level: float, rank: int) -> float:
    """Return the ``rank``-th smallest distance of the scores outside their intervals."""
    low, high = distribution.interval(level)
    outside = torch.maximum(low - score, score - high)
    return float(outside.sort().values[rank - 1])


def _both_sides(coverages: Tensor) -> Tensor:
    """Return the levels of the ends of central intervals, with the median in between."""
    return torch.cat([(1 - coverages).flip(0) / 2, coverages.new_tensor([0.5]), (1 + coverages) / 2])
