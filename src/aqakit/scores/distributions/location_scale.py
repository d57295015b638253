"""Symmetric distributions with a location and a scale: the base of the normal, Laplace, logistic and Student's t.

All have closed forms. Far tails are computed from the probability beyond the score, never from 1 minus it.
"""
# ruff: noqa: D102  (the docstrings are inherited from ScoreDistribution)

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from aqakit.scores.distributions.base import Number, ScoreDistribution


@dataclass(frozen=True, eq=False)
class LocationScale(ScoreDistribution):
    """A distribution of loc + scale × z, where z has a standard distribution that is symmetric around 0.

    Attributes:
        loc: (*batch) mean, median and mode.
        scale: (*batch) positive; a multiple of the standard deviation.
    """

    STANDARD_STD: ClassVar[float] = 1.0
    """Standard deviation of z."""

    PEAK: ClassVar[float] = 0.0
    """Log density of z at 0."""

    loc: Tensor
    scale: Tensor

    def __post_init__(self) -> None:
        if self.loc.shape != self.scale.shape:
            shapes = f"{tuple(self.loc.shape)} and {tuple(self.scale.shape)}"
            raise ValueError(f"mean and standard deviation differ in shape: {shapes}")

    @classmethod
    def from_mean_std(cls, mean: Tensor, std: Tensor) -> Self:
        """Return the distributions with these means and standard deviations, each (*batch)."""
        return cls(mean, std / cls.STANDARD_STD)

    @staticmethod
    @abstractmethod
    def penalty(z: Tensor) -> Tensor:
        """Log density of z at 0 minus that at ``z``: half the square of z for the normal."""

    @property
    def batch_shape(self) -> torch.Size:
        return self.loc.shape

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def std(self) -> Tensor:
        return self.scale * self.STANDARD_STD

    def standardised(self, score: Number) -> Tensor:
        """Return z of a score: its distance from the location in units of the scale."""
        return (score - self.loc) / self.scale

    def log_prob(self, score: Number) -> Tensor:
        return self.PEAK - self.penalty(self.standardised(score)) - self.scale.log()

    def _affine(self, scale: Tensor, shift: Tensor) -> Self:
        return type(self)(scale * self.loc + shift, scale * self.scale)


class _ByTail(LocationScale):
    """A kind that is defined by the probability beyond each z."""

    @staticmethod
    @abstractmethod
    def _tail(z: Tensor) -> Tensor:
        """Probability of more than z ≥ 0."""

    @staticmethod
    @abstractmethod
    def _from_tail(tail: Tensor) -> Tensor:
        """The z ≥ 0 above which the probability is ``tail``, from 0 to ½."""

    def cdf(self, score: Number) -> Tensor:
        z = self.standardised(score)
        tail = self._tail(torch.where(z < 0, -z, z))  # not abs(), whose gradient at 0 is 0
        return torch.where(z < 0, tail, 1 - tail)

    def icdf(self, level: Number) -> Tensor:
        level = self._tensor(level)
        above = level > 0.5
        size = self._from_tail(torch.where(above, 1 - level, level))
        return self.loc + self.scale * torch.where(above, size, -size)

    def normal_score(self, score: Number) -> Tensor:
        z = self.standardised(score).double()
        tail = self._tail(z.abs()).clamp_min(torch.finfo(torch.float64).tiny)
        found: Tensor = -z.sign() * torch.special.ndtri(tail)
        return found

    def from_normal_score(self, z: Tensor) -> Tensor:
        tail = torch.erfc(z.double().abs() / math.sqrt(2)) / 2  # precise far out, where torch.special.ndtr is 0
        return (self.loc + self.scale * z.sign() * self._from_tail(tail)).to(self.dtype)


@dataclass(frozen=True, eq=False)
class Laplace(_ByTail):
    """A Laplace distribution for each row: density exp(−|z|) / 2, as likely as the absolute error is small."""

    STANDARD_STD: ClassVar[float] = math.sqrt(2)
    PEAK: ClassVar[float] = -math.log(2)

    @staticmethod
    def penalty(z: Tensor) -> Tensor:
        return z.abs()

    @staticmethod
    def _tail(z: Tensor) -> Tensor:
        return torch.exp(-z) / 2

    @staticmethod
    def _from_tail(tail: Tensor) -> Tensor:
        return -(2 * tail).log()

    def crps(self, score: Number) -> Tensor:
        # Jordan, Krüger and Lerch 2019, appendix A.2
        size = self.standardised(score).abs()
        return self.scale * (size + torch.exp(-size) - 0.75)


@dataclass(frozen=True, eq=False)
class Logistic(_ByTail):
    """A logistic distribution for each row, whose cdf is the sigmoid of z."""

    STANDARD_STD: ClassVar[float] = math.pi / math.sqrt(3)
    PEAK: ClassVar[float] = -math.log(4)

    @staticmethod
    def penalty(z: Tensor) -> Tensor:
        return -logsigmoid(z) - logsigmoid(-z) - math.log(4)

    @staticmethod
    def _tail(z: Tensor) -> Tensor:
        return torch.sigmoid(-z)

    @staticmethod
    def _from_tail(tail: Tensor) -> Tensor:
        return torch.log1p(-tail) - tail.log()

    def crps(self, score: Number) -> Tensor:
        # Jordan, Krüger and Lerch 2019, appendix A.2
        z = self.standardised(score)
        return self.scale * (z - 2 * logsigmoid(z) - 1)


@dataclass(frozen=True, eq=False)
class Student(_ByTail):
    """Student's t with four degrees of freedom for each row: tails that fall with the fifth power of the distance.

    With four, the cdf and its inverse have closed forms: F = (1 + u)² (2 − u) / 4, where u = z / √(4 + z²).
    """

    STANDARD_STD: ClassVar[float] = math.sqrt(2)
    PEAK: ClassVar[float] = math.log(3 / 8)

    @staticmethod
    def penalty(z: Tensor) -> Tensor:
        return 2.5 * torch.log1p(z.square() / 4)

    @staticmethod
    def _tail(z: Tensor) -> Tensor:
        hypotenuse = torch.hypot(z, torch.full_like(z, 2.0))
        rest = 4 / (hypotenuse * (hypotenuse + z))  # 1 − u
        return rest.square() * (3 - rest) / 4

    @staticmethod
    def _from_tail(tail: Tensor) -> Tensor:
        angle = torch.asin(tail.sqrt()) * (2 / 3)
        rest = 2 * torch.sin(angle / 2).square() + math.sqrt(3) * torch.sin(angle)  # 1 − u, by the sine of a third
        return 2 * (1 - rest) / (rest * (2 - rest)).sqrt()

    def crps(self, score: Number) -> Tensor:
        # Jordan, Krüger and Lerch 2019, appendix A.2: z (2 F − 1) + 2 f (4 + z²) / 3 − a constant
        z = self.standardised(score)
        hypotenuse = torch.hypot(z, torch.full_like(z, 2.0))
        u = z / hypotenuse
        return self.scale * (z * u * (3 - u.square()) / 2 + 8 / hypotenuse.pow(3) - 15 * math.pi / 64)
