"""Procedure segmentation: the moments at which the phases of a video change, and the steps between them.

A video of any number of clips is brought to T moments, so that its maps and steps have one size.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aqakit.types import Stream

Search = Literal["share", "ordered"]


def resample(features: Tensor, clips: Tensor, moments: int) -> Tensor:
    """Interpolate the clips of each video linearly at T moments, (B, N, D), (B, N) → (B, T, D).

    Clips and moments stand for equal shares of the recording, and for the middle of each.
    """
    count = clips.sum(1, keepdim=True)  # (B, 1)
    middle = (torch.arange(moments, device=clips.device) + 0.5) / moments
    at = (middle * count - 0.5).clamp(min=0).minimum((count - 1).clamp(min=0))  # (B, T)
    low = at.floor().long()
    high = (low + 1).minimum((count - 1).clamp(min=0))
    share = (at - low)[..., None]
    row = torch.arange(features.shape[0], device=clips.device)[:, None]
    return features[row, low] * (1 - share) + features[row, high] * share


def pool_steps(moments: Tensor, boundaries: Tensor, positions: int) -> Tensor:
    """Pool each step into means over equal shares of it, (B, T, D), (B, P) → (B, P + 1, positions, D).

    Args:
        moments: features of T equal shares of a recording.
        boundaries: rising shares of the recording. A step shorter than a moment is taken to be one moment long.
        positions: means for each step.
    """
    count = moments.shape[1]
    ends = F.pad(F.pad(boundaries, (1, 0)), (0, 1), value=1.0)
    low = ends[:, :-1].clamp(max=1 - 1 / count)
    high = torch.maximum(ends[:, 1:], low + 1 / count)
    share = torch.arange(positions + 1, device=moments.device) / positions
    edge = (low[..., None] + share * (high - low)[..., None])[..., None]  # (B, P + 1, positions + 1, 1)
    first = torch.arange(count, device=moments.device) / count  # where each moment begins
    overlap = torch.minimum(edge[..., 1:, :], first + 1 / count) - torch.maximum(edge[..., :-1, :], first)
    weight = overlap.clamp(min=0)
    weight = weight / weight.sum(-1, keepdim=True)
    return torch.einsum("bspt,btd->bspd", weight, moments)


def transitions(maps: Tensor, search: Search) -> Tensor:
    """Return the most likely moments (B, P) int64 of P transitions, given their log-odds (B, T, P).

    Each has one moment, and they rise. With ``share``, transition i lies in the i-th of P equal shares.
    """
    moments, count = maps.shape[1:]
    if search == "share":
        share = torch.arange(moments, device=maps.device) * count // moments
        maps = maps.masked_fill(share[:, None] != torch.arange(count, device=maps.device), -torch.inf)
    best, origins = maps[..., 0], []
    for i in range(1, count):  # best: of all ways to place the transitions so far, the last one at a moment
        value, origin = best.cummax(1)
        origins.append(F.pad(origin[:, :-1], (1, 0)))
        best = F.pad(value[:, :-1], (1, 0), value=-torch.inf) + maps[..., i]
    path = [best.argmax(1, keepdim=True)]
    for origin in reversed(origins):
        path.append(origin.gather(1, path[-1]))
    return torch.cat(path[::-1], 1)


class Segmenter(nn.Module):
    """Features of T moments, and the log-odds that a transition is at each of them.

    A linear layer for each clip, then convolutions over time at full, half and a quarter of the resolution, with skips.

    Args:
        inputs: Channels of a clip.
        width: Channels of a moment.
        moments: Number of moments (T).
        boundaries: Number of transitions (P).
    """

    def __init__(self, inputs: int, *, width: int, moments: int, boundaries: int) -> None:
        super().__init__()
        self.moments = moments
        self.read = nn.Linear(inputs, width)
        self.down = nn.ModuleList(nn.Conv1d(width, width, 3, padding=1) for _ in range(3))
        self.up = nn.ModuleList(nn.Conv1d(width, width, 3, padding=1) for _ in range(2))
        last = nn.Linear(width, boundaries)
        nn.init.constant_(last.bias, -math.log(moments - 1))  # each moment is as likely as any other
        self.map = nn.Sequential(nn.Linear(width, width), nn.ReLU(), last)

    def forward(self, stream: Stream) -> tuple[Tensor, Tensor]:
        """Map (B, N, D) to features (B, T, width) and maps (B, T, P)."""
        x = resample(self.read(stream.features).relu(), stream.clips, self.moments).mT
        levels = []
        for conv in self.down:
            x = x + conv(x).relu()
            levels.append(x)
            x = F.avg_pool1d(x, 2, ceil_mode=True)
        x = levels.pop()
        for conv in self.up:
            finer = levels.pop()
            x = finer + conv(F.interpolate(x, finer.shape[2])).relu()
        found = x.mT
        return found, self.map(found)


def transition_loss(maps: Tensor, boundaries: Tensor) -> Tensor:
    """Binary cross-entropy (B,) of maps (B, T, P) with boundaries (B, P) in [0, 1]: 1 in their moment, 0 elsewhere."""
    moments = maps.shape[1]
    moment = (boundaries * moments).long().clamp(0, moments - 1)
    target = F.one_hot(moment, moments).mT.to(maps.dtype)
    return F.binary_cross_entropy_with_logits(maps, target, reduction="none").mean((1, 2))
