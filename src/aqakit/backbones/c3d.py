"""C3D: eight 3-D convolutions; 8192 or 4096 numbers per clip.

8192 features after the convolutions, or 4096 after the first dense layer.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Annotated, Any, Literal

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
from aqakit.errors import OptionError
from aqakit.recordings import clips as plans
from aqakit.recordings.transforms import PixelRecipe

PAPER = (
    "Tran et al., Learning Spatiotemporal Features with 3D Convolutional Networks, ICCV 2015. "
    "https://arxiv.org/abs/1412.0767; on diving: Parmar and Morris, What and How Well You Performed?, CVPR 2019. "
    "https://arxiv.org/abs/1904.04346"
)

Features = Literal["pool5", "fc6"]

_POOL5, _FC6 = 8192, 4096

_STAGES: tuple[tuple[dict[str, int], nn.MaxPool3d], ...] = (
    ({"conv1": 64}, nn.MaxPool3d((1, 2, 2))),
    ({"conv2": 128}, nn.MaxPool3d(2)),
    ({"conv3a": 256, "conv3b": 256}, nn.MaxPool3d(2)),
    ({"conv4a": 512, "conv4b": 512}, nn.MaxPool3d(2)),
    ({"conv5a": 512, "conv5b": 512}, nn.MaxPool3d(2, padding=(0, 1, 1))),
)
"""Output channels of the convolutions by name, and the pooling after them."""


def _layers() -> Iterator[tuple[str, nn.Module]]:
    channels = 3
    for number, (convolutions, pool) in enumerate(_STAGES, start=1):
        for name, width in convolutions.items():
            yield name, nn.Conv3d(channels, width, 3, padding=1)
            yield name.replace("conv", "relu"), nn.ReLU(inplace=True)
            channels = width
        yield f"pool{number}", pool


class C3D(PretrainedVideo):
    """The convolutions, and the first dense layer if its features are requested."""

    def __init__(self, plan: plans.ClipPlan, pixels: PixelRecipe, colours: str, features: Features) -> None:
        super().__init__("c3d", plan, pixels, colours, fewest=16)
        self.features = features
        self.trunk = nn.Sequential(OrderedDict(_layers()))
        self.fc6 = nn.Linear(_POOL5, _FC6) if features == "fc6" else None
        frames, height, width, _ = self.clip
        pool5 = 512 * (frames // 16) * (height // 32 + 1) * (width // 32 + 1)
        self.shape = (_FC6 if features == "fc6" else pool5,)

    def forward(self, clips: Tensor) -> Tensor:
        """(n, T, H, W, 3) uint8 → (n, 8192) or (n, 4096)."""
        pool5 = self.trunk(self.planes(clips)).flatten(1)
        return (pool5 if self.fc6 is None else self.fc6(pool5).relu()).float()

    def fingerprint(self) -> dict[str, Any]:
        """Return plan, pixels, colours, weights and layer."""
        return super().fingerprint() | {"features": self.features}


def build(
    *,
    weights: WeightsOption = None,
    plan: PlanOption = "c3d-avg",
    features: Annotated[Features, Field(description="the last pooling, or the dense layer after it")] = "pool5",
    size: Annotated[int, Field(ge=16, description="width and height of the centre crop; 112 for fc6")] = 112,
    resize: ResizeOption = None,
    crop: CropOption = None,
    centre: CentreOption = "floor",
    colours: ColoursOption = None,
    seed: SeedOption = 0,
) -> C3D:
    """Build the network as in the papers: frames are resized to 171×128 and centre-cropped.

    Raises:
        WeightsError: the weights do not fit.
        OptionError: there is no such plan, or its clips do not fit the network.
    """
    found = open_weights(weights, "c3d")
    table = plans.parse(plan)
    if features == "fc6" and (size, table.size) != (112, 16):
        raise OptionError("c3d: the dense layer fc6 takes clips of 16 frames of 112×112; choose pool5 for other sizes")
    with seeded(seed):
        pixels = pixel_recipe((128 * size // 112, 171 * size // 112), size, resize, crop, centre)
        backbone = C3D(table, pixels, choose_colours(found, colours, "imagenet"), features)
        backbone.start(found, seed)
    return backbone
