"""Distributions that networks output directly: point, normal and binned."""
# ruff: noqa: D102  (the docstrings are inherited from ScoreDistribution)

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from aqakit.scores.distributions.base import Number, ScoreDistribution
from aqakit.scores.distributions.location_scale import LocationScale


@dataclass(frozen=True, eq=False)
class Point(ScoreDistribution):
    """A single score without spread, the output of plain regression.

    It has no density: ``log_prob`` is +inf at the value and −inf elsewhere. Both ends of an interval are the value.
    That states no uncertainty, so metrics of uncertainty are NaN until it is recalibrated.

    Attributes:
        value: (*batch).
    """

    value: Tensor

    @property
    def batch_shape(self) -> torch.Size:
        return self.value.shape

    @property
    def mean(self) -> Tensor:
        return self.value

    @property
    def mode(self) -> Tensor:
        return self.value

    @property
    def std(self) -> Tensor:
        return torch.zeros_like(self.value)

    def cdf(self, score: Number) -> Tensor:
        return (self._tensor(score) >= self.value).to(self.dtype)

    def icdf(self, level: Number) -> Tensor:
        return self.value.expand_as(self.value + self._tensor(level))

    def log_prob(self, score: Number) -> Tensor:
        hit = self._tensor(score) == self.value
        return torch.where(hit, math.inf, -math.inf).to(self.dtype)

    def crps(self, score: Number) -> Tensor:
        return (score - self.value).abs()

    def _affine(self, scale: Tensor, shift: Tensor) -> Point:
        return Point(scale * self.value + shift)


@dataclass(frozen=True, eq=False)
class Normal(LocationScale):
    """A normal distribution for each row.

    Attributes:
        loc: (*batch) mean.
        scale: (*batch) standard deviation, positive.
    """

    PEAK: ClassVar[float] = -math.log(2 * math.pi) / 2

    @staticmethod
    def penalty(z: Tensor) -> Tensor:
        return z.square() / 2

    def cdf(self, score: Number) -> Tensor:
        # erfc keeps its relative precision far in the lower tail, where torch.special.ndtr is 0.
        return torch.erfc(-self.normal_score(score) / math.sqrt(2)) / 2

    def icdf(self, level: Number) -> Tensor:
        return self.from_normal_score(torch.special.ndtri(self._tensor(level)))

    def normal_score(self, score: Number) -> Tensor:
        return (score - self.loc) / self.scale

    def from_normal_score(self, z: Tensor) -> Tensor:
        return self.loc + self.scale * z

    def sample(self, count: int = 1, *, generator: torch.Generator | None = None) -> Tensor:
        shape = (count, *self.batch_shape)
        noise = torch.randn(shape, generator=generator, dtype=self.dtype, device=self.loc.device)
        return self.from_normal_score(noise)

    def crps(self, score: Number) -> Tensor:
        # Gneiting and Raftery 2007, eq. 21
        z = self.normal_score(score)
        density = torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)
        return self.scale * (z * torch.erf(z / math.sqrt(2)) + 2 * density - 1 / math.sqrt(math.pi))


@dataclass(frozen=True, eq=False)
class Binned(ScoreDistribution):
    """Probabilities of K bins, uniform within each bin (USDL, Tang et al. 2020).

    Attributes:
        logits: (*batch, K); softmax gives the probabilities.
        edges: (K + 1,) increasing, shared by all rows.
    """

    shared: ClassVar[tuple[str, ...]] = ("edges",)

    logits: Tensor
    edges: Tensor

    def __post_init__(self) -> None:
        if self.edges.shape != (self.logits.shape[-1] + 1,) or not bool((self.edges.diff() > 0).all()):
            bins = self.logits.shape[-1]
            raise ValueError(f"{bins} bins need {bins + 1} increasing edges; got {self.edges.tolist()}")

    @property
    def batch_shape(self) -> torch.Size:
        return self.logits.shape[:-1]

    @property
    def widths(self) -> Tensor:
        """(K,) widths of the bins."""
        return self.edges.diff()

    @property
    def centres(self) -> Tensor:
        """(K,) centres of the bins."""
        return (self.edges[1:] + self.edges[:-1]) / 2

    @property
    def log_probabilities(self) -> Tensor:
        """(*batch, K) log probability of each bin."""
        return self.logits.log_softmax(-1)

    @property
    def probabilities(self) -> Tensor:
        """(*batch, K) probability of each bin."""
        return self.logits.softmax(-1)

    @property
    def mean(self) -> Tensor:
        return self.probabilities @ self.centres

    @property
    def mode(self) -> Tensor:
        """(*batch) centre of the most probable bin, USDL's published prediction."""
        return self.centres[self.logits.argmax(-1)]

    @property
    def std(self) -> Tensor:
        second = (self.centres - self.mean[..., None]).square() + self.widths.square() / 12
        return (self.probabilities * second).sum(-1).sqrt()

    def cdf(self, score: Number) -> Tensor:
        below = ((self._tensor(score)[..., None] - self.edges[:-1]) / self.widths).clamp(0, 1)
        return (self.probabilities * below).sum(-1)

    def icdf(self, level: Number) -> Tensor:
        level = self._tensor(level)
        reached = self.probabilities.cumsum(-1)
        bins = (reached < level[..., None]).sum(-1).clamp(max=len(self.widths) - 1)
        probability = self._at(self.probabilities, bins)
        before = self._at(reached, bins) - probability
        share = ((level - before) / probability.clamp_min(torch.finfo(self.dtype).tiny)).clamp(0, 1)
        return self.edges[bins] + share * self.widths[bins]

    def log_prob(self, score: Number) -> Tensor:
        score = self._tensor(score)
        bins = torch.bucketize(score.detach(), self.edges[1:-1].to(score.dtype), right=True)
        bins = bins.expand_as(bins + self.logits[..., 0])
        density = self._at(self.log_probabilities - self.widths.log(), bins)
        return density.masked_fill((score < self.edges[0]) | (score > self.edges[-1]), -math.inf)

    def crps(self, score: Number) -> Tensor:
        # F is linear within a bin, so F² left of the score and (1 − F)² right of it integrate as parabolas.
        score = self._tensor(score)
        cut = score[..., None].clamp(self.edges[:-1], self.edges[1:])
        probability = self.probabilities
        after = probability.cumsum(-1)
        before = after - probability
        at_cut = before + probability * (cut - self.edges[:-1]) / self.widths
        left = (cut - self.edges[:-1]) * _parabola(before, at_cut)
        right = (self.edges[1:] - cut) * _parabola(1 - at_cut, 1 - after)
        outside = (self.edges[0] - score).relu() + (score - self.edges[-1]).relu()
        return (left + right).sum(-1) + outside

    def _at(self, values: Tensor, bins: Tensor) -> Tensor:
        shape = (*bins.shape, values.shape[-1])
        return values.expand(shape).gather(-1, bins[..., None]).squeeze(-1)


def _parabola(start: Tensor, end: Tensor) -> Tensor:
    return (start.square() + start * end + end.square()) / 3
