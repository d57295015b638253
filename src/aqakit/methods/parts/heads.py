"""Heads that map one vector per video to a distribution of scores: ``(B, D) -> ScoreDistribution``.

Inside, a head works in units of its own, so that its outputs are of order one in any sport; its answer is in the units
of the sport. The units are a quarter of the score scale around its middle. :meth:`start_at` makes them the mean and the
spread of the training scores, and lets the head answer with these until it has learnt more.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from aqakit.scores.distributions import Binned, LocationScale, Normal, Point
from aqakit.types import ScoreScale

LOG_VARIANCE_BOUND = 8.0
"""Smooth bound of the log-variance: a standard deviation from 1/200 of the score scale to far more than the scale."""

STARTED_BOUND = 4.0
"""The same in units of the spread of the training scores: between 1/7 of it and 7 times as much."""

_SMALL = 0.1  # of the weights of a last layer that is to start with almost one answer for all


class Units(nn.Module):
    """From a head's units to those of the sport: ``centre`` + value × ``size``."""

    centre: Tensor
    size: Tensor
    bound: Tensor

    def __init__(self, scale: ScoreScale) -> None:
        super().__init__()
        self.register_buffer("centre", torch.tensor(float(scale.centre)))
        self.register_buffer("size", torch.tensor(scale.span / 4))
        self.register_buffer("bound", torch.tensor(LOG_VARIANCE_BOUND))

    def spread(self, log_variance: Tensor) -> Tensor:
        """Standard deviations in the units of the sport, within the bound."""
        bounded = self.bound * torch.tanh(log_variance / self.bound)
        return (bounded / 2).exp() * self.size

    def forward(self, value: Tensor) -> Tensor:
        """The same in the units of the sport."""
        return self.centre + value * self.size

    def start_at(self, score: Tensor) -> None:
        """Use the mean and the spread of these scores (n,); of equal scores, the mean alone."""
        self.centre.fill_(score.mean())
        self.bound.fill_(STARTED_BOUND)
        if bool((spread := score.std(correction=0)) > 0):
            self.size.fill_(spread)

    def _load_from_state_dict(self, state_dict, prefix, *args) -> None:  # type: ignore[no-untyped-def]
        for name, value in self.named_buffers():  # checkpoints of earlier versions have none
            state_dict.setdefault(prefix + name, value)
        super()._load_from_state_dict(state_dict, prefix, *args)


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
        self.units = Units(scale)

    def forward(self, x: Tensor) -> Point:
        """(B, D) → B points."""
        return Point(self.units(self.value(x).squeeze(1)))

    def start_at(self, score: Tensor) -> None:
        """Start with the mean of the training scores (n,)."""
        self.units.start_at(score)
        _start(self.value, torch.zeros(1))


class LocationScaleHead(nn.Module):
    """Predict mean and bounded log-variance of a family of distributions, each with one linear layer (DAE)."""

    def __init__(self, width: int, scale: ScoreScale, family: type[LocationScale] = Normal) -> None:
        super().__init__()
        self.mean = nn.Linear(width, 1)
        self.log_variance = nn.Linear(width, 1)
        self.units = Units(scale)
        self.family = family

    def forward(self, x: Tensor) -> LocationScale:
        """(B, D) → B distributions of the family."""
        mean, log_variance = (layer(x).squeeze(1) for layer in (self.mean, self.log_variance))
        return self.family.from_mean_std(self.units(mean), self.units.spread(log_variance))

    def start_at(self, score: Tensor) -> None:
        """Start with the mean and the spread of the training scores (n,)."""
        self.units.start_at(score)
        _start(self.mean, torch.zeros(1))
        _start(self.log_variance, torch.zeros(1))


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

    def start_at(self, score: Tensor) -> None:
        """Start with the normal histogram of mean and spread of the training scores (n,)."""
        centres = (self.edges[1:] + self.edges[:-1]) / 2
        spread = score.std(correction=0).clamp_min(float(self.edges[1] - self.edges[0]))
        _start(self.logits, -((centres - score.mean()) / spread).square() / 2)


@torch.no_grad()
def _start(layer: nn.Linear, bias: Tensor) -> None:
    """Almost the same output for every video, which learning then changes."""
    layer.weight.mul_(_SMALL)
    layer.bias.copy_(bias)
