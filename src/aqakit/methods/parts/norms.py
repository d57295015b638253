"""Normalisation in which padding takes no part."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FrameNorm(nn.BatchNorm1d):
    """Batch normalisation over frames that are not padding; padding becomes zero."""

    def forward(self, x: Tensor, frames: Tensor) -> Tensor:  # type: ignore[override]
        """Normalise: (B, T, J, C), (B, T) → (B, T, J, C)."""
        inside = x[frames]  # (n, J, C)
        rows = inside.flatten(0, 1)
        # a single row has no variance: use the running statistics
        normed = super().forward(rows) if len(rows) > 1 else self._as_learnt(rows)
        return torch.zeros_like(x).index_put((frames,), normed.view_as(inside))

    def _as_learnt(self, rows: Tensor) -> Tensor:
        return F.batch_norm(rows, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
