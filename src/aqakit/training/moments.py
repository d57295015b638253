"""Mean and standard deviation of rows that come a few at a time, in double precision.

Source: Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979).
"""

from __future__ import annotations

import torch
from torch import Tensor


class Moments:
    """Mean (*F) of the rows so far, and what their standard deviation is made of.

    Attributes:
        mean: (*F) in double precision.
        count: number of rows.
    """

    def __init__(self) -> None:
        self.mean, self.count = torch.zeros(()), 0
        self._squares = torch.zeros(())  # summed squares of the distances from the mean

    def add(self, rows: Tensor) -> None:
        """Add rows (n, *F), n > 0."""
        values = rows.double()
        mean, total = values.mean(0), self.count + len(rows)
        away = mean - self.mean.to(mean)
        squares = (values - mean).square().sum(0) + away.square() * (self.count * len(rows) / total)
        self.mean = self.mean.to(mean) + away * (len(rows) / total)
        self._squares, self.count = self._squares.to(mean) + squares, total

    def spread(self) -> Tensor:
        """Standard deviation (*F) of all rows, not that of a sample."""
        return (self._squares / max(1, self.count)).sqrt()
