"""HOG/HOF: edges and motion of a video as histograms, no weights.

Each clip is divided into cells of space and time. In every cell, one histogram holds the directions of the edges (HOG),
and one those of the motion (HOF), with a last bin for the share of pixels that do not move. The motion of a pixel is
found by least squares in a small square around it (Lucas and Kanade, 1981), which is exact for shifts of a pixel or two
between frames: faster motion is seen, but taken for slower.

The published histograms are each scaled to a sum of 1. Here they keep their size, because how much and how fast a body
moves is what is judged; the square root is taken instead, as is usual for histograms since. Nothing is learnt, so a few
dozen videos are enough to begin with, and no weights are needed.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from aqakit.backbones.parts.pretrained import PlanOption
from aqakit.backbones.parts.video import VideoBackbone
from aqakit.errors import OptionError
from aqakit.recordings import clips as plans
from aqakit.recordings.clips import ClipPlan
from aqakit.recordings.transforms import CONVENTIONS, PixelRecipe

PAPER = (
    "Laptev et al., Learning Realistic Human Actions from Movies, CVPR 2008 (the histograms). "
    "https://doi.org/10.1109/CVPR.2008.4587756"
)

DIRECTIONS = 4
"""Bins of the edges, over half a turn, and of the motion, over a whole turn."""

STILL = 0.002
"""Motion per frame, as a share of the size of the frame, below which a pixel does not move."""

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_AROUND = 5  # side of the square in which motion is one and the same
_FLAT = 2e-5  # squared gradient below which a square shows no motion: the noise of eight bits


class HogHof(VideoBackbone):
    """Clips (T, H, W, 3) uint8 → (M · N · N · 9,) histograms of M parts of the clip and N × N cells of the frame.

    Args:
        plan: clip plan; clips have at least two frames.
        size: height and width to which frames are resized.
        cells: N, cells along each side of a frame.
        parts: M, parts of a clip.
    """

    standardise = True

    def __init__(self, plan: ClipPlan, *, size: int, cells: int, parts: int) -> None:
        super().__init__(plan, PixelRecipe((size, size), interpolation="area"), CONVENTIONS["raw-255"])
        self.cells, self.parts = cells, parts
        self.shape = (parts * cells * cells * (2 * DIRECTIONS + 1),)

    def forward(self, clips: Tensor) -> Tensor:
        """(n, T, H, W, 3) uint8 → (n, M · N · N · 9): for each part and cell, four edges, four ways, and rest."""
        grey = smooth(clips.float() @ clips.new_tensor(_LUMA, dtype=torch.float32) / 255)
        x, y = gradient(grey)
        edges = directed(x, y, turn=torch.pi)
        u, v = flow(grey)
        ways = directed(u / grey.shape[-1], v / grey.shape[-2], turn=2 * torch.pi)
        still = (ways.sum(1, keepdim=True) < STILL).float()
        return torch.cat([self._pooled(edges), self._pooled(torch.cat([ways, still], 1))], -1).sqrt().flatten(1)

    def _pooled(self, maps: Tensor) -> Tensor:
        """Means (n, M, N, N, B) over the cells of maps (n, B, T, H, W)."""
        return F.adaptive_avg_pool3d(maps, (self.parts, self.cells, self.cells)).movedim(1, -1)

    def fingerprint(self) -> dict[str, Any]:
        """Return plan, pixels and cells."""
        return super().fingerprint() | {"version": 1, "cells": self.cells, "parts": self.parts}


def smooth(frames: Tensor) -> Tensor:
    """Weigh each pixel of (n, T, H, W) with its neighbours by 1, 2, 1 in both directions."""
    for axis, pad in ((-1, (1, 1, 0, 0)), (-2, (0, 0, 1, 1))):
        wide = F.pad(frames, pad, mode="replicate")
        length = frames.shape[axis]
        before, own, after = (wide.narrow(axis, start, length) for start in range(3))
        frames = (before + 2 * own + after) / 4
    return frames


def gradient(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Differences per pixel of (n, T, H, W), to the right and downwards; central but at the borders."""
    y, x = torch.gradient(frames, dim=(-2, -1))
    return x, y


def flow(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Motion (n, T − 1, H, W) of the pixels of (n, T, H, W) to the next frame, in pixels to the right and downwards.

    Where a square shows no edges, or edges of one direction only, the smallest motion that explains it is given.
    """
    x, y = gradient((frames[:, 1:] + frames[:, :-1]) / 2)
    t = frames.diff(dim=1)
    xx, xy, yy, xt, yt = (_around(a * b) for a, b in ((x, x), (x, y), (y, y), (x, t), (y, t)))
    xx, yy = xx + _FLAT, yy + _FLAT  # so that what is not seen does not move
    determinant = xx * yy - xy * xy
    return (xy * yt - yy * xt) / determinant, (xy * xt - xx * yt) / determinant


def _around(values: Tensor) -> Tensor:
    return F.avg_pool2d(values, _AROUND, stride=1, padding=_AROUND // 2, count_include_pad=False)


def directed(x: Tensor, y: Tensor, *, turn: float) -> Tensor:
    """Share the length of vectors (n, T, H, W) among the two nearest directions: (n, 4, T, H, W).

    Args:
        x: to the right.
        y: downwards.
        turn: the angle after which directions are the same: π for edges, 2 π for motion.
    """
    length, place = torch.hypot(x, y), torch.atan2(y, x) * (DIRECTIONS / turn)
    bins = torch.arange(DIRECTIONS, device=x.device).view(-1, 1, 1, 1)
    apart = (place[:, None] - bins).remainder(DIRECTIONS)
    apart = torch.minimum(apart, DIRECTIONS - apart)
    return length[:, None] * (1 - apart).relu()


def build(
    *,
    plan: PlanOption = "sliding/frames=16/step=16",
    size: Annotated[int, Field(ge=16, description="width and height of a frame in pixels")] = 96,
    cells: Annotated[int, Field(gt=0, description="cells along each side of a frame")] = 3,
    parts: Annotated[int, Field(gt=0, description="parts of a clip")] = 2,
) -> HogHof:
    """Build the backbone; cells and parts are the paper's 3 × 3 × 2.

    Raises:
        OptionError: the clip plan is unknown, its clips are single frames, or a cell would be smaller than a pixel or
            the motion between two frames.
    """
    chosen = plans.parse(plan)
    if chosen.size < 2:
        raise OptionError(f"hog_hof needs clips of at least 2 frames to see motion; those of {plan} have {chosen.size}")
    if parts >= chosen.size:
        raise OptionError(f"hog_hof: clips of {chosen.size} frames have at most {chosen.size - 1} parts with motion")
    if cells > size:
        raise OptionError(f"hog_hof: frames of {size} pixels have at most {size} cells along each side")
    return HogHof(chosen, size=size, cells=cells, parts=parts)
