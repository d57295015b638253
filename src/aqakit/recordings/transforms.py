"""Pixel transforms between decoding and the network: resize, crop, flip, normalise.

Frames are uint8 (..., H, W, 3). Randomness comes only from the Generator that is passed in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from aqakit.errors import OptionError

Frames = TypeVar("Frames", Tensor, NDArray[np.uint8])


class Convention(NamedTuple):
    """Colour normalisation a network was trained with: (RGB / 255 − mean) / std, in BGR order if ``bgr``."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    bgr: bool = False


CONVENTIONS: Mapping[str, Convention] = {
    "imagenet": Convention((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "minus-one-to-one": Convention((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "raw-255": Convention((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
    "raw-255-bgr": Convention((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255), bgr=True),
}
"""The conventions of published weights, by name: ImageNet statistics (the AQA papers, also for I3D); [−1, 1] (I3D as
trained on Kinetics); 0 to 255 (C3D as trained on Sports-1M), in RGB or in BGR."""


@dataclass(frozen=True)
class PixelRecipe:
    """Resizing and cropping of video frames to a network's input size.

    >>> recipe = PixelRecipe(resize=256, crop=(224, 224))
    >>> recipe.size(480, 640), recipe.size(640, 480)
    ((256, 341), (341, 256))

    Attributes:
        resize: (height, width), or the length of the short side; the other side keeps the aspect ratio.
        crop: (height, width) cropped from the centre afterwards; None for no crop.
        interpolation: filter used for resizing.
    """

    resize: tuple[int, int] | int
    crop: tuple[int, int] | None = None
    interpolation: Literal["bilinear", "bicubic", "area"] = "bilinear"

    def __post_init__(self) -> None:
        resize = (self.resize,) if isinstance(self.resize, int) else self.resize
        if min(*resize, *(self.crop or resize)) < 1:
            raise OptionError(f"pixels: sizes must be at least 1, not {self.resize} and {self.crop}")
        if self.crop and any(c > r for c, r in zip(self.crop, (*resize, resize[0]), strict=False)):
            raise OptionError(f"pixels: a crop of {self.crop} is larger than the frame resized to {self.resize}")

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return (height, width) after resizing a frame of that size; for :func:`aqakit.recordings.video.stream`."""
        if not isinstance(self.resize, int):
            return self.resize
        short = min(height, width)
        tall, wide = ((2 * side * self.resize + short) // (2 * short) for side in (height, width))  # rounded
        return tall, wide

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that affects the pixels, as JSON values."""
        return asdict(self)


def crop(frames: Frames, size: tuple[int, int], corner: tuple[int, int] | None = None) -> Frames:
    """Crop frames to (..., height, width, 3) at ``corner`` (top, left), or at their centre.

    Raises:
        ValueError: the crop is not inside the frames.
    """
    height, width = frames.shape[-3:-1]
    top, left = corner or ((height - size[0]) // 2, (width - size[1]) // 2)
    if not (0 <= top <= height - size[0] and 0 <= left <= width - size[1]):
        raise ValueError(f"cannot crop {size[0]}×{size[1]} at {top}, {left} from frames of {height}×{width}")
    return frames[..., top : top + size[0], left : left + size[1], :]


def flip(frames: Tensor) -> Tensor:
    """Mirror frames left to right."""
    return frames.flip(-2)


def normalise(frames: Tensor, mean: tuple[float, ...], std: tuple[float, ...], bgr: bool = False) -> Tensor:
    """Convert uint8 (..., H, W, 3) to float32 (..., 3, H, W): (frames / 255 − mean) / std.

    >>> normalise(torch.full((1, 1, 3), 255, dtype=torch.uint8), *CONVENTIONS["minus-one-to-one"]).flatten()
    tensor([1., 1., 1.])
    """
    if frames.dtype != torch.uint8:
        raise ValueError(f"frames must be uint8, not {frames.dtype}")
    scale = 1 / (255 * torch.tensor(std, device=frames.device))
    shift = torch.tensor(mean, device=frames.device) / torch.tensor(std, device=frames.device)
    scaled = frames * scale - shift
    return (scaled.flip(-1) if bgr else scaled).movedim(-1, -3)


def random_crop(frames: Frames, size: tuple[int, int], generator: Generator) -> Frames:
    """Crop all frames at the same random place, with all places equally likely."""
    room = (frames.shape[-3] - size[0], frames.shape[-2] - size[1])
    top, left = (int(torch.randint(max(r, 0) + 1, (), generator=generator)) for r in room)
    return crop(frames, size, (top, left))


def random_flip(generator: Generator) -> bool:
    """Return whether to mirror a video: one fair coin toss for all of its frames."""
    return bool(torch.randint(2, (), generator=generator))


def random_shift(limit: int, generator: Generator) -> int:
    """Return by how many frames to move a window: −limit to limit, all equally likely."""
    return int(torch.randint(-limit, limit + 1, (), generator=generator))
