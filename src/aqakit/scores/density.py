"""The density of a score as it is drawn: smooth, without the shoulders that only a calibration has."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from aqakit.scores.distributions import ScoreDistribution
from aqakit.types import Floats, ScoreScale

_POINTS = 240
_KERNELS = (0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
"""Standard deviations of the kernel, relative to that of the distribution."""
_USUAL = 0.6
_BEND = 0.02
"""Share of the largest curvature below which a bend cannot be seen."""


def smooth(
    found: ScoreDistribution, said: ScoreDistribution | None = None, scale: ScoreScale | None = None
) -> tuple[Floats, Floats]:
    """Return equal steps of the score (n,) and the density there (n,), which also works for points and bins.

    A recalibrated distribution has a step for every few held-out samples. It is smoothed until it has no more bends
    than what the members said: calibration moves scores, and knows of no shoulders. Mean and spread stay.

    Args:
        found: a distribution of one score, batch shape () or (1,).
        said: what the members said before calibration; if None, the distribution is smoothed by a fixed kernel.
        scale: the possible scores; beyond its ends, nothing is drawn.
    """
    ends = [found.quantile(level).item() for level in (0.002, 0.998)]
    margin = 0.2 * (ends[1] - ends[0]) or max(1e-6, 0.01 * abs(ends[0]))
    edges = torch.linspace(ends[0] - margin, ends[1] + margin, _POINTS + 1, dtype=torch.float64)
    step = (edges[1] - edges[0]).item()
    share, wide, middle = _shares(found, edges), found.std.item() / step, found.mean.item()
    scores, shrink = ((edges[1:] + edges[:-1]) / 2).numpy(), 1.0
    if wide > 0:
        kernels = _KERNELS if said else (_USUAL,)
        most = max(2, bends(_blurred(_shares(said, edges), _KERNELS[0] * wide))) if said else 2
        tried = ((kernel, _blurred(share, kernel * wide)) for kernel in kernels)
        kernel, share = next((k, one) for k, one in tried if k == kernels[-1] or bends(one) <= most)
        shrink = math.hypot(1, kernel)  # so that smoothing does not widen it
    scores, share = middle + (scores - middle) / shrink, share / step * shrink
    possible = slice(None) if scale is None else (scores >= scale.low) & (scores <= scale.high)
    return (scores[possible], share[possible]) if scores[possible].size > 1 else (scores, share)


def bends(curve: Floats) -> int:
    """Count the points at which a curve turns from left to right or back: a bell has two, a shoulder adds two.

    >>> x = np.linspace(-4, 4, 81)
    >>> bell = np.exp(-x**2)
    >>> bends(bell), bends(bell + 0.4 * np.exp(-4 * (x - 1.8) ** 2))
    (2, 4)
    """
    second = np.diff(curve, 2)
    turns = np.sign(second[np.abs(second) > _BEND * np.abs(second).max()])
    return int((turns[1:] != turns[:-1]).sum())


def _shares(found: ScoreDistribution, edges: Tensor) -> Floats:
    """Probability (n − 1,) between each two edges (n,)."""
    return np.asarray(found.to(torch.float64).cdf(edges[:, None]).squeeze(1).diff().clamp_min(0).detach().numpy())


def _blurred(share: Floats, width: float) -> Floats:
    return np.asarray(gaussian_filter1d(share, width, mode="constant"))
