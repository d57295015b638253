"""From one vector per video to a distribution of scores: ``(B, D) -> ScoreDistribution``.

Every head works in units of a quarter of the score scale around its middle, so that its outputs are of order one in
any sport; what it answers is in the units of the sport.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from aqakit.scores.distributions import Binned, Normal, Point
from aqakit.types import ScoreScale

LOG_VARIANCE_BOUND = 8.0
"""The log-variance stays in ±8, smoothly: a spread between 1/200 of the score scale and far beyond all of it."""


def mlp(width: int, hidden: Sequence[int], dropout: float = 0.0) -> nn.Sequential:
    """Linear–ReLU(–dropout) layers; 1024 → 256 → 128 is the trunk of USDL, MUSDL and DAE."""
    layers: list[nn.Module] = []
    for size in hidden:
        layers += [nn.Linear(width, size), nn.ReLU()]
        layers += [nn.Dropout(dropout)] if dropout else []
        width = size
    return nn.Sequential(*layers)


class PointHead(nn.Module):
    """One number."""

    def __init__(self, width: int, scale: ScoreScale) -> None:
        super().__init__()
        self.value = nn.Linear(width, 1)
        self.scale = scale

    def forward(self, x: Tensor) -> Point:
        """(B, D) → B points."""
        return Point(in_units(self.value(x).squeeze(1), self.scale))


class NormalHead(nn.Module):
    """Mean and bounded log-variance, each from one linear layer (DAE)."""

    def __init__(self, width: int, scale: ScoreScale) -> None:
        super().__init__()
        self.mean = nn.Linear(width, 1)
        self.log_variance = nn.Linear(width, 1)
        self.scale = scale

    def forward(self, x: Tensor) -> Normal:
        """(B, D) → B normals."""
        log_variance = LOG_VARIANCE_BOUND * torch.tanh(self.log_variance(x).squeeze(1) / LOG_VARIANCE_BOUND)
        spread = (log_variance / 2).exp() * self.scale.span / 4
        return Normal(in_units(self.mean(x).squeeze(1), self.scale), spread)


class BinnedHead(nn.Module):
    """A probability for each of K equal bins whose centres run from the lowest to the highest score (USDL)."""

    edges: Tensor

    def __init__(self, width: int, scale: ScoreScale, bins: int) -> None:
        super().__init__()
        self.logits = nn.Linear(width, bins)
        half = scale.span / (bins - 1) / 2
        self.register_buffer("edges", torch.linspace(scale.low - half, scale.high + half, bins + 1))

    def forward(self, x: Tensor) -> Binned:
        """(B, D) → B histograms."""
        return Binned(self.logits(x), self.edges)


def in_units(value: Tensor, scale: ScoreScale) -> Tensor:
    """From the head's units to the units of the sport."""
    return scale.centre + value * scale.span / 4
