"""Soft dynamic time warping: how unlike two sequences are under the best alignments (Cuturi and Blondel 2017)."""

import torch
from torch import Tensor
from torch.nn import functional as F

_NEVER = 1e9
"""The cost of what no alignment passes; finite, so that its gradient is zero rather than undefined."""


def soft_dtw(first: Tensor, second: Tensor, gamma: float) -> Tensor:
    """Return the soft minimum of the costs of all alignments, (P, n, D), (P, m, D) → (P,).

    The cost of an alignment is the sum of squared distances of its pairs of elements, and the soft minimum of costs c
    is −γ log Σ exp(−c/γ). It may be negative, and is not zero for equal sequences.

    Args:
        first: sequences of n elements.
        second: sequences of m elements.
        gamma: softness of the minimum.
    """
    cost = (first[:, :, None] - second[:, None]).square().sum(-1)  # (P, n, m)
    rows, columns = cost.shape[1:]
    last = rows + columns - 1
    # shift row i by i, so that cells that depend on none of each other are in one column
    skewed = F.pad(cost, (0, rows), value=_NEVER).flatten(1)[:, : rows * last].unflatten(1, (rows, last))
    before = torch.full_like(skewed[..., 0], _NEVER)
    now = torch.cat([skewed[:, :1, 0], before[:, 1:]], 1)
    for k in range(1, last):
        ways = torch.stack([now, _down(now), _down(before)])
        before, now = now, skewed[..., k] - gamma * torch.logsumexp(-ways / gamma, 0)
    return now[:, -1]


def _down(cells: Tensor) -> Tensor:
    """Move cells (P, n) to the next row."""
    return F.pad(cells[:, :-1], (1, 0), value=_NEVER)
