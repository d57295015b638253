"""How good an epoch is on samples that were not trained on."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from aqakit.metrics.accuracy import spearman
from aqakit.scores.distributions import ScoreDistribution


def held_out_value(answer: ScoreDistribution, score: Tensor) -> tuple[float, ...]:
    """Minus the mean squared error of held-out answers (n,).

    Not their CRPS: members that grow too sure of themselves lose by it long before they stop to learn, and how sure
    they may be is corrected afterwards by recalibration.
    """
    return (-float((answer.mean - score).square().mean()),)


def validation_value(answer: ScoreDistribution, score: Tensor) -> tuple[float, ...]:
    """Spearman on validation samples (n,), then minus the mean CRPS.

    Where all answers or all scores are equal, nothing is ranked: such an epoch comes after all that rank, and among
    themselves the CRPS decides.
    """
    rank = float(spearman(score.numpy(), answer.mean.numpy()))
    return (-math.inf if math.isnan(rank) else rank, -float(answer.crps(score).mean()))


def is_off_scale(answer: ScoreDistribution, low: float, high: float) -> bool:
    """Whether most predictions lie off the score scale by more than its span, or are less sure than that."""
    span, mean = high - low, answer.mean
    off = torch.maximum(low - mean, mean - high).median()
    return not (float(off) <= span and float(answer.std.median()) <= span)
