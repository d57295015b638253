"""P3D-199: factorised 3-D ResNet-152; 2048 numbers per clip.

Each 3×3×3 convolution is split into one over space and one over time.

Three block types alternate: in A, the two follow one another; in B, they are parallel and added; in C, they follow one
another, with a shortcut around the second. The last stage processes single time steps with plain 2-D blocks.

The release of S3D pools after the first convolution without padding (``convention=s3d``), and its files were trained
so; the original code, whose file was trained on Kinetics, pads by one pixel (``qijiezhao``). The weights choose.

S3D scores a dive from four clips of 16 frames: jump, drop, entry and ending. A table with the columns
``video,jump,drop,entry,ending`` (a file name without its suffix and four frame numbers from 0) says where these stages
start. Each of the first three clips is centred between the start of its stage and that of the next; the last clip
starts with the ending. This is our reading of the published code. With ``stride=2``, the default of its last class of
data, a clip is every second of 32 frames around the same middle. Without a table, the clips follow a plan.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import numpy as np
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from aqakit.backbones.parts.pooling import max_pool3d
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
from aqakit.system.numbers import whole

PAPER = (
    "Qiu et al., Learning Spatio-Temporal Representation with Pseudo-3D Residual Networks, ICCV 2017. "
    "https://arxiv.org/abs/1711.10305; on diving: Xiang et al., S3D: Stacking Segmental P3D for Action Quality "
    "Assessment, ICIP 2018"
)

Stages = Mapping[str, tuple[int, ...]]
Convention = Literal["qijiezhao", "s3d"]

EARLIER = {"convention": "qijiezhao"}
"""Options that give the features of runs before format 2, for options that were left to their defaults."""

_POOL_PADDING: dict[Convention, tuple[int, int, int]] = {"qijiezhao": (0, 1, 1), "s3d": (0, 0, 0)}

_DEPTH_3D = 47
"""3-D blocks: 3 + 8 + 36, in the first three of four stages; there are 50 blocks in all."""

_STAGES = ("jump", "drop", "entry", "ending")
_FRAMES = 16

_RANDOM_SHARE = 0.2
"""Initial scale of each residual branch with random weights; with 1, fifty blocks would overflow half precision."""


class Block(nn.Module):
    """A bottleneck: reduce channels, convolve over space and time, expand channels; with a shortcut around it."""

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
    """The bottleneck of a ResNet, for the feature maps of single time steps."""

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
    """Return one stage of the network; every stage but the first halves height and width."""
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
        plan: clip plan, used if no table of stages is given.
        pixels: resizing and cropping.
        colours: a name in :data:`aqakit.recordings.transforms.CONVENTIONS`.
        convention: whose padding.
        stages: first frames of the four stages of each video.
        stride: distance between the frames of the clip of a stage.
    """

    def __init__(
        self,
        plan: plans.ClipPlan,
        pixels: PixelRecipe,
        colours: str,
        convention: Convention,
        stages: Stages | None,
        stride: int,
    ) -> None:
        super().__init__("p3d", plan, pixels, colours, fewest=_FRAMES)
        self.shape, self.convention, self.stages, self.stride = (2048,), convention, stages, stride
        self.stem = nn.Conv3d(3, 64, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False)
        self.stem_norm = nn.BatchNorm3d(64)
        self.layer1 = _layer(range(3), 64, 64)
        self.layer2 = _layer(range(3, 11), 256, 128)
        self.layer3 = _layer(range(11, _DEPTH_3D), 512, 256)
        self.layer4 = _layer(range(_DEPTH_3D, 50), 1024, 512)

    def forward(self, clips: Tensor) -> Tensor:
        """(n, T, H, W, 3) uint8 → (n, 2048); for clips longer than 16 frames, the mean over time."""
        x = self.stem_norm(self.stem(self.planes(clips))).relu()
        x = max_pool3d(x, (2, 3, 3), (2, 2, 2), _POOL_PADDING[self.convention])
        for layer in (self.layer1, self.layer2, self.layer3):
            x = max_pool3d(layer(x), (2, 1, 1), (2, 1, 1))
        n, moments = x.shape[0], x.shape[2]
        maps = self.layer4(x.transpose(1, 2).flatten(0, 1))  # (n T', 2048, H', W')
        return maps.mean((2, 3)).unflatten(0, (n, moments)).mean(1).float()

    def randomise(self) -> None:
        """Initialise as all networks, but with a small contribution of each residual block."""
        super().randomise()
        for block in self.modules():
            if isinstance(block, Block | FlatBlock):
                nn.init.constant_(block.expand_norm.weight, _RANDOM_SHARE)

    def clips_of(self, numbers: Frames, length: int, shift: int = 0, window: tuple[int, int] | None = None) -> Frames:
        """Return clips as all backbones do; impossible with a table of stages, which needs the name of the video.

        Raises:
            OptionError: there is a table of stages.
        """
        if self.stages is not None:
            raise OptionError("p3d: with a table of stages, the backbone cannot be fine-tuned; leave out finetune")
        return super().clips_of(numbers, length, shift, window)

    def fingerprint(self) -> dict[str, Any]:
        """Return plan, pixels, colours, weights, stages and, if they are not the original ones, padding and stride."""
        found = super().fingerprint() | {"stages": self.stages and sorted(self.stages.items())}
        # only what differs from earlier versions, whose cached features are still found
        changed = {"convention": (self.convention, "qijiezhao"), "stride": (self.stride, 1)}
        return found | {name: value for name, (value, earlier) in changed.items() if value != earlier}

    def fingerprint_of(self, path: Path) -> dict[str, Any]:
        """Return the stages of this video; a copy of it under another name may have others."""
        return {"stages": self.stages and self.stages.get(path.stem)}

    def _table(self, path: Path, length: int, window: tuple[int, int] | None, shift: int = 0) -> Frames:
        if self.stages is None:
            return super()._table(path, length, window, shift)
        if path.stem not in self.stages:
            raise DataError(f"{path}: the table of stages has no line for {path.stem}")
        starts = stage_starts(self.stages[path.stem], length, self.stride)
        return np.clip(starts[:, None] + np.arange(_FRAMES) * self.stride + shift, 0, length - 1)


def stage_starts(begins: tuple[int, ...], length: int, stride: int = 1) -> Frames:
    """Return the first frame of the clips of jump, drop, entry and ending, in a video of ``length`` frames.

    >>> stage_starts((31, 42, 65, 75), 103), stage_starts((31, 42, 65, 75), 103, stride=2)
    (array([28, 45, 62, 75]), array([20, 37, 54, 71]))
    """
    reach = _FRAMES * stride
    middles = [(a + b) // 2 - reach // 2 for a, b in pairwise(begins)]
    return np.clip(np.array([*middles, begins[-1]], np.int64), 0, max(length - reach, 0))


def read_stages(path: Path) -> Stages:
    """Read a table ``video,jump,drop,entry,ending`` of the first frames of the stages, from 0.

    Raises:
        DataError: the file cannot be read, or one of its lines is invalid.
    """
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not rows or rows[0] != ["video", *_STAGES]:
        raise DataError(f"{path}, line 1: the columns should be {','.join(['video', *_STAGES])}")
    return {row[0]: _begins(path, number, row) for number, row in enumerate(rows[1:], 2) if row}


def _begins(path: Path, line: int, row: list[str]) -> tuple[int, ...]:
    try:
        begins = tuple(whole(text) for text in row[1:])
    except ValueError:
        begins = ()
    if len(begins) != len(_STAGES) or list(begins) != sorted(begins):
        raise DataError(f"{path}, line {line}: expected a video and four frame numbers in increasing order")
    return begins


def build(
    *,
    weights: WeightsOption = None,
    plan: PlanOption = "uniform:count=4:frames=16",
    stages: Annotated[
        Path | None, Field(description="table of the first frames of each video's stages, instead of a plan")
    ] = None,
    stride: Annotated[
        int, Field(ge=1, description="distance between the frames of the clip of a stage; with stages only")
    ] = 1,
    size: Annotated[int, Field(ge=32, description="width and height to which frames are resized")] = 160,
    convention: Annotated[
        Convention | None, Field(description="whose padding of the first pooling (that of the weights, else qijiezhao)")
    ] = None,
    colours: ColoursOption = None,
    seed: SeedOption = 0,
) -> P3D:
    """Build the network as in S3D: whole frames, resized to a square.

    Raises:
        WeightsError: the weights do not fit.
        DataError: the table of stages cannot be used.
        OptionError: there is no such plan, its clips are too short, or a stride is given without stages.
    """
    if stride > 1 and not stages:
        raise OptionError("p3d: stride is for the clips of stages; give stages, or put the stride into the plan")
    found = open_weights(weights, "p3d")
    table = read_stages(stages) if stages else None
    padding = cast(Convention, convention or (found.convention if found else None) or "qijiezhao")
    with seeded(seed):
        named = choose_colours(found, colours, "imagenet")
        backbone = P3D(plans.parse(plan), PixelRecipe((size, size)), named, padding, table, stride)
        backbone.start(found, seed)
    return backbone
