"""P3D-199: factorised 3-D ResNet-152; 2048 numbers per clip.

Each 3×3×3 convolution is split into one over space and one over time.

The two follow one another in three ways that take turns: A, one after the other; B, side by side, and added; C, one
after the other with a short cut around the second. The last stage sees single moments and has plain 2-D blocks.

S3D scores a dive from four clips, each of 16 frames, for the jump, the drop, the entry and the ending. Where these
begin is told by a table of ``video,jump,drop,entry,ending`` (a file name without its ending and four frame numbers
from 0): the first three clips lie in the middle between their own beginning and the next, the last one begins where
the ending does, as we read the published code. Without a table, the clips are those of a plan.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from aqakit.backbones.parts.pretrained import (
    ColoursOption,
    PlanOption,
    PretrainedVideo,
    SeedOption,
    WeightsOption,
    choose_colours,
    open_weights,
    seeded,
)
from aqakit.errors import DataError, OptionError
from aqakit.recordings import clips as plans
from aqakit.recordings.clips import Frames
from aqakit.recordings.transforms import PixelRecipe

PAPER = (
    "Qiu et al., Learning Spatio-Temporal Representation with Pseudo-3D Residual Networks, ICCV 2017. "
    "https://arxiv.org/abs/1711.10305; on diving: Xiang et al., S3D: Stacking Segmental P3D for Action Quality "
    "Assessment, ICIP 2018"
)

Stages = Mapping[str, tuple[int, ...]]

_DEPTH_3D = 47
"""Of the 50 blocks, 3 + 8 + 36 in the first three stages."""

_STAGES = ("jump", "drop", "entry", "ending")
_FRAMES = 16

_RANDOM_SHARE = 0.2
"""Of what a block adds, while weights are random: with all of it, fifty blocks would grow beyond half precision."""


class Block(nn.Module):
    """A bottleneck: fewer channels, space and time, more channels, and a short cut around all of it."""

    def __init__(self, channels: int, width: int, kind: str, stride: int) -> None:
        super().__init__()
        self.kind = kind
        self.reduce = nn.Conv3d(channels, width, 1, (1, stride, stride), bias=False)
        self.space = nn.Conv3d(width, width, (1, 3, 3), padding=(0, 1, 1), bias=False)
        self.time = nn.Conv3d(width, width, (3, 1, 1), padding=(1, 0, 0), bias=False)
        self.expand = nn.Conv3d(width, 4 * width, 1, bias=False)
        self.reduce_norm, self.space_norm = nn.BatchNorm3d(width), nn.BatchNorm3d(width)
        self.time_norm, self.expand_norm = nn.BatchNorm3d(width), nn.BatchNorm3d(4 * width)
        self.shortcut = _shortcut(nn.Conv3d, nn.BatchNorm3d, channels, width, (1, stride, stride))

    def forward(self, x: Tensor) -> Tensor:
        """(n, C, T, H, W) → (n, 4 width, T, H / stride, W / stride)."""
        inner = self.reduce_norm(self.reduce(x)).relu()
        space = self.space_norm(self.space(inner)).relu()
        time = self.time_norm(self.time(inner if self.kind == "B" else space)).relu()
        both = time if self.kind == "A" else time + space
        return F.relu(self.expand_norm(self.expand(both)) + self.shortcut(x))


class FlatBlock(nn.Module):
    """The bottleneck of a ResNet, for the maps of single moments."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, width, 1, stride, bias=False)
        self.flat = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.expand = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.reduce_norm, self.flat_norm = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.expand_norm = nn.BatchNorm2d(4 * width)
        self.shortcut = _shortcut(nn.Conv2d, nn.BatchNorm2d, channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(n, C, H, W) → (n, 4 width, H / stride, W / stride)."""
        inner = self.reduce_norm(self.reduce(x)).relu()
        inner = self.flat_norm(self.flat(inner)).relu()
        return F.relu(self.expand_norm(self.expand(inner)) + self.shortcut(x))


def _shortcut(conv: Any, norm: Any, channels: int, width: int, stride: Any) -> nn.Module:
    if channels == 4 * width:
        return nn.Identity()
    return nn.Sequential(conv(channels, 4 * width, 1, stride, bias=False), norm(4 * width))


def _layer(blocks: range, channels: int, width: int) -> nn.Sequential:
    """One stage of the network; every stage but the first halves height and width."""
    layers: list[nn.Module] = []
    for number in blocks:
        stride = 2 if number == blocks.start > 0 else 1
        flat = number >= _DEPTH_3D
        layers.append(FlatBlock(channels, width, stride) if flat else Block(channels, width, "ABC"[number % 3], stride))
        channels = 4 * width
    return nn.Sequential(*layers)


class P3D(PretrainedVideo):
    """The network up to its last pooling.

    Args:
        plan: of the clips, where no table of stages is given.
        pixels: resizing and cropping.
        colours: a name in :data:`aqakit.recordings.transforms.CONVENTIONS`.
        stages: of each video, where its four stages begin.
    """

    def __init__(
        self,
        plan: plans.ClipPlan,
        pixels: PixelRecipe,
        colours: str,
        stages: Stages | None,
    ) -> None:
        super().__init__("p3d", plan, pixels, colours, fewest=_FRAMES)
        self.shape, self.stages = (2048,), stages
        self.stem = nn.Conv3d(3, 64, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False)
        self.stem_norm = nn.BatchNorm3d(64)
        self.layer1 = _layer(range(3), 64, 64)
        self.layer2 = _layer(range(3, 11), 256, 128)
        self.layer3 = _layer(range(11, _DEPTH_3D), 512, 256)
        self.layer4 = _layer(range(_DEPTH_3D, 50), 1024, 512)

    def forward(self, clips: Tensor) -> Tensor:
        """(n, T, H, W, 3) uint8 → (n, 2048); of clips longer than 16 frames, the mean over their moments."""
        x = self.stem_norm(self.stem(self.planes(clips))).relu()
        x = F.max_pool3d(x, (2, 3, 3), 2, (0, 1, 1))
        for layer in (self.layer1, self.layer2, self.layer3):
            x = F.max_pool3d(layer(x), (2, 1, 1))
        n, moments = x.shape[0], x.shape[2]
        maps = self.layer4(x.transpose(1, 2).flatten(0, 1))  # (n T', 2048, H', W')
        return maps.mean((2, 3)).unflatten(0, (n, moments)).mean(1).float()

    def randomise(self) -> None:
        """As all networks are, but with blocks that add little."""
        super().randomise()
        for block in self.modules():
            if isinstance(block, Block | FlatBlock):
                nn.init.constant_(block.expand_norm.weight, _RANDOM_SHARE)

    def clips_of(self, numbers: Frames, length: int, shift: int = 0, window: tuple[int, int] | None = None) -> Frames:
        """As all backbones do, but for a table of stages, which says nothing of a video without its name.

        Raises:
            OptionError: there is a table of stages.
        """
        if self.stages is not None:
            raise OptionError("p3d: the clips of a table of stages can be cached but not trained; leave out finetune")
        return super().clips_of(numbers, length, shift, window)

    def fingerprint(self) -> dict[str, Any]:
        """Plan, pixels, colours, weights and stages."""
        return super().fingerprint() | {"stages": self.stages and sorted(self.stages.items())}

    def _table(self, path: Path, length: int, window: tuple[int, int] | None, shift: int = 0) -> Frames:
        if self.stages is None:
            return super()._table(path, length, window, shift)
        if path.stem not in self.stages:
            raise DataError(f"{path}: the table of stages has no line for {path.stem}")
        starts = stage_starts(self.stages[path.stem], length)
        return np.clip(starts[:, None] + np.arange(_FRAMES) + shift, 0, length - 1)


def stage_starts(begins: tuple[int, ...], length: int) -> Frames:
    """First frame of the clips of jump, drop, entry and ending, within a video of ``length`` frames.

    >>> stage_starts((31, 42, 65, 75), 103)
    array([28, 45, 62, 75])
    """
    middles = [(a + b) // 2 - _FRAMES // 2 for a, b in pairwise(begins)]
    return np.clip(np.array([*middles, begins[-1]], np.int64), 0, max(length - _FRAMES, 0))


def read_stages(path: Path) -> Stages:
    """A table ``video,jump,drop,entry,ending``: where in each video its stages begin, in frames from 0.

    Raises:
        DataError: the file cannot be read, or a line of it is not like that.
    """
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not rows or rows[0] != ["video", *_STAGES]:
        raise DataError(f"{path}, line 1: the columns are to be {','.join(['video', *_STAGES])}")
    return {row[0]: _begins(path, number, row) for number, row in enumerate(rows[1:], 2) if row}


def _begins(path: Path, line: int, row: list[str]) -> tuple[int, ...]:
    begins = tuple(int(text) for text in row[1:] if text.strip().isdecimal())
    if len(begins) != len(_STAGES) or len(row) != len(_STAGES) + 1 or list(begins) != sorted(begins):
        raise DataError(f"{path}, line {line}: a video and four frame numbers in rising order are expected")
    return begins


def build(
    *,
    weights: WeightsOption = None,
    plan: PlanOption = "uniform:count=4:frames=16",
    stages: Annotated[
        Path | None, Field(description="table of where the stages of each video begin, in place of a plan")
    ] = None,
    size: Annotated[int, Field(ge=32, description="width and height to which pictures are squeezed")] = 160,
    colours: ColoursOption = None,
    seed: SeedOption = 0,
) -> P3D:
    """The network as S3D uses it: all of each picture, squeezed to a square.

    Raises:
        WeightsError: the weights do not fit.
        DataError: the table of stages cannot be used.
        OptionError: there is no such plan, or its clips are too short.
    """
    found = open_weights(weights, "p3d")
    table = read_stages(stages) if stages else None
    with seeded(seed):
        backbone = P3D(plans.parse(plan), PixelRecipe((size, size)), choose_colours(found, colours, "imagenet"), table)
        backbone.start(found, seed)
    return backbone
