"""What the pixels of a clip look like: a few statistics that no network computes and that no training changes.

A network that was trained from pixels maps what it has never seen to features that it has: noise can look like a dive
to it. These statistics see the difference: colours, contrast from fine to coarse detail, and how fast things change.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

OCTAVES = 4
LAGS = (1, 2, 4)

_SMALLEST = 1e-3  # a quarter of a grey level: less than that is rounding


def appearance(clips: Tensor) -> Tensor:
    """Return (n, 18) statistics of clips (n, T, H, W, 3) uint8.

    Mean red, green and blue, from 0 to 1. Then, as logarithms of root mean squares over the clip: the spread of red −
    green and of green − blue; for each of four octaves of detail, from single pixels on, its contrast, and its change
    from frame to frame; the contrast of what is coarser; the change of brightness of a pixel over 1, 2 and 4 frames;
    and the spread of the brightness of whole frames. An octave is what is lost when squares of two by two pixels are
    averaged (a level of the Laplacian pyramid of Burt & Adelson 1983, with a box filter).
    """
    colours = clips.float() / 255  # (n, T, H, W, 3)
    bright = colours.mean(-1)  # (n, T, H, W)
    found = list(colours.diff(dim=-1).std((1, 2, 3), correction=0).unbind(1))
    level = bright
    for _ in range(OCTAVES):
        coarse = F.avg_pool2d(level, 2, ceil_mode=True, count_include_pad=False)
        detail = level - F.interpolate(coarse, size=level.shape[2:])
        found += [_size(detail), _size(detail.diff(dim=1))]
        level = coarse
    found.append(_size(level - level.mean((2, 3), keepdim=True)))
    found += [_size(bright[:, lag:] - bright[:, :-lag]) for lag in LAGS]
    found.append(bright.mean((2, 3)).std(1, correction=0))
    return torch.cat([colours.mean((1, 2, 3)), (torch.stack(found, 1) + _SMALLEST).log()], 1)


def _size(values: Tensor) -> Tensor:
    """Root mean square (n,) of (n, T, H, W); 0 without frames, as for the change in a clip of one."""
    return values.square().mean((1, 2, 3)).sqrt() if values.numel() else values.new_zeros(len(values))
