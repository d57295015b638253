"""A small 3-D network to train from scratch on a CPU.

Training takes a minute or two.

Each block convolves over space and then over time, as R(2+1)D does, and halves height and width. It is cheap because it
has few channels at high resolution, and because its memory layout (batch, time, height, width, channel) allows plain
2-D convolutions over both space and time, without a copy between them. The input has a fourth channel: the change in
brightness since the previous frame. Time is halved only once and never averaged: the features of all time steps are
concatenated, so that later layers can tell the entry from the take-off.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from aqakit.backbones.parts.video import VideoBackbone, weights_hash
from aqakit.errors import WeightsError
from aqakit.recordings.clips import Starts
from aqakit.recordings.transforms import CONVENTIONS, PixelRecipe
from aqakit.system import tensors as storage
from aqakit.system.tensors import DamagedError

PAPER = (
    "Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition, CVPR 2018 (the blocks). "
    "https://arxiv.org/abs/1711.11248"
)

_MOMENT = 64  # features per time step


class Block(nn.Module):
    """A convolution over space, then one over three time steps, each with batch norm and ReLU."""

    def __init__(self, channels: int, width: int, time_stride: int) -> None:
        super().__init__()
        self.space = nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False)
        self.time = nn.Conv2d(width, width, (3, 1), (time_stride, 1), (1, 0), bias=False)
        self.space_norm, self.time_norm = nn.BatchNorm2d(width), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, T, H, W, C) → (n, T / time_stride, H / 2, W / 2, width)."""
        n, frames = x.shape[:2]
        x = self.space_norm(self.space(x.flatten(0, 1).permute(0, 3, 1, 2))).relu()  # (n T, C, H, W)
        height, width = x.shape[2:]
        x = x.permute(0, 2, 3, 1).reshape(n, frames, height * width, -1)
        x = self.time_norm(self.time(x.permute(0, 3, 1, 2))).relu()  # (n, C, T, H W)
        return x.permute(0, 2, 3, 1).reshape(n, -1, height, width, x.shape[1])


_LIVE = "live.c3d_small."
"""Prefix of the backbone's weights in the checkpoint of a run that trained it (``--finetune``)."""


class C3DSmall(VideoBackbone):
    """Four blocks, then the spatial mean and maximum of every time step."""

    def __init__(self, *, size: int, frames: int, clips: int, width: int) -> None:
        together = Starts(tuple(range(0, clips * frames, frames)), tuple(range(frames)), clips * frames, "spread")
        super().__init__(together, PixelRecipe((size, size)), CONVENTIONS["minus-one-to-one"])
        widths = [4, width, 2 * width, 4 * width, 8 * width]
        strides = [2, 1, 1, 1]
        self.blocks = nn.Sequential(*map(Block, widths, widths[1:], strides))
        self.moment = nn.Linear(16 * width, _MOMENT)
        self.width, self.shape = width, (_MOMENT * ((frames + 1) // 2),)
        self.source: str | None = None

    def forward(self, clips: Tensor) -> Tensor:
        """(n, T, H, W, 3) uint8 → (n, 64 T / 2)."""
        x = self.blocks(self._colours_and_change(clips))
        moments = torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=-1)  # (n, T / 2, 16 width)
        features: Tensor = self.moment(moments).relu()
        return features.flatten(1).float()

    def _colours_and_change(self, clips: Tensor) -> Tensor:
        """(n, T, H, W, 3) uint8 → (n, T, H, W, 4)."""
        colours = self.normalise(clips).movedim(2, -1)
        red, green, blue = colours.unbind(-1)  # a mean over the last axis takes several times as long
        brightness = (red + green + blue) / 3
        x = colours.new_empty((*brightness.shape, 4))  # torch.cat along so short an axis is slow
        x[..., :3] = colours
        x[:, :1, ..., 3] = 0
        x[:, 1:, ..., 3] = brightness.diff(dim=1)
        return x

    def load(self, path: Path) -> None:
        """Load weights from a ``state_dict`` in safetensors format, or from the checkpoint of a run that trained them.

        Raises:
            WeightsError: the file cannot be read, or belongs to a network with other shapes.
        """
        try:
            stored, _ = storage.load(path)
            trained = {n.removeprefix(_LIVE): tensor for n, tensor in stored.items() if n.startswith(_LIVE)}
            self.load_state_dict(trained or stored)
        except (OSError, DamagedError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise WeightsError(f"{path}: not the weights of a c3d_small with these options: {reason}") from error
        self.source = weights_hash(self)

    def fingerprint(self) -> dict[str, Any]:
        """Return plan, pixels, colours, width and the source of the weights."""
        return super().fingerprint() | {"width": self.width, "weights": self.source}


def build(
    *,
    size: Annotated[int, Field(ge=16, description="width and height of a frame in pixels")] = 64,
    frames: Annotated[int, Field(ge=2, description="frames per clip")] = 32,
    clips: Annotated[
        int, Field(gt=0, description="number of consecutive clips, with frames spread evenly over the whole video")
    ] = 1,
    width: Annotated[int, Field(gt=0, description="channels of the first block; they double in every block")] = 8,
    weights: Annotated[
        Path | None,
        Field(description="trained weights, or the checkpoint of a run that trained it; none: random"),
    ] = None,
    seed: Annotated[int, Field(ge=0, description="seed of the random initial weights, if no weights are given")] = 0,
) -> C3DSmall:
    """Build the network, with random or given weights.

    Raises:
        WeightsError: the weights do not fit.
    """
    with torch.random.fork_rng(devices=[]):  # the same options must give the same features in another process
        torch.manual_seed(seed)
        backbone = C3DSmall(size=size, frames=frames, clips=clips, width=width)
    if weights is None:
        backbone.source = f"seed {seed}"
    else:
        backbone.load(weights)
    return backbone
