"""Distributions built from others: mixtures and recalibrated distributions."""
# ruff: noqa: D102  (the docstrings are inherited from ScoreDistribution)

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from aqakit.scores.distributions.base import Number, ScoreDistribution, Warped
from aqakit.scores.distributions.location_scale import LocationScale
from aqakit.scores.distributions.plain import Normal, Point


@dataclass(frozen=True, eq=False)
class Mixture(ScoreDistribution):
    """Weighted mixture of K components: exemplars' votes (CoRe), mixture density networks.

    ``icdf`` is computed by bisection and has no gradient.

    Attributes:
        log_weights: (*batch, K); softmax gives the weights.
        components: of batch shape (*batch, K).
    """

    log_weights: Tensor
    components: ScoreDistribution

    def __post_init__(self) -> None:
        if self.log_weights.shape != self.components.batch_shape:
            weights, parts = tuple(self.log_weights.shape), tuple(self.components.batch_shape)
            raise ValueError(f"a mixture has one weight for each component; got {weights} and {parts}")

    @property
    def batch_shape(self) -> torch.Size:
        return self.log_weights.shape[:-1]

    @property
    def weights(self) -> Tensor:
        """(*batch, K) weights, which sum to 1."""
        return self.log_weights.softmax(-1)

    @property
    def mean(self) -> Tensor:
        return (self.weights * self.components.mean).sum(-1)

    @property
    def std(self) -> Tensor:
        between = self.components.mean - self.mean[..., None]
        return (self.weights * (self.components.std.square() + between.square())).sum(-1).sqrt()

    def cdf(self, score: Number) -> Tensor:
        return (self.weights * self.components.cdf(self._tensor(score)[..., None])).sum(-1)

    @torch.no_grad()
    def icdf(self, level: Number) -> Tensor:
        level = self._tensor(level)
        ends = self.components.icdf(level[..., None])
        low, high = ends.amin(-1), ends.amax(-1)
        for _ in range(32 if self.dtype == torch.float32 else 60):
            middle = (low + high) / 2
            reached = self.cdf(middle) >= level
            low, high = torch.where(reached, low, middle), torch.where(reached, middle, high)
        return high

    def log_prob(self, score: Number) -> Tensor:
        inside = self.components.log_prob(self._tensor(score)[..., None])
        return (self.log_weights.log_softmax(-1) + inside).logsumexp(-1)

    def sample(self, count: int = 1, *, generator: torch.Generator | None = None) -> Tensor:
        chosen = (self._uniform(count, generator)[..., None] > self.weights.cumsum(-1)).sum(-1, keepdim=True)
        draws = self.components.sample(count, generator=generator)
        return draws.gather(-1, chosen.clamp(max=draws.shape[-1] - 1)).squeeze(-1)

    def flat(self) -> Mixture:
        """Return a mixture of K mixtures of L components, such as members' answers, as one of K × L components."""
        if not isinstance(self.components, Mixture):
            return self
        inner = self.components.flat()
        log_weights = self.log_weights.log_softmax(-1)[..., None] + inner.log_weights.log_softmax(-1)
        axis = len(self.batch_shape)
        components = inner.components._map(lambda values: values.flatten(axis, axis + 1), lambda shared: shared)
        return Mixture(log_weights.flatten(axis), components)

    def crps(self, score: Number) -> Tensor:
        # E|X − score| − E|X − X'| / 2 (Grimit et al. 2006), where both differences are normal or constant.
        if isinstance(self.components, Mixture):
            return self.flat().crps(score)
        if not isinstance(self.components, Normal | Point):
            return super().crps(score)
        mean, std, weights = self.components.mean, self.components.std, self.weights
        error = _mean_size(self._tensor(score)[..., None] - mean, std)
        ones = zip(mean.split(1, -1), std.split(1, -1), strict=True)  # one by one: K² numbers a row fill the memory
        mutual = [(weights * _mean_size(mean - one, torch.hypot(std, spread))).sum(-1) for one, spread in ones]
        return (weights * (error - torch.stack(mutual, -1) / 2)).sum(-1)

    def _affine(self, scale: Tensor, shift: Tensor) -> Mixture:
        return Mixture(self.log_weights, self.components.affine(scale[..., None], shift[..., None]))


def _mean_size(mean: Tensor, std: Tensor) -> Tensor:
    """Return E|X| of a normal X, or of a constant X where ``std`` is 0."""
    spread = torch.where(std > 0, std, 1)
    z = mean / spread
    normal = spread * math.sqrt(2 / math.pi) * torch.exp(-z.square() / 2) + mean * torch.erf(z / math.sqrt(2))
    return torch.where(std > 0, normal, mean.abs())


@dataclass(frozen=True, eq=False)
class Recalibrated(Warped):
    """A distribution whose central intervals are labelled with their observed coverage.

    A score whose normal score is ``observed`` under the base has normal score ``calibrated`` here. The map is odd,
    and linear between the knots and beyond the last, so the median and the mean of a symmetric base, such as a normal,
    do not change.

    Attributes:
        base: the predicted distribution.
        observed: (M,) increasing, the first 0.
        calibrated: (M,) increasing, the first 0.
    """

    shared: ClassVar[tuple[str, ...]] = ("observed", "calibrated")

    base: ScoreDistribution
    observed: Tensor
    calibrated: Tensor

    @property
    def batch_shape(self) -> torch.Size:
        return self.base.batch_shape

    @property
    def mean(self) -> Tensor:
        if isinstance(self.base, LocationScale):
            return self.base.mean
        _, weight, score = self._grid(len(self.batch_shape))
        return (weight * score).sum(0) / weight.sum()

    def log_prob(self, score: Number) -> Tensor:
        before = self.base.normal_score(score)
        after, slope = _odd_map(before, self.observed, self.calibrated)
        gained = (before.square() - after.square()) / 2 + slope.log()
        return (self.base.log_prob(score) + gained).to(self.dtype)

    def normal_score(self, score: Number) -> Tensor:
        return _odd_map(self.base.normal_score(score), self.observed, self.calibrated)[0]

    def from_normal_score(self, z: Tensor) -> Tensor:
        return self.base.from_normal_score(_odd_map(z, self.calibrated, self.observed)[0]).to(self.dtype)

    def _affine(self, scale: Tensor, shift: Tensor) -> Recalibrated:
        return Recalibrated(self.base.affine(scale, shift), self.observed, self.calibrated)


def _odd_map(value: Tensor, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """Evaluate the piecewise linear odd function through the knots (start, end), and its slope."""
    start, end = start.to(value.dtype), end.to(value.dtype)
    size = value.abs()
    right = torch.searchsorted(start, size.contiguous()).clamp(1, len(start) - 1)
    slope = (end.diff() / start.diff())[right - 1]
    return value.sign() * (end[right - 1] + slope * (size - start[right - 1])), slope
