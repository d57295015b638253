"""Comparison of the parts of two videos: cross-attention, and a head for the difference of their scores."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from aqakit.methods.parts.heads import Units
from aqakit.types import ScoreScale

LayersOption = Annotated[int, Field(gt=0, description="layers of attention between the parts of two videos")]


class CrossBlock(nn.Module):
    """Attention of one sequence to another, and an MLP, each normalised before and added to its input."""

    def __init__(self, width: int, heads: int, ratio: int) -> None:
        super().__init__()
        self.of_query, self.of_key, self.of_mlp = (nn.LayerNorm(width) for _ in range(3))
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, ratio * width), nn.GELU(), nn.Linear(ratio * width, width))

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """Map (P, n, width), (P, m, width) to (P, n, width)."""
        keys = self.of_key(other)
        x = x + self.attention(self.of_query(x), keys, keys, need_weights=False)[0]
        compared: Tensor = x + self.mlp(self.of_mlp(x))
        return compared


class CrossDecoder(nn.Module):
    """Blocks in which one sequence attends to another, and does not to itself."""

    def __init__(self, width: int, *, heads: int, layers: int, ratio: int = 4) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(CrossBlock(width, heads, ratio) for _ in range(layers))

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """Map (P, n, width), (P, m, width) to (P, n, width)."""
        for block in self.blocks:
            x = block(x, other)
        return x


class ScoreMLP(nn.Module):
    """One number for a sequence: the mean over its elements of an MLP width → 256 → 64 → 1."""

    def __init__(self, width: int, scale: ScoreScale) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(width, 256), nn.ReLU(), nn.Linear(256, 64), nn.ReLU())
        self.value = nn.Linear(64, 1)
        self.units = Units(scale)

    def forward(self, x: Tensor) -> Tensor:
        """Map (P, n, width) to (P,), in units of the spread of the scores."""
        value: Tensor = self.value(self.hidden(x)).mean(1).squeeze(1)
        return value

    def start_at(self, score: Tensor) -> None:
        """Take the spread of the training scores (n,) as the unit, and start near zero."""
        self.units.start_at(score)
        with torch.no_grad():
            self.value.weight.mul_(0.1)
            self.value.bias.zero_()


class Comparison(nn.Module):
    """How much better one video is than another: half the difference between both orders of the pair.

    The steps of one attend to the same steps of the other, and an MLP reads the difference. Swapping the videos changes
    its sign, exactly; a video does not differ from itself.

    Args:
        width: Channels of a part.
        scale: Scale of the scores.
        layers: Layers of attention, with eight heads.
    """

    def __init__(self, width: int, scale: ScoreScale, *, layers: int) -> None:
        super().__init__()
        self.decoder = CrossDecoder(width, heads=8, layers=layers)
        self.score = ScoreMLP(width, scale)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Map P pairs with S steps of n parts, (P, S, n, width) each, to (P,), in units of the spread of the scores."""
        one, other = torch.cat([first, second]), torch.cat([second, first])
        compared = self.decoder(one.flatten(0, 1), other.flatten(0, 1)).unflatten(0, (-1, first.shape[1]))
        forth, back = self.score(compared.flatten(1, 2)).chunk(2)
        difference: Tensor = (forth - back) / 2
        return difference
