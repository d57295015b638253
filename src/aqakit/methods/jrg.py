"""JRG: joint relation graphs, common motion and differences.

Joints are compared with their neighbours: what they do together, and how each differs.

A video is a row of segments with a feature vector for each joint. Over learnt graphs of joints, one for each number
of bones between them, the *commonality* module weighs the neighbours' features, and the *difference* module what
sets a joint apart from its neighbours in the same and in the next segment (Pan et al. 2019). Every outcome is
encoded to 256 numbers, and their mean over joints, segments and modules is regressed. A second stream, of the whole
picture, joins as two modules more: itself, and its change from segment to segment.

Layers, sizes and the graphs by number of bones are those of the public code, which the authors' group released with
a later work. That code adds what it makes of RGB and of flow, and puts the sum twice side by side; here each has its
own half of the 256, as in a line that the code leaves unused: ``modalities=2``. Its graphs and weights begin at
random, ours as the mean over neighbours. Its loss is the squared error of scores standardised within the batch, or
1 − Pearson's r: the same but for a factor, and blind to units. Ours is the squared error of the score in quarters of
the scale, to which ``correlation`` adds 1 − r.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from aqakit.errors import OptionError
from aqakit.methods.parts.base import DropoutOption, Method, mean_loss
from aqakit.methods.parts.graphs import GraphOption, hops, rings
from aqakit.methods.parts.heads import PointHead
from aqakit.methods.parts.losses import squared_error
from aqakit.methods.parts.shapes import joints
from aqakit.scores.distributions import Point
from aqakit.types import Batch, FeatureSpec, LabelSpec, Stream

PAPER = (
    "Pan et al., Action Assessment by Joint Relation Graphs, ICCV 2019. "
    "https://openaccess.thecvf.com/content_ICCV_2019/papers/"
    "Pan_Action_Assessment_by_Joint_Relation_Graphs_ICCV_2019_paper.pdf"
)
FEATURES = FeatureSpec({"joints": (17, 800), "whole": (800,)})

WIDTH = 256


class Encoder(nn.Module):
    """Modalities side by side, each by a layer of its own: (…, D) → (…, 256)."""

    def __init__(self, width: int, modalities: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width // modalities, WIDTH // modalities) for _ in range(modalities))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(…, D) → (…, 256)."""
        parts = x.chunk(len(self.layers), dim=-1)
        return self.dropout(torch.cat([layer(part) for layer, part in zip(self.layers, parts)], dim=-1)).relu()


class Relations(nn.Module):
    """The modules of the joints; graphs (H, J, J) of as many numbers of bones."""

    reach: Tensor

    def __init__(self, reach: Tensor) -> None:
        super().__init__()
        self.register_buffer("reach", reach, persistent=False)
        mean = reach / reach.sum(2, keepdim=True).clamp(min=1)
        self.spatial, self.temporal = nn.Parameter(mean.clone()), nn.Parameter(mean.clone())
        self.spatial_weight = nn.Parameter(torch.ones(reach.shape[:2]))
        self.temporal_weight = nn.Parameter(torch.ones(reach.shape[:2]))

    def commonality(self, x: Tensor) -> Tensor:
        """(B, N, J, D) → (B, N, 1 + H, J, D): the joints, and the weighted sums of their neighbours."""
        sums = torch.einsum("hij,bnjd->bnhid", (self.spatial * self.reach).abs(), x)
        return torch.cat([x[:, :, None], sums], dim=2)

    def difference(self, x: Tensor) -> Tensor:
        """(B, N, J, D) → (B, N, H, J, D): neighbours in the same segment, minus the joint."""
        return _differences(self.spatial * self.reach, self.spatial_weight, x, x)

    def change(self, x: Tensor, later: Tensor) -> Tensor:
        """(B, N, J, D) → (B, N, H, J, D): neighbours in the next segment, minus the joint now."""
        return _differences(self.temporal * self.reach, self.temporal_weight, x, later)


def _differences(graph: Tensor, weight: Tensor, x: Tensor, others: Tensor) -> Tensor:
    """Over j, the sum of |G_ij| w_j (others_j − x_i), with the two parts of the difference summed apart."""
    strength = graph.abs() * weight[:, None]  # (H, J, J)
    sums = torch.einsum("hij,bnjd->bnhid", strength, others)
    return sums - strength.sum(2)[..., None] * x[:, :, None]


def following(stream: Stream) -> Tensor:
    """Features of the next clip; those of the last clip of a video stay."""
    x, clips = stream.features, stream.clips
    later = torch.cat([x[:, 1:], x[:, -1:]], dim=1)
    there = torch.cat([clips[:, 1:], torch.zeros_like(clips[:, :1])], dim=1)
    return torch.where(there.reshape(*there.shape, *[1] * (x.ndim - 2)), later, x)


class JRG(Method):
    """A point for each video."""

    def __init__(
        self,
        relations: Relations,
        joints: dict[str, Encoder],
        whole: dict[str, Encoder],
        head: PointHead,
        *,
        correlation: float,
    ) -> None:
        super().__init__()
        self.relations, self.head, self.correlation = relations, head, correlation
        self.joints, self.whole = nn.ModuleDict(joints), nn.ModuleDict(whole)
        self.regressor = nn.Sequential(nn.Dropout(0.5), nn.Linear(WIDTH, head.value.in_features), nn.ReLU())

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Mean squared error, in squared units of the head, and the weighted 1 − r where it is asked for."""
        known = batch.select(batch.labelled)
        answer = self.predict(known)
        unit = self.head.scale.span / 4
        terms = {"squared_error": mean_loss(squared_error(answer, known.score)) / unit**2}
        if self.correlation:
            terms["correlation"] = self.correlation * (1 - pearson(answer.mean, known.score))
        return terms

    def predict(self, batch: Batch) -> Point:
        """B points."""
        first, *more = batch.streams.values()
        modules = self._of_joints(_clean(first))
        if self.whole:
            modules += self._of_the_whole(_clean(more[0]))
        return self.head(self.regressor(torch.cat(modules, dim=1).mean(1)))

    def _of_joints(self, stream: Stream) -> list[Tensor]:
        x, relations = stream.features, self.relations
        found = {
            "commonality": relations.commonality(x),
            "difference": relations.difference(x),
            "change": relations.change(x, following(stream)),
        }
        return [_encoded(self.joints[name], value, stream.clips) for name, value in found.items()]

    def _of_the_whole(self, stream: Stream) -> list[Tensor]:
        x = stream.features
        found = {"itself": x, "change": (following(stream) - x).abs()}
        return [_encoded(self.whole[name], value[:, :, None, None], stream.clips) for name, value in found.items()]


def pearson(a: Tensor, b: Tensor) -> Tensor:
    """Pearson's r of two (B,); 0 where one of them does not vary."""
    a, b = (v - v.sum() / max(1, len(v)) for v in (a, b))
    return (a * b).sum() / (a.square().sum() * b.square().sum() + 1e-12).sqrt()


def _clean(stream: Stream) -> Stream:
    mask = stream.clips.reshape(*stream.clips.shape, *[1] * (stream.features.ndim - 2))
    return Stream(torch.where(mask, stream.features, 0.0), stream.clips)


def _encoded(encoder: nn.Module, x: Tensor, clips: Tensor) -> Tensor:
    """(B, N, M, J, D), (B, N) → (B, M, 256): encoded, then the mean over the joints and clips of each video."""
    inside = encoder(x[clips]).mean(2)  # (n, M, 256)
    total = inside.new_zeros(len(x), *inside.shape[1:]).index_add(0, clips.nonzero()[:, 0], inside)
    return total / clips.sum(1).clamp(min=1)[:, None, None]


def _whole_width(features: FeatureSpec) -> int | None:
    others = list(features.streams.items())[1:]
    if any(len(shape) != 1 for _, shape in others) or len(others) > 1:
        shown = ", ".join(f"{name} {shape}" for name, shape in others)
        raise OptionError(f"jrg: beside the joints there may be one stream of vectors, the whole picture, not {shown}")
    return others[0][1][0] if others else None


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    graph: GraphOption = "full",
    bones: Annotated[int, Field(gt=0, description="longest way between related joints, in edges of the graph")] = 4,
    modalities: Annotated[
        int, Field(gt=0, le=4, description="equal parts of the features that are encoded apart; RGB and flow are 2")
    ] = 1,
    correlation: Annotated[
        float, Field(ge=0, description="weight of 1 − Pearson's r within a batch beside the squared error")
    ] = 0.0,
    dropout: DropoutOption = 0.1,
) -> JRG:
    """JRG for these features and labels.

    Raises:
        OptionError: the streams are not joints and perhaps one of vectors, or graph or modalities do not fit them.
    """
    count, width = joints(features, "jrg")
    whole = _whole_width(features)
    if any(size % modalities for size in (width, whole or 0, WIDTH)):
        raise OptionError(f"jrg: {modalities} modalities of one size do not fit features of shape {features.shape}")
    relations = Relations(rings(hops(graph, count), bones))
    parts = {n: Encoder(width, modalities, dropout) for n in ("commonality", "difference", "change")}
    views = {n: Encoder(whole, modalities, dropout) for n in ("itself", "change")} if whole else {}
    return JRG(relations, parts, views, PointHead(512, labels.scale), correlation=correlation)
