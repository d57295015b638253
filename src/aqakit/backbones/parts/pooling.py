"""Max pooling of maps with time, fast where PyTorch's is slow: for features, on a CPU.

``torch.nn.functional.max_pool3d`` also finds where each maximum is, which only a gradient needs, and visits every cell
of a window, 27 of 3×3×3. The maxima along one axis, then along the next, are the same numbers, from 9 cells and in
vector instructions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.utils import _triple

Sizes = int | tuple[int, int, int]


class MaxPool3d(nn.MaxPool3d):
    """The layer of PyTorch, by :func:`max_pool3d`."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, C, T, H, W) → (n, C, T', H', W')."""
        return max_pool3d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode)


def max_pool3d(x: Tensor, kernel: Sizes, stride: Sizes, padding: Sizes = 0, ceil_mode: bool = False) -> Tensor:
    """(n, C, T, H, W) → (n, C, T', H', W'), bit for bit those of ``torch.nn.functional.max_pool3d``."""
    # A graph should have one layer for it, and gradients need the places.
    learns = torch.is_grad_enabled() and x.requires_grad
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[no-untyped-call, attr-defined]
    if learns or traced or x.device.type != "cpu":
        return F.max_pool3d(x, kernel, stride, padding, ceil_mode=ceil_mode)
    for axis, (size, step, border) in enumerate(zip(*map(_triple, (kernel, stride, padding)), strict=True), start=2):
        x = _pool_axis(x, axis, size, step, border, ceil_mode)
    return x


def _pool_axis(x: Tensor, axis: int, kernel: int, stride: int, padding: int, ceil_mode: bool) -> Tensor:
    if kernel == stride == 1:
        return x
    size = x.shape[axis]
    left = size + 2 * padding - kernel
    windows = (-(-left // stride) if ceil_mode else left // stride) + 1
    if (windows - 1) * stride >= size + padding:
        windows -= 1  # it would see nothing but padding
    behind = max((windows - 1) * stride + kernel - padding - size, 0)
    if padding or behind:
        x = F.pad(x, [*[0, 0] * (x.ndim - 1 - axis), padding, behind], value=-torch.inf)
    cells = [
        x.narrow(axis, first, (windows - 1) * stride + 1)[(*[slice(None)] * axis, slice(None, None, stride))]
        for first in range(kernel)
    ]
    largest = torch.maximum(cells[0], cells[-1])
    for cell in cells[1:-1]:
        torch.maximum(largest, cell, out=largest)
    return largest
