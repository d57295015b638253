"""ST-GCN: spatio-temporal graph convolution on a skeleton.

Each unit mixes every joint with its neighbours and then with its past and future (Yan et al. 2018). Subsets of
neighbours have separate weights, and edges a learnt importance. The score is regressed on the mean over joints and
time. Where paper and public code differ, the code is followed: the mean over neighbours instead of the symmetric
normalisation, ten units instead of nine, distance from the centre counted in bones instead of measured. Not followed is
an accident of that code: with its ``max_hop=1``, joints more than one bone from the centre all count as infinitely far,
so most edges away from the centre lose their direction. ``partition=spatial`` is the paper's idea;
``partition=spatial-public`` gives the subsets of the code. Videos may differ in length: padding takes no part in
convolutions, norms or the mean.

Published: ``channels=64,64,64,64,128,128,128,256,256,256``, ``dimensions`` the number of coordinates of a joint, and
``dropout=0.5``; 3,083,669 parameters on a skeleton of 25 joints. The default network is sized for hundreds of videos,
not for the hundreds of thousands of action recognition.
"""

from typing import Annotated

import torch
from pydantic import BeforeValidator, Field
from torch import Tensor, nn

from aqakit.errors import OptionError
from aqakit.methods.parts import shapes
from aqakit.methods.parts.base import DropoutOption, Method, mean_loss
from aqakit.methods.parts.graphs import GraphOption, Partition, hops, partitions
from aqakit.methods.parts.heads import PointHead
from aqakit.methods.parts.losses import squared_error
from aqakit.methods.parts.norms import FrameNorm
from aqakit.methods.parts.shapes import DimensionsOption
from aqakit.scores.distributions import Point
from aqakit.types import Batch, FeatureSpec, LabelSpec, Stream

PAPER = (
    "Yan et al., Spatial Temporal Graph Convolutional Networks for Skeleton-Based Action Recognition, AAAI 2018. "
    "https://arxiv.org/abs/1801.07455; for action quality: Pan et al., Action Assessment by Joint Relation Graphs, "
    "ICCV 2019"
)
FEATURES = FeatureSpec({"skeleton": (17, 3)})


class Unit(nn.Module):
    """Graph convolution over joints, then convolution over time, with a residual connection."""

    adjacency: Tensor

    def __init__(
        self, adjacency: Tensor, width: int, out: int, *, kernel: int, stride: int, dropout: float, first: bool
    ) -> None:
        super().__init__()
        self.register_buffer("adjacency", adjacency, persistent=False)
        self.importance = nn.Parameter(torch.ones_like(adjacency))
        self.stride = stride
        self.spatial = nn.Linear(width, len(adjacency) * out)
        self.before = FrameNorm(out)
        self.temporal = nn.Conv1d(out, out, kernel, stride, padding=kernel // 2)
        self.after = FrameNorm(out)
        self.dropout = nn.Dropout(dropout)
        self.first, plain = first, width == out and stride == 1
        self.shortcut = None if first or plain else nn.Linear(width, out)
        self.shortcut_norm = FrameNorm(out) if self.shortcut is not None else None

    def forward(self, x: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, T, J, C), (B, T) to (B, T / stride, J, C'), (B, T / stride)."""
        later = frames[:, :: self.stride]
        y = self.before(self.graph(x), frames).relu() * frames[..., None, None]
        y = self.dropout(self.after(self._over_time(y), later))
        return (y + self._short(x, later)).relu(), later

    def graph(self, x: Tensor) -> Tensor:
        """Sum A_k x W_k over the subsets k (section 3.6 of the paper): (B, T, J, C) → (B, T, J, C')."""
        weighted = self.spatial(x).unflatten(3, (len(self.adjacency), -1))  # (B, T, J, K, C')
        return torch.einsum("kij,btjkc->btic", self.adjacency * self.importance, weighted)

    def _over_time(self, y: Tensor) -> Tensor:
        videos_and_joints = (y.shape[0], y.shape[2])
        y = self.temporal(y.permute(0, 2, 3, 1).flatten(0, 1))  # (B J, C, T)
        return y.unflatten(0, videos_and_joints).permute(0, 3, 1, 2)

    def _short(self, x: Tensor, later: Tensor) -> Tensor | float:
        if self.first:
            return 0.0
        x = x[:, :: self.stride]
        if self.shortcut is None or self.shortcut_norm is None:
            return x
        return self.shortcut_norm(self.shortcut(x), later)


class STGCN(Method):
    """Predict a point for each video."""

    def __init__(self, adjacency: Tensor, units: list[Unit], head: PointHead, *, dimensions: int) -> None:
        super().__init__()
        self.dimensions = dimensions
        self.norm = FrameNorm(adjacency.shape[1] * dimensions)
        self.units, self.head = nn.ModuleList(units), head

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Mean squared error, in squared units of the head."""
        known = batch.labelled_rows()
        return {"squared_error": mean_loss(squared_error(self.predict(known), known.score)) / self.head.units.size**2}

    def predict(self, batch: Batch) -> Point:
        """Return B points."""
        x, frames = shapes.frames(Stream(batch.features, batch.clips), self.dimensions)
        x = self.norm(x.flatten(2)[:, :, None], frames).view_as(x)
        for unit in self.units:
            x, frames = unit(x, frames)
        return self.head(x.mean(2).sum(1) / frames.sum(1, keepdim=True).clamp(min=1))


def _partition(chosen: Partition | None, graph: str) -> Partition:
    if graph == "full" and chosen in ("spatial", "spatial-public"):
        raise OptionError("st_gcn: a full graph has no centre; set graph, or partition=distance")
    return chosen or ("distance" if graph == "full" else "spatial")


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    graph: GraphOption = "full",
    partition: Annotated[
        Partition | None,
        Field(description="split of neighbours into subsets with separate weights (spatial; distance in a full graph)"),
    ] = None,
    dimensions: DimensionsOption = None,
    channels: Annotated[
        tuple[Annotated[int, Field(gt=0)], ...],
        Field(min_length=1, description="width of each unit, as 64,64,128; where it grows, time is halved"),
        BeforeValidator(lambda value: value.split(",") if isinstance(value, str) else value),
    ] = (32, 32, 64),
    kernel: Annotated[int, Field(gt=0, description="kernel size of the temporal convolutions in frames, odd")] = 9,
    dropout: DropoutOption = 0.0,
) -> STGCN:
    """Build ST-GCN for these features and labels.

    Raises:
        OptionError: If the features are not joints, the graph has another number of joints, or options conflict.
    """
    count, width = shapes.joints(features, "st_gcn")
    if kernel % 2 == 0:
        raise OptionError(f"st_gcn: a kernel of {kernel} frames has no middle frame; set an odd kernel")
    size = shapes.dimensions(dimensions, width, "st_gcn")
    adjacency = partitions(hops(graph, count), _partition(partition, graph))
    units = [
        Unit(
            adjacency,
            before,
            after,
            kernel=kernel,
            stride=2 if not first and after > before else 1,
            dropout=dropout,
            first=first,
        )
        for before, after, first in zip((size, *channels), channels, (True, *[False] * len(channels)))
    ]
    return STGCN(adjacency, units, PointHead(channels[-1], labels.scale), dimensions=size)
