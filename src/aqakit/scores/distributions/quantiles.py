"""A distribution defined by some of its quantiles, from published tables or quantile regression."""
# ruff: noqa: D102  (the docstrings are inherited from ScoreDistribution)

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from aqakit.scores.distributions.base import Number, Warped


@dataclass(frozen=True, eq=False)
class Quantiles(Warped):
    """Scores at K levels, at least two; piecewise normal between and beyond them.

    The score is a piecewise linear function of the normal score, so that two quantiles define a normal distribution,
    the density is continuous within each piece, and the tails continue the outermost pieces.

    Attributes:
        centre: (*batch) the mean, which may be stated independently of the quantiles.
        values: (*batch, K) not decreasing.
        levels: (K,) increasing, between 0 and 1, shared by all rows.
    """

    shared: ClassVar[tuple[str, ...]] = ("levels",)

    centre: Tensor
    values: Tensor
    levels: Tensor

    def __post_init__(self) -> None:
        inside = bool((self.levels > 0).all() and (self.levels < 1).all() and (self.levels.diff() > 0).all())
        if len(self.levels) < 2 or not inside or self.values.shape != (*self.centre.shape, len(self.levels)):
            shapes = f"{tuple(self.centre.shape)} and {tuple(self.values.shape)}"
            raise ValueError(
                f"quantiles need two levels or more, increasing between 0 and 1, and a value at each; "
                f"got {self.levels.tolist()}, and means and values of shapes {shapes}"
            )
        if bool((self.values.diff() < 0).any()):
            raise ValueError("quantiles must not decrease with their level")

    @property
    def batch_shape(self) -> torch.Size:
        return self.centre.shape

    @property
    def mean(self) -> Tensor:
        return self.centre

    def log_prob(self, score: Number) -> Tensor:
        z, slope = self._inverse(score)
        return (-z.square() / 2 - math.log(2 * math.pi) / 2 - slope.log()).to(self.dtype)

    def normal_score(self, score: Number) -> Tensor:
        return self._inverse(score)[0]

    def from_normal_score(self, z: Tensor) -> Tensor:
        z = z.double().expand(torch.broadcast_shapes(z.shape, self.batch_shape))
        piece = torch.bucketize(z.contiguous(), self._knots[1:-1], right=True)
        start, slope = self._at(self.values.double(), piece), self._at(self._slopes, piece)
        return (start + slope * (z - self._knots[piece])).to(self.dtype)

    @property
    def _knots(self) -> Tensor:
        """(K,) normal scores of the levels."""
        z: Tensor = torch.special.ndtri(self.levels.double())
        return z

    @property
    def _slopes(self) -> Tensor:
        """(*batch, K − 1) slopes; a piece of zero width has its probability almost in a point."""
        return (self.values.double().diff() / self._knots.diff()).clamp_min(torch.finfo(torch.float64).eps)

    def _inverse(self, score: Number) -> tuple[Tensor, Tensor]:
        """Return the normal score of a score, and the slope of the score as a function of it."""
        known = self._tensor(score).double()
        piece = (known[..., None] >= self.values[..., 1:-1].double()).sum(-1)
        start, slope = self._at(self.values.double(), piece), self._at(self._slopes, piece)
        return self._knots[piece] + (known - start) / slope, slope

    def _at(self, rows: Tensor, piece: Tensor) -> Tensor:
        return rows.expand(*piece.shape, rows.shape[-1]).gather(-1, piece[..., None]).squeeze(-1)

    def _affine(self, scale: Tensor, shift: Tensor) -> Quantiles:
        values = scale[..., None] * self.values + shift[..., None]
        return Quantiles(scale * self.centre + shift, values, self.levels)
