"""I3D: inflated Inception-v1; 1024 numbers per clip.

Three PyTorch versions of the published network are in use. They differ only in the padding of borders and in the ε of
batch norm; a convention is named for the code whose numbers it gives:

- ``piergiaj`` (pytorch-i3d and its copies in USDL, MUSDL and DAE): padding as in TensorFlow, which depends on the size;
  ε 1e-3;
- ``core`` (the copies of hassony2's network in CoRe and ACTION-NET): padding of kernel − stride, the odd one at the
  end; the last pooling window may be incomplete; ε 1e-5;
- ``hassony2`` (kinetics_i3d_pytorch today): as ``core``, but the first convolution pads time as TensorFlow does, and
  ε 1e-3.

If every size is divisible by the stride, as for 16 frames of 224×224, ``piergiaj`` and ``hassony2`` are equal, and
``core`` differs only in ε. The weights choose: the files of pytorch-i3d ``piergiaj``, those of kinetics_i3d_pytorch
``hassony2``, and a trunk inside a checkpoint of CoRe ``core``. CoRe and ACTION-NET start from a file of hassony2, under
either name of it, so their features need ``convention=core``.

Run folders of earlier versions say ``same`` for ``piergiaj`` and ``fixed`` for ``core``; both are still understood.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from typing import Annotated, Any, Literal, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from aqakit.backbones.parts.checkpointing import in_stages
from aqakit.backbones.parts.pooling import max_pool3d
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
from aqakit.backbones.weights import Found
from aqakit.recordings import clips as plans
from aqakit.recordings.transforms import PixelRecipe, flip_flow

PAPER = (
    "Carreira and Zisserman, Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset, CVPR 2017. "
    "https://arxiv.org/abs/1705.07750"
)

Convention = Literal["piergiaj", "core", "hassony2"]
Triple = tuple[int, int, int]

_BATCH_NORM: dict[Convention, dict[str, float]] = {
    "piergiaj": {"eps": 1e-3, "momentum": 0.01},
    "core": {"eps": 1e-5, "momentum": 0.1},
    "hassony2": {"eps": 1e-3, "momentum": 0.1},
}
_OTHER_NAMES: dict[str, Convention] = {"action_net": "core", "same": "piergiaj", "fixed": "core"}
_STORED = {"piergiaj": "same", "core": "fixed", "hassony2": "hassony2"}
"""Names in fingerprints: those of earlier versions, so that features cached by them are found."""

EARLIER = {"convention": "earlier"}
"""Options that give the features of runs before format 2, for options that were left to their defaults."""

_MIXED: dict[str, tuple[int, ...]] = {
    "mixed_3b": (192, 64, 96, 128, 16, 32, 32),
    "mixed_3c": (256, 128, 128, 192, 32, 96, 64),
    "mixed_4b": (480, 192, 96, 208, 16, 48, 64),
    "mixed_4c": (512, 160, 112, 224, 24, 64, 64),
    "mixed_4d": (512, 128, 128, 256, 24, 64, 64),
    "mixed_4e": (512, 112, 144, 288, 32, 64, 64),
    "mixed_4f": (528, 256, 160, 320, 32, 128, 128),
    "mixed_5b": (832, 256, 160, 320, 32, 128, 128),
    "mixed_5c": (832, 384, 192, 384, 48, 128, 128),
}
"""Input channels, then the output channels of the six convolutions."""

_STAGES = ("pool_2a_3x3", "pool_3a_3x3", "mixed_3b", "pool_4a_3x3", "pool_5a_2x2")
"""Last layers of the stages of which only the inputs are kept with ``checkpointing``: little is kept between them, and
none of them computes much."""


def borders(size: int, kernel: int, stride: int, adapts: bool) -> tuple[int, int]:
    """Return the padding before and after an axis of ``size``, which adapts to the size, or not.

    >>> borders(8, 3, 2, True), borders(7, 3, 2, True), borders(7, 3, 2, False)
    ((0, 1), (1, 1), (0, 1))
    """
    step = (size % stride or stride) if adapts else stride
    total = max(kernel - step, 0)
    return total // 2, total - total // 2


class Unit(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, channels: int, width: int, kernel: int, convention: Convention, stride: int = 1) -> None:
        super().__init__()
        self.stride, self.kernel = stride, kernel
        self.adapts = (convention != "core", convention == "piergiaj", convention == "piergiaj")  # time, height, width
        padding = kernel // 2 if stride == 1 else 0  # with a stride it depends on the input size
        self.conv = nn.Conv3d(channels, width, kernel, stride, padding, bias=False)
        self.norm = nn.BatchNorm3d(width, **_BATCH_NORM[convention])  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(n, C, T, H, W) → (n, width, T / stride, H / stride, W / stride)."""
        if self.stride > 1:
            axes = zip(reversed(x.shape[2:]), reversed(self.adapts))
            x = F.pad(x, [n for size, adapts in axes for n in borders(size, self.kernel, self.stride, adapts)])
        return F.relu(self.norm(self.conv(x)), inplace=True)


class Pool(nn.Module):
    """Max pooling of non-negative inputs.

    For such inputs, zero padding and implicit padding give the same maximum, so explicit padding is rarely needed.
    """

    def __init__(self, kernel: Triple, stride: Triple, convention: Convention) -> None:
        super().__init__()
        self.kernel, self.stride, self.adapts = kernel, stride, convention == "piergiaj"

    def forward(self, x: Tensor) -> Tensor:
        """(n, C, T, H, W) → the same with every axis divided by its stride, rounded up."""
        sizes, axes = x.shape[2:], range(3)
        edges = [borders(sizes[a], self.kernel[a], self.stride[a], self.adapts) for a in axes]
        # an incomplete last window replaces the odd padding at the end, unless the axis ends with a complete window
        behind = [edges[a][1] - edges[a][0] if sizes[a] % self.stride[a] else 0 for a in axes]
        if any(behind):
            x = F.pad(x, [n for more in reversed(behind) for n in (0, more)])
        before = tuple(edge[0] for edge in edges)
        return max_pool3d(x, self.kernel, self.stride, before, ceil_mode=True)


class Mixed(nn.Module):
    """Four parallel branches with concatenated channels (an Inception block)."""

    def __init__(self, channels: tuple[int, ...], convention: Convention) -> None:
        super().__init__()
        comes, one, before_a, after_a, before_b, after_b, pooled = channels
        self.branch_0 = Unit(comes, one, 1, convention)
        self.branch_1 = nn.Sequential(Unit(comes, before_a, 1, convention), Unit(before_a, after_a, 3, convention))
        self.branch_2 = nn.Sequential(Unit(comes, before_b, 1, convention), Unit(before_b, after_b, 3, convention))
        self.branch_3 = nn.Sequential(Pool((3, 3, 3), (1, 1, 1), convention), Unit(comes, pooled, 1, convention))

    def forward(self, x: Tensor) -> Tensor:
        """(n, C, T, H, W) → (n, C', T, H, W)."""
        return torch.cat([self.branch_0(x), self.branch_1(x), self.branch_2(x), self.branch_3(x)], dim=1)


def trunk(channels: int, convention: Convention) -> nn.Sequential:
    """Return all layers before the last pooling, named as by the paper's authors: 12.3 million parameters."""
    mixed = {name: Mixed(sizes, convention) for name, sizes in _MIXED.items()}
    thirds, fourths, fifths = ([(n, m) for n, m in mixed.items() if n.startswith(f"mixed_{k}")] for k in (3, 4, 5))
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            [
                ("conv3d_1a_7x7", Unit(channels, 64, 7, convention, stride=2)),
                ("pool_2a_3x3", Pool((1, 3, 3), (1, 2, 2), convention)),
                ("conv3d_2b_1x1", Unit(64, 64, 1, convention)),
                ("conv3d_2c_3x3", Unit(64, 192, 3, convention)),
                ("pool_3a_3x3", Pool((1, 3, 3), (1, 2, 2), convention)),
                *thirds,
                ("pool_4a_3x3", Pool((3, 3, 3), (2, 2, 2), convention)),
                *fourths,
                ("pool_5a_2x2", Pool((2, 2, 2), (2, 2, 2), convention)),
                *fifths,
            ]
        )
    )


def _stages(trunk: nn.Sequential) -> list[nn.Module]:
    """Return the trunk in parts."""
    ends = [k for k, (name, _) in enumerate(trunk.named_children(), start=1) if name in _STAGES]
    return [trunk[start:end] for start, end in pairwise([0, *ends, len(trunk)])]


class I3D(PretrainedVideo):
    """The trunk and the mean over 2×7×7 windows of its feature map."""

    def __init__(
        self,
        plan: plans.ClipPlan,
        pixels: PixelRecipe,
        colours: str,
        stream: str,
        convention: Convention,
        checkpointing: bool = False,
    ) -> None:
        super().__init__("i3d", plan, pixels, colours, fewest=2)
        self.stream, self.convention, self.checkpointing = stream, convention, checkpointing
        self.shape = (1024,)
        self.channels = 2 if stream == "flow" else 3
        self.trunk = trunk(self.channels, convention)

    def mirror(self, clips: Tensor) -> Tensor:
        """Mirror clips left to right; motion to the right becomes motion to the left."""
        return flip_flow(clips) if self.stream == "flow" else super().mirror(clips)

    def forward(self, clips: Tensor) -> Tensor:
        """(n, T, H, W, 3) uint8 → (n, 1024)."""
        planes = self.planes(clips)[:, : self.channels]
        maps = in_stages(_stages(self.trunk), planes) if self.checkpointing else self.trunk(planes)
        window = [min(most, size) for most, size in zip((2, 7, 7), maps.shape[2:])]
        return F.avg_pool3d(maps, window, 1).mean((2, 3, 4)).float()

    def fingerprint(self) -> dict[str, Any]:
        """Return plan, pixels, colours, weights, stream and convention."""
        own = {"stream": self.stream, "convention": _STORED[self.convention]}
        return super().fingerprint() | own


def _convention(chosen: str | None, found: Found | None) -> Convention:
    """Return the convention: chosen, else that of the weights, else that of pytorch-i3d."""
    if chosen == "earlier":
        return "core" if found and found.style.name == "hassony2" else "piergiaj"
    name = chosen or (found.convention if found else None) or "piergiaj"
    return cast(Convention, _OTHER_NAMES.get(name, name))


def build(
    *,
    weights: WeightsOption = None,
    plan: PlanOption = "dae",
    size: Annotated[int, Field(ge=32, description="width and height of the centre crop")] = 224,
    resize: ResizeOption = None,
    crop: CropOption = None,
    centre: CentreOption = "floor",
    stream: Annotated[
        Literal["rgb", "flow"],
        Field(
            description="flow: images whose red and green channels are the motion to the right and down, "
            "0 to 255 for −20 to 20 pixels per frame"
        ),
    ] = "rgb",
    convention: Annotated[
        Convention | Literal["action_net", "same", "fixed", "earlier"] | None,
        Field(
            description="whose padding and batch norm (that of the weights, else piergiaj); action_net is core; same, "
            "fixed and earlier: as in runs of earlier versions"
        ),
    ] = None,
    colours: ColoursOption = None,
    checkpointing: Annotated[
        bool, Field(description="with --finetune: less than half the memory for a third more time; the same numbers")
    ] = False,
    seed: SeedOption = 0,
) -> I3D:
    """Build the network as in the papers: frames are resized to 455×256 and centre-cropped.

    Raises:
        WeightsError: the weights do not fit.
        OptionError: there is no such plan, or its clips are too short.
    """
    found = open_weights(weights, "i3d")
    with seeded(seed):
        backbone = I3D(
            plans.parse(plan),
            pixel_recipe((256 * size // 224, 455 * size // 224), size, resize, crop, centre),
            choose_colours(found, colours, "minus-one-to-one"),
            stream,
            _convention(convention, found),
            checkpointing,
        )
        backbone.start(found, seed)
    return backbone
