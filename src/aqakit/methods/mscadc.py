"""MSCADC: a context net of dilated convolutions per task.

Each of the three tasks (score, attributes, captions) has its own head: a 1×1×1 convolution to 12 channels, the context
net of five dilated convolutions with receptive fields of 3, 5, 9, 17 and 19, and two more convolutions. The mean over
positions gives the score, or the logits of the attributes. The caption head gives a vector, which the decoder of
:mod:`aqakit.methods.parts.captions` reads as a video of one clip. ``tasks`` selects the published variants: ``stl`` is
MSCADC-STL, ``mtl`` is MSCADC-MTL, ``cls`` and ``cap`` are the two in between. The losses are those of C3D-AVG.
Differences from the public code:

- *size*: its maps are 256×2×20×20. If a map has fewer than 19 positions per side, the context net ends with the last
  layer whose receptive field fits in the map: later layers would see only the replicated border and take most of the
  computation. ``context_layers=5`` keeps them all. If a map has fewer than 24 channels, the heads keep half of them.
- *clips*: the published system sees one clip of 16 frames. For several clips, the mean map is used.
- *batches of one video*: the public code cannot train on them; this method can.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from aqakit.errors import OptionError
from aqakit.methods.parts import pooling
from aqakit.methods.parts.tasks import (
    AttributeWeightOption,
    BeamsOption,
    CaptionWeightOption,
    CaptionWidthOption,
    MaxWordsOption,
    MultiTask,
    Plan,
    ScoreWeightOption,
    SearchOption,
    TasksOption,
    UnitOption,
    plan,
)
from aqakit.types import Batch, FeatureSpec, LabelSpec, Stream

PAPER = (
    "Parmar and Morris, What and How Well You Performed? A Multitask Learning Approach to Action Quality Assessment, "
    "CVPR 2019. https://arxiv.org/abs/1904.04346"
)
FEATURES = FeatureSpec({"mscadc": (256, 2, 20, 20)})

_CONTEXT = ((2, 1), (2, 1), (4, 2), (8, 4), (8, 1))
"""Layers of the context net: width as a multiple of the head's channels, and dilation."""
_REACH = tuple(1 + 2 * far for far in accumulate(dilation for _, dilation in _CONTEXT))
"""Receptive field after each layer of the context net."""


class _BatchNorm(nn.BatchNorm3d):
    """Batch norm that normalises a single value per channel by the running statistics, without updating them."""

    def forward(self, x: Tensor) -> Tensor:
        few = x.numel() < 2 * self.num_features
        if self.training and few:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)


@dataclass(frozen=True)
class Size:
    """Sizes of the heads.

    Attributes:
        shape: (C, T, H, W) of a map.
        channels: Channels that a head keeps of C.
        layers: Layers of the context net.
    """

    shape: tuple[int, ...]
    channels: int
    layers: int

    @property
    def sides(self) -> list[int]:
        """Size of a head's output map along (T, H, W)."""
        return [side // 2 + 1 for side in self.shape[1:]]


def _context(size: Size) -> Iterator[nn.Module]:
    """Yield the layers of the context net, which keeps the size of a map."""
    yield nn.ReplicationPad3d(_REACH[size.layers - 1] // 2)
    channels = size.channels
    for times, dilation in _CONTEXT[: size.layers]:
        width = times * size.channels
        yield from (nn.Conv3d(channels, width, 3, dilation=dilation), _BatchNorm(width), nn.ReLU())
        channels = width
    yield nn.Conv3d(channels, size.channels, 1)


def _head(size: Size, outputs: int) -> nn.Sequential:
    """Build a head that maps (B, C, T, H, W) to (B, outputs, *sides)."""
    kept = size.channels
    return nn.Sequential(
        nn.Conv3d(size.shape[0], kept, 1, padding=1),
        *_context(size),
        *(_BatchNorm(kept), nn.ReLU(), nn.MaxPool3d(2)),
        *(nn.Conv3d(kept, kept, 3, padding=1), _BatchNorm(kept), nn.ReLU()),
        nn.Conv3d(kept, outputs, 3, padding=1),
    )


class _MeanHead(nn.Module):
    """Map (B, C, T, H, W) to (B, outputs): the mean of a head over positions."""

    def __init__(self, size: Size, outputs: int) -> None:
        super().__init__()
        self.head = _head(size, outputs)

    def forward(self, maps: Tensor) -> Tensor:
        return self.head(maps).mean((2, 3, 4))


class _CaptionHead(nn.Module):
    """Map (B, C, T, H, W) to (B, width): a head, max-pooled and flattened; width is 1200 at the published size."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.head = _head(size, size.channels)
        self.pool = nn.MaxPool3d(tuple(min(2, side) for side in size.sides), stride=1)
        self.width = size.channels * math.prod(max(1, side - 1) for side in size.sides)

    def forward(self, maps: Tensor) -> Tensor:
        return self.pool(self.head(maps)).flatten(1)


class MSCADC(MultiTask):
    """Predict score, attributes and captions from a map."""

    def __init__(self, plan: Plan, size: Size) -> None:
        watch = _CaptionHead(size) if plan.captions else None
        super().__init__(
            plan,
            score=_MeanHead(size, 1),
            attributes=_MeanHead(size, plan.classes) if plan.attributes else None,
            captions=plan.captioner(watch.width) if watch else None,
        )
        self.watch = watch
        self.pool = pooling.Average(math.prod(size.shape))

    def shared(self, batch: Batch) -> Tensor:
        """Return the mean map of the clips, (B, C, T, H, W)."""
        return self.pool(batch.features.flatten(2), batch.clips).unflatten(1, batch.features.shape[2:])

    def seen(self, batch: Batch, shared: Tensor) -> Stream:
        """Return the output of the caption head as a stream of one clip."""
        assert self.watch is not None
        return Stream(self.watch(shared)[:, None], torch.ones_like(batch.clips[:, :1]))


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    tasks: TasksOption = None,
    unit: UnitOption = None,
    score_weight: ScoreWeightOption = 1.0,
    attribute_weight: AttributeWeightOption = None,
    caption_weight: CaptionWeightOption = None,
    caption_width: CaptionWidthOption = None,
    max_words: MaxWordsOption = None,
    search: SearchOption = None,
    beams: BeamsOption = None,
    channels: Annotated[
        int | None,
        Field(gt=0, description="channels that a head keeps of the map (12, or half of the map's channels if fewer)"),
    ] = None,
    context_layers: Annotated[
        int | None,
        Field(ge=1, le=5, description="layers of the context net (5, or as many as see no farther than the map)"),
    ] = None,
) -> MSCADC:
    """Build MSCADC for these features and labels.

    Raises:
        OptionError: If the labels lack a requested task, an option would be ignored, or the features are not maps.
    """
    if len(features.shape) != 4:
        raise OptionError(f"mscadc reads maps (C, T, H, W), and these features have shape {features.shape}")
    chosen = plan(
        "mscadc",
        labels,
        tasks=tasks,
        unit=unit,
        score_weight=score_weight,
        attribute_weight=attribute_weight,
        caption_weight=caption_weight,
        caption_width=caption_width,
        max_words=max_words,
        search=search,
        beams=beams,
    )
    shape = features.shape
    within = sum(reach <= min(shape[-2:]) for reach in _REACH)
    return MSCADC(chosen, Size(shape, channels or min(12, (shape[0] + 1) // 2), context_layers or max(1, within)))
