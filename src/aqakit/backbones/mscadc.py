"""The body of MSCADC: a dilated C3D, one map per video.

A small C3D, whose last two convolutions are dilated, processes the whole video as one clip.

The padding of the last convolution is one less than its dilation, so each axis shrinks by two: the map is 2×20×20 with
256 channels.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from aqakit.backbones.parts.pretrained import (
    CentreOption,
    ColoursOption,
    CropOption,
    PlanOption,
    PretrainedVideo,
    ResizeOption,
    SeedOption,
    WeightsOption,
    choose_colours,
    open_weights,
    pixel_recipe,
    seeded,
)
from aqakit.recordings import clips as plans
from aqakit.recordings.transforms import PixelRecipe

PAPER = (
    "Parmar and Morris, What and How Well You Performed? A Multitask Learning Approach to Action Quality Assessment, "
    "CVPR 2019. https://arxiv.org/abs/1904.04346"
)

_CONVOLUTIONS = {"1": 32, "2": 64, "3a": 128, "3b": 128, "4a": 256, "4b": 256, "5a": 256, "5b": 256}
_DILATED = {"5a": (2, 2), "5b": (2, 1)}  # dilation and padding
_POOLED = {"1": (1, 2, 2), "2": (2, 2, 2), "3b": (2, 2, 2)}


def _layers() -> Iterator[tuple[str, nn.Module]]:
    channels = 3
    for name, width in _CONVOLUTIONS.items():
        dilation, padding = _DILATED.get(name, (1, 1))
        yield f"conv{name}", nn.Conv3d(channels, width, 3, padding=padding, dilation=dilation)
        yield f"bn{name}", nn.BatchNorm3d(width)
        yield f"relu{name}", nn.ReLU(inplace=True)
        if name in _POOLED:
            yield f"pool{name}", nn.MaxPool3d(_POOLED[name])
        channels = width
    yield "dropout", nn.Dropout(0.5)


class MSCADC(PretrainedVideo):
    """Clips → maps (256, T, H, W)."""

    def __init__(self, plan: plans.ClipPlan, pixels: PixelRecipe, colours: str) -> None:
        super().__init__("mscadc", plan, pixels, colours, fewest=12)
        self.trunk = nn.Sequential(OrderedDict(_layers()))
        frames, height, width, _ = self.clip
        self.shape = (256, frames // 4 - 2, height // 8 - 2, width // 8 - 2)

    def forward(self, clips: Tensor) -> Tensor:
        """(n, T, H, W, 3) uint8 → (n, 256, T / 4 − 2, H / 8 − 2, W / 8 − 2), with quotients rounded down."""
        maps: Tensor = self.trunk(self.planes(clips)).float()
        return maps


def build(
    *,
    weights: WeightsOption = None,
    plan: PlanOption = "mscadc",
    size: Annotated[int, Field(ge=24, description="width and height of the centre crop")] = 180,
    resize: ResizeOption = None,
    crop: CropOption = None,
    centre: CentreOption = "floor",
    colours: ColoursOption = None,
    seed: SeedOption = 0,
) -> MSCADC:
    """Build the network as in the paper: frames are resized to 640×360 and centre-cropped.

    Raises:
        WeightsError: the weights do not fit.
        OptionError: there is no such plan, or its clips are too short.
    """
    found = open_weights(weights, "mscadc")
    with seeded(seed):
        pixels = pixel_recipe((2 * size, 32 * size // 9), size, resize, crop, centre)
        backbone = MSCADC(plans.parse(plan), pixels, choose_colours(found, colours, "imagenet"))
        backbone.start(found, seed)
    return backbone
