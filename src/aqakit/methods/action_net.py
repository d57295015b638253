"""ACTION-NET: context-aware attention on two streams.

In each stream a graph convolution over time tells every moment of its neighbours, whose weights fall by e with each
step, and attention reads from a moment and its context how much it counts (Zeng et al. 2020). The streams, motion from
I3D clips and posture from single frames, are pooled apart and joined for the score, the sigmoid's share of the scale.
Sizes, the ReLU of the attention and the symmetric normalisation are those of the public code. Videos may differ in
length here: padding is no neighbour of anything. With one stream, that branch alone is the system.

Published training: SGD with rate 0.01, weight decay 1e-4, batches of 32; and a random window of 26 clips of a longer
video, which here is the choice of the clip plan.
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
    """(B, N) → (B, N, N): exp(−|i−j|) between clips, symmetrically normalised by the root of their row sums."""
    time = torch.arange(clips.shape[1], device=clips.device)
    near = (-(time[:, None] - time).abs()).float().exp() * (clips[:, :, None] & clips[:, None])
    scale = near.sum(2).clamp(min=1).rsqrt()  # a clip is its own neighbour with weight 1: only padding is below
    return scale[:, :, None] * near * scale[:, None]


class ContextAttention(nn.Module):
    """One stream to one vector: a clip and its context decide how much it counts."""

    width = 2 * WIDTH

    def __init__(self, width: int) -> None:
        super().__init__()
        half = max(width // 2, 1)
        self.embedding = nn.Sequential(nn.Linear(width, half), nn.ReLU(), nn.Linear(half, WIDTH), nn.ReLU())
        self.context = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(2))
        self.attention = nn.Sequential(nn.Linear(2 * WIDTH, 128), nn.ReLU(), nn.Linear(128, 1))

    def forward(self, stream: Stream) -> Tensor:
        """(B, 512)."""
        near = neighbours(stream.clips)
        x = self.embedding(torch.where(stream.clips[..., None], stream.features, 0.0))
        context = x
        for layer in self.context:
            context = layer(near @ context).relu()
        x = torch.cat([x, context], dim=2)
        weight = self.attention(x).squeeze(2).masked_fill(~stream.clips, -torch.inf).softmax(1)
        return (weight[..., None] * x).sum(1)


class ActionNet(Method):
    """A point for each video, inside the scale."""

    def __init__(self, widths: list[int], scale: ScoreScale, *, dropout: float) -> None:
        super().__init__()
        self.streams = nn.ModuleList(ContextAttention(width) for width in widths)
        self.head = nn.Sequential(
            nn.Linear(len(widths) * ContextAttention.width, 128), nn.ReLU(), nn.Dropout(dropout), nn.Linear(128, 1)
        )
        self.scale = scale

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Mean squared error, in squared shares of the scale, as the sigmoid answers."""
        known = batch.select(batch.labelled)
        return {"squared_error": mean_loss(squared_error(self.predict(known), known.score)) / self.scale.span**2}

    def predict(self, batch: Batch) -> Point:
        """B points."""
        pooled = [pool(stream) for pool, stream in zip(self.streams, batch.streams.values(), strict=True)]
        share = self.head(torch.cat(pooled, dim=1)).squeeze(1).sigmoid()
        return Point(self.scale.low + share * self.scale.span)


def build(features: FeatureSpec, labels: LabelSpec, *, dropout: DropoutOption = 0.5) -> ActionNet:
    """ACTION-NET for these features and labels: a branch for each stream.

    Raises:
        OptionError: the features of a stream are not one vector per clip.
    """
    return ActionNet(vectors(features, "action_net"), labels.scale, dropout=dropout)
