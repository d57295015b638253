"""Proper scoring rules: metrics that are best, on average, for the true distribution."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike

from aqakit.scores.distributions import ScoreDistribution
from aqakit.types import Floats


def nll(distribution: ScoreDistribution, score: ArrayLike) -> float:
    """Mean negative log density of the true scores (n,), in nats; NaN for points and mixtures of them."""
    if distribution.kind.split(".")[-1] == "point":
        return float("nan")
    return float(-distribution.detach().log_prob(as_tensor(distribution, score)).mean())


def crps(distribution: ScoreDistribution, score: ArrayLike) -> float:
    """Mean continuous ranked probability score of the true scores (n,), in their units."""
    return float(distribution.detach().crps(as_tensor(distribution, score)).mean())


def pinball(distribution: ScoreDistribution, score: ArrayLike, levels: ArrayLike) -> Floats:
    """Mean quantile loss (Q,) of the true scores (n,) at levels (Q,), in units of the score."""
    level = as_tensor(distribution, levels)
    short = as_tensor(distribution, score)[:, None] - distribution.detach().quantile(level)
    return torch.maximum(level * short, (level - 1) * short).mean(0).cpu().double().numpy()


def as_tensor(distribution: ScoreDistribution, values: ArrayLike) -> torch.Tensor:
    """Return values as a tensor with the dtype and device of a distribution."""
    return torch.as_tensor(np.asarray(values), dtype=distribution.dtype, device=distribution.device)
