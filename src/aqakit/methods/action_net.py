"""ACTION-NET: context-aware attention on two streams.

In each stream, a graph convolution over time aggregates the neighbours of every clip, with weights that decay by a
factor of e per step; attention then weights each clip from its features and its context (Zeng et al. 2020). The two
streams (motion from I3D clips, posture from single frames) are pooled separately and concatenated. A sigmoid gives the
score as a share of the scale. Sizes, the ReLU of the attention and the symmetric normalisation follow the public code.
Videos may differ in length here: padding is never a neighbour. With one stream, only that branch is used.

Published training: SGD with learning rate 0.01, weight decay 1e-4, batches of 32, and a random window of 26 clips of
longer videos, which here is a setting of the clip plan.
"""

import torch
from torch import Tensor, nn

from aqakit.methods.parts.base import DropoutOption, Method, mean_loss
from aqakit.methods.parts.losses import squared_error
from aqakit.methods.parts.shapes import vectors
from aqakit.scores.distributions import Point
from aqakit.types import Batch, FeatureSpec, LabelSpec, ScoreScale, Stream

PAPER = (
    "Zeng et al., Hybrid Dynamic-static Context-aware Attention Network for Action Assessment in Long Videos, "
    "ACM Multimedia 2020. https://arxiv.org/abs/2008.05977"
)
FEATURES = FeatureSpec({"dynamic": (1024,), "static": (2048,)})

WIDTH = 256


def neighbours(clips: Tensor) -> Tensor:
    """Return weights exp(−|i−j|) between the clips (B, N), normalised symmetrically by their row sums, as (B, N, N)."""
    time = torch.arange(clips.shape[1], device=clips.device)
    near = (-(time[:, None] - time).abs()).float().exp() * (clips[:, :, None] & clips[:, None])
    scale = near.sum(2).clamp(min=1).rsqrt()  # own weight is 1: only padding has a smaller sum
    return scale[:, :, None] * near * scale[:, None]


class ContextAttention(nn.Module):
    """Pool one stream into one vector; attention weights each clip from its features and its context."""

    width = 2 * WIDTH

    def __init__(self, width: int) -> None:
        super().__init__()
        half = max(width // 2, 1)
        self.embedding = nn.Sequential(nn.Linear(width, half), nn.ReLU(), nn.Linear(half, WIDTH), nn.ReLU())
        self.context = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(2))
        self.attention = nn.Sequential(nn.Linear(2 * WIDTH, 128), nn.ReLU(), nn.Linear(128, 1))

    def forward(self, stream: Stream) -> Tensor:
        """Return (B, 512)."""
        near = neighbours(stream.clips)
        x = self.embedding(torch.where(stream.clips[..., None], stream.features, 0.0))
        context = x
        for layer in self.context:
            context = layer(near @ context).relu()
        x = torch.cat([x, context], dim=2)
        weight = self.attention(x).squeeze(2).masked_fill(~stream.clips, -torch.inf).softmax(1)
        return (weight[..., None] * x).sum(1)


class ActionNet(Method):
    """Predict a point within the score scale for each video."""

    supports_vmap = True

    def __init__(self, widths: list[int], scale: ScoreScale, *, dropout: float) -> None:
        super().__init__()
        self.streams = nn.ModuleList(ContextAttention(width) for width in widths)
        self.head = nn.Sequential(
            nn.Linear(len(widths) * ContextAttention.width, 128), nn.ReLU(), nn.Dropout(dropout), nn.Linear(128, 1)
        )
        self.scale = scale

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Mean squared error of the score as a share of the scale."""
        known = batch.labelled_rows()
        return {"squared_error": mean_loss(squared_error(self.predict(known), known.score)) / self.scale.span**2}

    def predict(self, batch: Batch) -> Point:
        """Return B points."""
        pooled = [pool(stream) for pool, stream in zip(self.streams, batch.streams.values(), strict=True)]
        share = self.head(torch.cat(pooled, dim=1)).squeeze(1).sigmoid()
        return Point(self.scale.low + share * self.scale.span)


def build(features: FeatureSpec, labels: LabelSpec, *, dropout: DropoutOption = 0.5) -> ActionNet:
    """Build ACTION-NET with one branch for each stream.

    Raises:
        OptionError: If the features of a stream are not one vector per clip.
    """
    return ActionNet(vectors(features, "action_net"), labels.scale, dropout=dropout)
