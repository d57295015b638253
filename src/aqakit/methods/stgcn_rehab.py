"""STGCN-rehab: graph attention over two hops, then an LSTM.

Three blocks, each of a convolution over time, attention between joints that are at most one and at most two bones
apart, and three convolutions over time in a row, whose outputs are joined; the second and third block add their input.
An LSTM of several layers reads all joints of a frame at once, and the score is regressed on its state at the last
frame (Deb et al. 2022; layers, order and sizes from the public code). Videos may differ in length: padding takes no
part in convolutions or norms, and the state is that of the last frame that there is.

Published: ``width=64:joined=16:lstm=80,40,40,80:dropout=0.25:attention=recurrent`` on the graph ``kinect25``, with the
Huber loss of δ = 0.1; Adam with 1e-4, batches of 10. With ``recurrent``, how much a joint attends to the others comes
from an LSTM of that joint over time (a ConvLSTM of kernel 1×1); ``plain`` is a linear layer, far faster.

Not followed: there, all data were standardised before they were divided, and subjects were on both sides. Here a batch
norm of the input, fitted in training, takes the place of that; δ is in units of the spread of the training scores; and
gates are logistic.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import BeforeValidator, Field
from torch import Tensor, nn

from aqakit.errors import OptionError
from aqakit.methods.parts import shapes
from aqakit.methods.parts.base import DropoutOption, Method, mean_loss
from aqakit.methods.parts.graphs import GraphOption, hops
from aqakit.methods.parts.heads import PointHead
from aqakit.methods.parts.norms import FrameNorm
from aqakit.methods.parts.shapes import DimensionsOption
from aqakit.scores.distributions import Point
from aqakit.types import Batch, FeatureSpec, LabelSpec, Stream

PAPER = (
    "Deb et al., Graph Convolutional Networks for Assessment of Physical Rehabilitation Exercises, IEEE Transactions "
    "on Neural Systems and Rehabilitation Engineering 2022. https://doi.org/10.1109/TNSRE.2022.3150392"
)
FEATURES = FeatureSpec({"skeleton": (25, 3)})

DELTA = 0.1
"""Where the Huber loss becomes linear, in units of the head."""

Attention = Literal["plain", "recurrent"]
_FIRST, _JOINED = 9, (9, 15, 20)  # kernels of convolutions over time, in frames


class Frames(nn.Conv1d):
    """Convolution over time, joint by joint, with ReLU; there is nothing (0) before the first and after the last frame.

    Of a kernel of even size, the larger half lies after the frame.
    """

    def __init__(self, width: int, out: int, kernel: int) -> None:
        super().__init__(width, out, kernel, padding="same")

    def forward(self, x: Tensor, frames: Tensor) -> Tensor:  # type: ignore[override]
        """Map (B, T, J, C), (B, T) to (B, T, J, C'), 0 where padded."""
        rows = x.permute(0, 2, 3, 1).flatten(0, 1)  # (B J, C, T)
        found = super().forward(rows).relu().unflatten(0, (len(x), -1)).permute(0, 3, 1, 2)
        return found * frames[..., None, None]


class Hop(nn.Module):
    """What each joint takes from those near it: a mean whose weights are attention.

    Args:
        near: (J, J) bool, which joints j a joint i attends to.
    """

    near: Tensor

    def __init__(self, near: Tensor, width: int, out: int, attention: Attention) -> None:
        super().__init__()
        self.register_buffer("near", near, persistent=False)
        self.value = nn.Linear(width, out)
        recurrent = attention == "recurrent"
        self.attention = nn.LSTM(out, len(near), batch_first=True) if recurrent else nn.Linear(out, len(near))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, J, C) → (B, T, J, C')."""
        value = self.value(x).relu()
        logits = F.leaky_relu(self._logits(value), 0.2).masked_fill(~self.near, -torch.inf)
        return logits.softmax(-1) @ value

    def _logits(self, value: Tensor) -> Tensor:
        if not isinstance(self.attention, nn.LSTM):
            return self.attention(value)
        rows = value.transpose(1, 2).flatten(0, 1)  # (B J, T, C): padding comes after all frames, which it cannot reach
        return self.attention(rows)[0].unflatten(0, (len(value), -1)).transpose(1, 2)


class Block(nn.Module):
    """Convolution over time, two hops, and three convolutions over time: (B, T, J, C) → (B, T, J, 3 C')."""

    def __init__(
        self, near: Sequence[Tensor], width: int, inside: int, joined: int, attention: Attention, dropout: float
    ) -> None:
        super().__init__()
        self.first = Frames(width, inside, _FIRST)
        self.hops = nn.ModuleList(Hop(one, width + inside, inside, attention) for one in near)
        widths = (len(near) * inside, *[joined] * len(_JOINED))
        self.joined = nn.ModuleList(Frames(a, b, k) for (a, b), k in zip(pairwise(widths), _JOINED, strict=True))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, frames: Tensor) -> Tensor:
        """Map (B, T, J, C), (B, T) to (B, T, J, 3 C')."""
        x = torch.cat([x, self.first(x, frames)], -1)
        x = torch.cat([hop(x) for hop in self.hops], -1) * frames[..., None, None]
        found = []
        for convolution in self.joined:
            x = self.dropout(convolution(x, frames))
            found.append(x)
        return torch.cat(found, -1)


class STGCNRehab(Method):
    """Predict a point for each video, of joints of shape (J, C)."""

    needs_clips = True

    def __init__(
        self,
        blocks: Sequence[Block],
        layers: Sequence[nn.LSTM],
        head: PointHead,
        shape: tuple[int, int],
        dropout: float,
    ) -> None:
        super().__init__()
        self.dimensions = shape[1]
        self.norm = FrameNorm(shape[0] * shape[1])
        self.head, self.dropout = head, nn.Dropout(dropout)
        self.blocks, self.layers = nn.ModuleList(blocks), nn.ModuleList(layers)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Huber loss, in units of the head."""
        known = batch.labelled_rows()
        wrong = (self.predict(known).mean - known.score) / self.head.units.size
        return {"huber": mean_loss(F.huber_loss(wrong, torch.zeros_like(wrong), reduction="none", delta=DELTA))}

    def predict(self, batch: Batch) -> Point:
        """Return B points."""
        x, frames = shapes.frames(Stream(batch.features, batch.clips), self.dimensions)
        x = self.norm(x.flatten(2)[:, :, None], frames).view_as(x)
        for number, block in enumerate(self.blocks):
            x = block(x, frames) + (x if number else 0)
        x = x.flatten(2)  # (B, T, J C)
        for layer in self.layers:
            x = self.dropout(layer(x)[0])
        last = (frames.sum(1) - 1).clamp(min=0)
        return self.head(x[torch.arange(len(x), device=x.device), last])


SizesOption = Annotated[
    tuple[Annotated[int, Field(gt=0)], ...],
    BeforeValidator(lambda value: value.split(",") if isinstance(value, str) else value),
    Field(min_length=1, description="widths of the layers of the LSTM, as 80,40,40,80"),
]


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    graph: GraphOption = "full",
    dimensions: DimensionsOption = None,
    width: Annotated[int, Field(gt=0, description="channels of the first convolution and of each hop")] = 16,
    joined: Annotated[int, Field(gt=0, description="channels of each of the three joined convolutions")] = 8,
    blocks: Annotated[int, Field(gt=0, description="blocks of the graph network")] = 3,
    lstm: SizesOption = (32,),
    attention: Annotated[
        Attention, Field(description="what attention between joints comes from: a linear layer, or an LSTM over time")
    ] = "plain",
    dropout: DropoutOption = 0.0,
) -> STGCNRehab:
    """Build STGCN-rehab for these features and labels.

    Raises:
        OptionError: the features are not joints, the graph has another number of joints, or there are several streams.
    """
    count, values = shapes.joints(features, "stgcn_rehab")
    if len(features.streams) > 1:
        raise OptionError(f"stgcn_rehab reads one stream of joints, not {len(features.streams)}; name one backbone")
    size = shapes.dimensions(dimensions, values, "stgcn_rehab")
    distance = hops(graph, count)
    reach = (1,) if graph == "full" else (1, 2)  # where all are neighbours, the second hop would be the first again
    near = [distance <= hop for hop in reach]
    widths = [size, *[len(_JOINED) * joined] * blocks]
    made = [Block(near, before, width, joined, attention, dropout) for before in widths[:-1]]
    layers = [nn.LSTM(a, b, batch_first=True) for a, b in pairwise((count * widths[-1], *lstm))]
    return STGCNRehab(made, layers, PointHead(lstm[-1], labels.scale), (count, size), dropout)
