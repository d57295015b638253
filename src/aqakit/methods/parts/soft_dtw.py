"""Soft dynamic time warping: how unlike two sequences are under the best alignments (Cuturi and Blondel 2017)."""

import torch
from torch import Tensor


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
    nothing = cost.new_full((cost.shape[0],), torch.inf)
    # one list for each row of cells; a cell depends on those above, on the left, and diagonally
    above = [torch.zeros_like(nothing)] + [nothing] * columns
    for i in range(rows):
        row = [nothing]
        for j in range(columns):
            ways = torch.stack([above[j], above[j + 1], row[j]])
            row.append(cost[:, i, j] - gamma * torch.logsumexp(-ways / gamma, 0))
        above = row
    return above[-1]
