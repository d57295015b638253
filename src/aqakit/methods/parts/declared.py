"""What was declared, kind and steps, as numbers; and what is usual for it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from aqakit.types import Batch, LabelSpec

PENALTY = 0.3
"""Of the squared weights of :class:`Usual`, whose inputs are ones and counts."""


def design(batch: Batch, labels: LabelSpec) -> Tensor:
    """Return (B, kinds + steps) float64: 1 for the declared kind, and how often each step was declared.

    Both parts are NaN where nothing, or nothing that training knew, was declared.
    """
    kinds, steps = len(labels.kinds), len(labels.steps)
    kind = functional.one_hot(batch.kind.clamp_min(0), max(kinds, 1))[:, :kinds].double()
    kind[batch.kind < 0] = torch.nan
    known = (batch.steps >= 0) & (batch.steps < steps)
    counts = functional.one_hot(torch.where(known, batch.steps, steps), steps + 1).sum(1)[:, :steps].double()
    counts[~known.any(1)] = torch.nan
    return torch.cat([kind, counts], dim=1)


@dataclass(frozen=True)
class Usual:
    """What numbers usually are, given what was declared: a ridge regression on the :func:`design`.

    Attributes:
        declared: (P,) mean of the design, which stands for a part that is not declared.
        mean: (D,) mean of the numbers.
        weight: (P, D).
    """

    declared: Tensor
    mean: Tensor
    weight: Tensor

    @classmethod
    def of(cls, declared: Tensor, numbers: Tensor) -> Usual:
        """Fit the regression to n designs (n, P) and numbers (n, D)."""
        numbers = numbers.double()
        usual = declared.nanmean(0).nan_to_num()
        x, y = torch.where(declared.isnan(), usual, declared) - usual, numbers - numbers.mean(0)
        penalty = PENALTY * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        return cls(usual, numbers.mean(0), torch.linalg.solve(x.mT @ x + penalty, x.mT @ y))

    def __call__(self, declared: Tensor) -> Tensor:
        """Return what is usual (B, D) for designs (B, P)."""
        return self.mean + (torch.where(declared.isnan(), self.declared, declared) - self.declared) @ self.weight
