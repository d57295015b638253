"""Heads that map one vector per video to a distribution of scores: ``(B, D) -> ScoreDistribution``.

Internally, every head works in units of a quarter of the score scale around its centre, so that its outputs are of
order one in any sport. Its predictions are in score units.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from aqakit.scores.distributions import Binned, Normal, Point
from aqakit.types import ScoreScale

LOG_VARIANCE_BOUND = 8.0
"""Smooth bound of the log-variance: a standard deviation from 1/200 of the score scale to far more than the scale."""


def mlp(width: int, hidden: Sequence[int], dropout: float = 0.0) -> nn.Sequential:
    """Build Linear–ReLU(–dropout) layers; 1024 → 256 → 128 is the trunk of USDL, MUSDL and DAE."""
    layers: list[nn.Module] = []
    for size in hidden:
        layers += [nn.Linear(width, size), nn.ReLU()]
        layers += [nn.Dropout(dropout)] if dropout else []
        width = size
    return nn.Sequential(*layers)


class PointHead(nn.Module):
    """Predict one number with a linear layer."""

    def __init__(self, width: int, scale: ScoreScale) -> None:
        super().__init__()
        self.value = nn.Linear(width, 1)
        self.scale = scale

    def forward(self, x: Tensor) -> Point:
        """Map (B, D) to B points."""
        return Point(in_units(self.value(x).squeeze(1), self.scale))


class NormalHead(nn.Module):
    """Predict mean and bounded log-variance, each with one linear layer (DAE)."""

    def __init__(self, width: int, scale: ScoreScale) -> None:
        super().__init__()
        self.mean = nn.Linear(width, 1)
        self.log_variance = nn.Linear(width, 1)
        self.scale = scale

    def forward(self, x: Tensor) -> Normal:
        """Map (B, D) to B normals."""
        log_variance = LOG_VARIANCE_BOUND * torch.tanh(self.log_variance(x).squeeze(1) / LOG_VARIANCE_BOUND)
        spread = (log_variance / 2).exp() * self.scale.span / 4
        return Normal(in_units(self.mean(x).squeeze(1), self.scale), spread)


class BinnedHead(nn.Module):
    """Predict probabilities of K equal bins whose centres run from the lowest to the highest score (USDL)."""

    edges: Tensor

    def __init__(self, width: int, scale: ScoreScale, bins: int) -> None:
        super().__init__()
        self.logits = nn.Linear(width, bins)
        half = scale.span / (bins - 1) / 2
        self.register_buffer("edges", torch.linspace(scale.low - half, scale.high + half, bins + 1))

    def forward(self, x: Tensor) -> Binned:
        """Map (B, D) to B histograms."""
        return Binned(self.logits(x), self.edges)


def in_units(value: Tensor, scale: ScoreScale) -> Tensor:
    """Convert from the units of the head to score units."""
    return scale.centre + value * scale.span / 4
