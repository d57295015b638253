"""Where attention is in time, and whether the parts that it finds are in order."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

LENGTH = 20
"""Clips of a video in TPT and RICA², the unit of time of their losses."""


def centres(attention: Tensor, clips: Tensor) -> tuple[Tensor, Tensor]:
    """Return where attention (B, …, K, N) is, and its mean distance from there: (B, …, K) each, in twentieths.

    The first clip is at 1, the last at 20; a single clip is in the middle.
    """
    count = clips.sum(1).reshape(-1, *[1] * (attention.ndim - 1))  # (B, 1, …)
    step = (LENGTH - 1) / (count - 1).clamp(min=1)
    time = torch.where(count > 1, 1 + torch.arange(clips.shape[1], device=clips.device) * step, (LENGTH + 1) / 2)
    centre = (attention * time).sum(-1)
    return centre, (attention * (time - centre[..., None]).abs()).sum(-1)


def order_loss(centre: Tensor, margin: float, there: Tensor | None = None) -> Tensor:
    """Return how much of the margin is missing between the start, K centres (…, K) in order, and the end: → (…).

    Args:
        centre: as :func:`centres` gives them.
        margin: in twentieths of a video.
        there: (…, K) bool: False for parts, after all others, that a video does not have.

    >>> float(order_loss(torch.tensor([3.0, 5.0]), margin=3.0))  # from 1 to 3, from 3 to 5, from 5 to 20
    2.0
    """
    there = torch.ones_like(centre, dtype=torch.bool) if there is None else there
    end = torch.full_like(centre[..., :1], LENGTH)
    ends = torch.cat([torch.ones_like(end), torch.where(there, centre, LENGTH), end], -1)
    missing = (margin - ends.diff()).relu()  # before each part, and after the last
    return (missing * F.pad(there, (1, 0), value=True)).sum(-1)
