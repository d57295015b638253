"""JRG: joint relation graphs, common motion and differences.

Joints are compared with their neighbours: what they do together, and how each differs.

A video is a sequence of segments with a feature vector for each joint. Each learnt graph connects joints a certain
number of bones apart. On these graphs, the *commonality* module computes weighted sums of the neighbours' features, and
the *difference* module the differences between a joint and its neighbours in the same and in the next segment (Pan et
al. 2019). Each output is encoded to 256 numbers, and their mean over joints, segments and modules is regressed. A
second stream, of the whole picture, adds two modules: its features, and their change from segment to segment.

Layers, sizes and the graphs by number of bones are those of the public code, which the authors' group released with a
later work. That code adds the encodings of RGB and flow and concatenates the sum with itself; with ``modalities=2``,
each has its own half of the 256 here, as in an unused line of that code. The code initialises graphs and weights
randomly; here they start as the mean over neighbours. Its loss is the squared error of scores standardised within the
batch, or 1 − Pearson's r; these are equal up to a factor and ignore units. Here the loss is the squared error in
quarters of the score scale; ``correlation`` adds 1 − r.

That code has two oddities, which are options here. Its graph of 17 joints joins the nose to the shoulders instead of
the ears: ``graph=jrg17``. And its commonality sums over the wrong index of the learnt graph, which it shares with the
difference module: what a joint receives there is weighted by what the others give in the other module
(``transposed=true``). By default both modules read the graph the same way, as in the paper: row i weighs the
neighbours of joint i.
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
    """Encode each modality by its own layer and concatenate them: (…, D) → (…, 256)."""

    def __init__(self, width: int, modalities: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width // modalities, WIDTH // modalities) for _ in range(modalities))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map (…, D) to (…, 256)."""
        parts = x.chunk(len(self.layers), dim=-1)
        return self.dropout(torch.cat([layer(part) for layer, part in zip(self.layers, parts)], dim=-1)).relu()


class Relations(nn.Module):
    """Modules over the joints, with graphs (H, J, J): one for each number of bones."""

    reach: Tensor

    def __init__(self, reach: Tensor, transposed: bool = False) -> None:
        super().__init__()
        self.transposed = transposed
        self.register_buffer("reach", reach, persistent=False)
        mean = reach / reach.sum(2, keepdim=True).clamp(min=1)
        self.spatial, self.temporal = nn.Parameter(mean.clone()), nn.Parameter(mean.clone())
        self.spatial_weight = nn.Parameter(torch.ones(reach.shape[:2]))
        self.temporal_weight = nn.Parameter(torch.ones(reach.shape[:2]))

    def commonality(self, x: Tensor) -> Tensor:
        """Return the joints and the weighted sums of their neighbours: (B, N, J, D) → (B, N, 1 + H, J, D)."""
        graph = (self.spatial * self.reach).abs()
        sums = torch.einsum("hij,bnjd->bnhid", graph.mT if self.transposed else graph, x)
        return torch.cat([x[:, :, None], sums], dim=2)

    def difference(self, x: Tensor) -> Tensor:
        """Return neighbours in the same segment minus the joint: (B, N, J, D) → (B, N, H, J, D)."""
        return _differences(self.spatial * self.reach, self.spatial_weight, x, x)

    def change(self, x: Tensor, later: Tensor) -> Tensor:
        """Return neighbours in the next segment minus the joint now: (B, N, J, D) → (B, N, H, J, D)."""
        return _differences(self.temporal * self.reach, self.temporal_weight, x, later)


def _differences(graph: Tensor, weight: Tensor, x: Tensor, others: Tensor) -> Tensor:
    """Sum |G_ij| w_j (others_j − x_i) over j; the two parts of the difference are summed separately."""
    strength = graph.abs() * weight[:, None]  # (H, J, J)
    sums = torch.einsum("hij,bnjd->bnhid", strength, others)
    return sums - strength.sum(2)[..., None] * x[:, :, None]


def following(stream: Stream) -> Tensor:
    """Return the features of the next clip; the last clip of a video keeps its own."""
    x, clips = stream.features, stream.clips
    later = torch.cat([x[:, 1:], x[:, -1:]], dim=1)
    there = torch.cat([clips[:, 1:], torch.zeros_like(clips[:, :1])], dim=1)
    return torch.where(there.reshape(*there.shape, *[1] * (x.ndim - 2)), later, x)


class JRG(Method):
    """Predict a point for each video."""

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
        """Mean squared error in quarters of the score scale, and optionally the weighted 1 − r."""
        known = batch.labelled_rows()
        answer = self.predict(known)
        unit = self.head.units.size
        terms = {"squared_error": mean_loss(squared_error(answer, known.score)) / unit**2}
        if self.correlation:
            terms["correlation"] = self.correlation * (1 - pearson(answer.mean, known.score))
        return terms

    def predict(self, batch: Batch) -> Point:
        """Return B points."""
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
    """Return Pearson's r of two (B,) tensors; 0 if one of them is constant."""
    a, b = (v - v.sum() / max(1, len(v)) for v in (a, b))
    return (a * b).sum() / (a.square().sum() * b.square().sum() + 1e-12).sqrt()


def _clean(stream: Stream) -> Stream:
    mask = stream.clips.reshape(*stream.clips.shape, *[1] * (stream.features.ndim - 2))
    return Stream(torch.where(mask, stream.features, 0.0), stream.clips)


def _encoded(encoder: nn.Module, x: Tensor, clips: Tensor) -> Tensor:
    """Encode, then average over the joints and clips of each video: (B, N, M, J, D), (B, N) → (B, M, 256)."""
    inside = encoder(x[clips]).mean(2)  # (n, M, 256)
    total = inside.new_zeros(len(x), *inside.shape[1:]).index_add(0, clips.nonzero()[:, 0], inside)
    return total / clips.sum(1).clamp(min=1)[:, None, None]


def _whole_width(features: FeatureSpec) -> int | None:
    others = list(features.streams.items())[1:]
    if any(len(shape) != 1 for _, shape in others) or len(others) > 1:
        shown = ", ".join(f"{name} {shape}" for name, shape in others)
        raise OptionError(f"jrg: besides the joints it accepts one stream of vectors (the whole picture), not {shown}")
    return others[0][1][0] if others else None


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    graph: GraphOption = "full",
    bones: Annotated[int, Field(gt=0, description="longest path between related joints, in edges of the graph")] = 4,
    modalities: Annotated[
        int, Field(gt=0, le=4, description="equal parts of the features, encoded separately; 2 for RGB and flow")
    ] = 1,
    correlation: Annotated[
        float, Field(ge=0, description="weight of 1 − Pearson's r within a batch, added to the squared error")
    ] = 0.0,
    transposed: Annotated[
        bool, Field(description="transpose the learnt graph in the commonality module, as the public code does")
    ] = False,
    dropout: DropoutOption = 0.1,
) -> JRG:
    """Build JRG for these features and labels.

    Raises:
        OptionError: If the streams are not joints and optionally one of vectors, or the graph or modalities do not fit.
    """
    count, width = joints(features, "jrg")
    whole = _whole_width(features)
    if any(size % modalities for size in (width, whole or 0, WIDTH)):
        raise OptionError(f"jrg: features of shape {features.shape} do not split into {modalities} modalities")
    relations = Relations(rings(hops(graph, count), bones), transposed)
    parts = {n: Encoder(width, modalities, dropout) for n in ("commonality", "difference", "change")}
    views = {n: Encoder(whole, modalities, dropout) for n in ("itself", "change")} if whole else {}
    return JRG(relations, parts, views, PointHead(512, labels.scale), correlation=correlation)
