"""MSCADC: a context net of dilated convolutions per task.

Each of the three tasks (score, attributes, commentary) has a head of its own: a 1×1×1 convolution to 12 channels,
the context net, after whose five dilated convolutions a place has seen 3, 5, 9, 17 and 19 in a row, and two more
convolutions. The mean over the places is the score, or the attributes' logits; the commentary's head gives a vector,
which the decoder of :mod:`aqakit.methods.parts.captions` reads as a video of one clip. ``tasks`` names the published
variants: ``stl`` is MSCADC-STL, ``mtl`` MSCADC-MTL, ``cls`` and ``cap`` the two between. The losses are those of
C3D-AVG. Where the public code differs from here:

- *size*: its maps are 256×2×20×20. On a map with less than 19 places to a side, the context net ends with the last
  layer that sees no farther than the map, since beyond is only the repeated edge, at most of the cost;
  ``context_layers=5`` keeps them all. Of a map with less than 24 channels, half of them remain.
- *clips*: the published system sees one clip of 16 frames. Of several, the mean map is read.
- *batches of one video*, which the public code cannot train on, are trained on.
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
"""The layers of the context net: how many times the head's channels they give, and their dilation."""
_REACH = tuple(1 + 2 * far for far in accumulate(dilation for _, dilation in _CONTEXT))
"""How many places in a row a place has seen after each layer of the context net."""


class _BatchNorm(nn.BatchNorm3d):
    """Of fewer than two values there is no spread: they are normalised by the running statistics, and not counted."""

    def forward(self, x: Tensor) -> Tensor:
        few = x.numel() < 2 * self.num_features
        if self.training and few:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)


@dataclass(frozen=True)
class Size:
    """What the heads are made for.

    Attributes:
        shape: (C, T, H, W) of a map.
        channels: that a head keeps of C.
        layers: of the context net.
    """

    shape: tuple[int, ...]
    channels: int
    layers: int

    @property
    def sides(self) -> list[int]:
        """What a head makes of (T, H, W)."""
        return [side // 2 + 1 for side in self.shape[1:]]


def _context(size: Size) -> Iterator[nn.Module]:
    """The context net, which keeps the sides of a map."""
    yield nn.ReplicationPad3d(_REACH[size.layers - 1] // 2)
    channels = size.channels
    for times, dilation in _CONTEXT[: size.layers]:
        width = times * size.channels
        yield from (nn.Conv3d(channels, width, 3, dilation=dilation), _BatchNorm(width), nn.ReLU())
        channels = width
    yield nn.Conv3d(channels, size.channels, 1)


def _head(size: Size, outputs: int) -> nn.Sequential:
    """From maps (B, C, T, H, W) to maps (B, outputs, *sides)."""
    kept = size.channels
    return nn.Sequential(
        nn.Conv3d(size.shape[0], kept, 1, padding=1),
        *_context(size),
        *(_BatchNorm(kept), nn.ReLU(), nn.MaxPool3d(2)),
        *(nn.Conv3d(kept, kept, 3, padding=1), _BatchNorm(kept), nn.ReLU()),
        nn.Conv3d(kept, outputs, 3, padding=1),
    )


class _MeanHead(nn.Module):
    """Maps → (B, outputs): the mean over the places of a head."""

    def __init__(self, size: Size, outputs: int) -> None:
        super().__init__()
        self.head = _head(size, outputs)

    def forward(self, maps: Tensor) -> Tensor:
        return self.head(maps).mean((2, 3, 4))


class _CaptionHead(nn.Module):
    """Maps → (B, width): the places of a head, each the largest of its neighbours; 1200 numbers at published size."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.head = _head(size, size.channels)
        self.pool = nn.MaxPool3d(tuple(min(2, side) for side in size.sides), stride=1)
        self.width = size.channels * math.prod(max(1, side - 1) for side in size.sides)

    def forward(self, maps: Tensor) -> Tensor:
        return self.pool(self.head(maps)).flatten(1)


class MSCADC(MultiTask):
    """Score, attributes and captions from a map."""

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
        """(B, C, T, H, W) the mean map of the clips."""
        return self.pool(batch.features.flatten(2), batch.clips).unflatten(1, batch.features.shape[2:])

    def seen(self, batch: Batch, shared: Tensor) -> Stream:
        """One clip."""
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
        Field(gt=0, description="channels that a head keeps of the map (12, or half of them if that is less)"),
    ] = None,
    context_layers: Annotated[
        int | None, Field(ge=1, le=5, description="of the context net (5, or as many as see no farther than the map)")
    ] = None,
) -> MSCADC:
    """MSCADC for these features and labels.

    Raises:
        OptionError: a task that the labels do not have, an option that nothing would read, or features that are
            not maps.
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
