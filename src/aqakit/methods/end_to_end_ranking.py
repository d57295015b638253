"""End-to-end ranking: squared error and pairwise ranking.

It reads several clips of a video together.

Li et al. cut a video into nine clips, each with a network of its own, join what the networks say in dense layers and
teach them the score and the order of every two videos of a batch. There is no public code, and this is our reading:

- the clips of a video, however many, are brought to ``segments`` in order: segment s is the mean of the s-th equal
  share of the clips; shares overlap where there are fewer clips than segments;
- each segment has a dense layer of its own, as it has a network of its own in the paper, or all have one (``shared``);
  its outputs are concatenated, or averaged (``fusion``);
- the ranking loss is max(0, margin − (ŷᵢ − ŷⱼ)) for every two videos of a batch of which i is truly the better one,
  averaged over these pairs. Equal scores are no pair.

Both losses are counted in quarters of the score scale, so that their weights mean the same in every sport. With
``finetune`` the backbone is trained too, which is the end-to-end of the title; it is then one network for all clips.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from aqakit.methods.parts.base import DropoutOption, Method, mean_loss
from aqakit.methods.parts.heads import PointHead
from aqakit.methods.parts.losses import squared_error
from aqakit.methods.parts.pooling import equal_shares
from aqakit.scores.distributions import Point
from aqakit.types import Batch, FeatureSpec, LabelSpec

PAPER = (
    "Li et al., End-to-End Learning for Action Quality Assessment, PCM 2018. "
    "https://doi.org/10.1007/978-3-030-00767-6_12"
)
FEATURES = FeatureSpec({"c3d": (4096,)})


class EndToEndRanking(Method):
    """A point for each video."""

    def __init__(self, trunk: nn.Module, head: PointHead, *, mse: float, ranking: float, margin: float) -> None:
        super().__init__()
        self.trunk, self.head = trunk, head
        self.mse, self.ranking, self.margin = mse, ranking, margin

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Squared error and ranking loss, each with its weight."""
        known = batch.select(batch.labelled)
        unit = self.head.scale.span / 4
        answer = self.predict(known)
        return {
            "squared_error": self.mse * mean_loss(squared_error(answer, known.score)) / unit**2,
            "ranking": self.ranking * ranking_loss(answer.mean / unit, known.score, self.margin),
        }

    def predict(self, batch: Batch) -> Point:
        """B points."""
        return self.head(self.trunk(batch))


class Segments(nn.Module):
    """Batch → (B, width): equal shares of the clips through dense layers, then joined."""

    def __init__(
        self, width: int, hidden: int, *, segments: int, shared: bool, fusion: Literal["concatenate", "average"]
    ) -> None:
        super().__init__()
        self.segments, self.fusion = segments, fusion
        self.layers = nn.ModuleList(nn.Linear(width, hidden) for _ in range(1 if shared else segments))
        self.width = hidden * (segments if fusion == "concatenate" else 1)

    def forward(self, batch: Batch) -> Tensor:
        """(B, width)."""
        parts = segment_means(batch.features, batch.clips, self.segments).unbind(1)
        layers = [self.layers[s % len(self.layers)] for s in range(self.segments)]
        said = torch.stack([layer(part).relu() for layer, part in zip(layers, parts, strict=True)], 1)
        return said.flatten(1) if self.fusion == "concatenate" else said.mean(1)


def segment_means(features: Tensor, clips: Tensor, segments: int) -> Tensor:
    """(B, N, D), (B, N) → (B, segments, D): the mean clip of each equal share of a video, in order.

    >>> segment_means(torch.tensor([[[1.0], [2.0], [6.0], [9.0]]]), torch.tensor([[True, True, True, False]]), 2)
    tensor([[[1.5000],
             [4.0000]]])
    """
    weights = equal_shares(clips, segments).to(features.dtype)
    return weights / weights.sum(-1, keepdim=True).clamp(min=1) @ features


def ranking_loss(answer: Tensor, score: Tensor, margin: float) -> Tensor:
    """Mean hinge of the pairs whose true order is known: (B,), (B,) → (); 0 without a pair.

    >>> float(ranking_loss(torch.tensor([1.0, 3.0]), torch.tensor([8.0, 5.0]), margin=0.5))  # 0.5 − (1 − 3)
    2.5
    """
    better, worse = (score[:, None] > score).nonzero(as_tuple=True)
    return mean_loss((margin - (answer[better] - answer[worse])).relu())


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    segments: Annotated[int, Field(gt=0, description="equal shares that a video's clips are brought to")] = 9,
    shared: Annotated[bool, Field(description="one dense layer for all segments, not one for each")] = False,
    fusion: Annotated[
        Literal["concatenate", "average"], Field(description="how the segments become one vector")
    ] = "concatenate",
    units: Annotated[int, Field(gt=0, description="outputs of a segment's dense layer")] = 256,
    dropout: DropoutOption = 0.0,
    mse_weight: Annotated[float, Field(gt=0, description="of the squared error, in quarters of the score scale")] = 1.0,
    ranking_weight: Annotated[float, Field(ge=0, description="of the ranking loss, in quarters of the scale")] = 1.0,
    margin: Annotated[
        float, Field(ge=0, description="by which the better video should lead, in quarters of the scale")
    ] = 0.1,
) -> EndToEndRanking:
    """End-to-end ranking for these features and labels."""
    joined = Segments(features.width, units, segments=segments, shared=shared, fusion=fusion)
    trunk = nn.Sequential(joined, nn.Dropout(dropout))
    head = PointHead(joined.width, labels.scale)
    return EndToEndRanking(trunk, head, mse=mse_weight, ranking=ranking_weight, margin=margin)
