"""End-to-end ranking: squared error and pairwise ranking.

It reads several clips of a video together.

Li et al. cut a video into nine clips, each with its own network, combine their outputs in dense layers and train on the
score and on the order of every pair of videos in a batch. There is no public code; our interpretation is:

- the clips of a video, however many, are reduced to ``segments`` in order: segment s is the mean of the s-th equal
  share of the clips. Shares overlap if there are fewer clips than segments;
- each segment has its own dense layer, as it has its own network in the paper, or all share one (``shared``); the
  outputs are concatenated or averaged (``fusion``);
- the ranking loss is max(0, margin − (ŷᵢ − ŷⱼ)), averaged over all pairs of videos in a batch where i has the higher
  true score. Pairs with equal scores are skipped.

Both losses are in units of a quarter of the score scale, so that their weights mean the same in every sport. With
``finetune`` the backbone is trained too, hence the "end-to-end" of the title; it is then one network for all clips.
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
    """Predict a point for each video."""

    def __init__(self, trunk: nn.Module, head: PointHead, *, mse: float, ranking: float, margin: float) -> None:
        super().__init__()
        self.trunk, self.head = trunk, head
        self.mse, self.ranking, self.margin = mse, ranking, margin

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Weighted squared error and weighted ranking loss."""
        known = batch.labelled_rows()
        unit = self.head.units.size
        answer = self.predict(known)
        return {
            "squared_error": self.mse * mean_loss(squared_error(answer, known.score)) / unit**2,
            "ranking": self.ranking * ranking_loss(answer.mean / unit, known.score, self.margin),
        }

    def predict(self, batch: Batch) -> Point:
        """Return B points."""
        return self.head(self.trunk(batch))


class Segments(nn.Module):
    """Pass equal shares of the clips through dense layers and join them: batch → (B, width)."""

    def __init__(
        self, width: int, hidden: int, *, segments: int, shared: bool, fusion: Literal["concatenate", "average"]
    ) -> None:
        super().__init__()
        self.segments, self.fusion = segments, fusion
        self.layers = nn.ModuleList(nn.Linear(width, hidden) for _ in range(1 if shared else segments))
        self.width = hidden * (segments if fusion == "concatenate" else 1)

    def forward(self, batch: Batch) -> Tensor:
        """Return (B, width)."""
        parts = segment_means(batch.features, batch.clips, self.segments).unbind(1)
        layers = [self.layers[s % len(self.layers)] for s in range(self.segments)]
        said = torch.stack([layer(part).relu() for layer, part in zip(layers, parts, strict=True)], 1)
        return said.flatten(1) if self.fusion == "concatenate" else said.mean(1)


def segment_means(features: Tensor, clips: Tensor, segments: int) -> Tensor:
    """Return the mean of each equal share of the clips: (B, N, D), (B, N) → (B, segments, D).

    >>> segment_means(torch.tensor([[[1.0], [2.0], [6.0], [9.0]]]), torch.tensor([[True, True, True, False]]), 2)
    tensor([[[1.5000],
             [4.0000]]])
    """
    weights = equal_shares(clips, segments).to(features.dtype)
    return weights / weights.sum(-1, keepdim=True).clamp(min=1) @ features


def ranking_loss(answer: Tensor, score: Tensor, margin: float) -> Tensor:
    """Mean hinge loss of the pairs with different scores: (B,), (B,) → (); 0 if there is no pair.

    >>> float(ranking_loss(torch.tensor([1.0, 3.0]), torch.tensor([8.0, 5.0]), margin=0.5))  # 0.5 − (1 − 3)
    2.5
    """
    better, worse = (score[:, None] > score).nonzero(as_tuple=True)
    return mean_loss((margin - (answer[better] - answer[worse])).relu())


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    segments: Annotated[int, Field(gt=0, description="equal shares into which a video's clips are averaged")] = 9,
    shared: Annotated[bool, Field(description="share one dense layer among all segments")] = False,
    fusion: Annotated[
        Literal["concatenate", "average"], Field(description="how the segments are joined into one vector")
    ] = "concatenate",
    units: Annotated[int, Field(gt=0, description="outputs of a segment's dense layer")] = 256,
    dropout: DropoutOption = 0.0,
    mse_weight: Annotated[
        float, Field(gt=0, description="weight of the squared error, in quarters of the scale")
    ] = 1.0,
    ranking_weight: Annotated[
        float, Field(ge=0, description="weight of the ranking loss, in quarters of the scale")
    ] = 1.0,
    margin: Annotated[
        float, Field(ge=0, description="required lead of the better video, in quarters of the scale")
    ] = 0.1,
) -> EndToEndRanking:
    """Build end-to-end ranking for these features and labels."""
    joined = Segments(features.width, units, segments=segments, shared=shared, fusion=fusion)
    trunk = nn.Sequential(joined, nn.Dropout(dropout))
    head = PointHead(joined.width, labels.scale)
    return EndToEndRanking(trunk, head, mse=mse_weight, ranking=ranking_weight, margin=margin)
