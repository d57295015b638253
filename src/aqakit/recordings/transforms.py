"""Pixel transforms between decoding and the network: resize, crop, flip, normalise.

Frames are uint8 (..., H, W, 3). Randomness comes only from the Generator that is passed in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Generator, Tensor

from aqakit.errors import OptionError

Frames = TypeVar("Frames", Tensor, NDArray[np.uint8])
Shift = int | tuple[int, int]
"""How far a window may move, in frames: by up to n in either direction, or from the first number to the last."""

Filter = Literal["bilinear", "bicubic", "area"]
Centre = Literal["floor", "torchvision"]
"""Where a crop begins if the difference of the sizes is odd: half of it rounded down; or, as torchvision, to an even
number (455 → 224 at 116, 457 → 224 at 116)."""


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
        resize: (height, width); or the length of the short side, where the other side keeps the aspect ratio; or None
            for frames as they are.
        crop: (height, width) cropped from the centre afterwards; None for no crop.
        interpolation: filter used for resizing.
        centre: where the crop begins if the difference of the sizes is odd.
        squeeze: (height, width) to which the crop is resized, whatever its aspect ratio; None: it stays as it is.
    """

    resize: tuple[int, int] | int | None
    crop: tuple[int, int] | None = None
    interpolation: Filter = "bilinear"
    centre: Centre = "floor"
    squeeze: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        resize = (self.resize,) if isinstance(self.resize, int) else self.resize or ()
        if min(1, *resize, *(self.crop or ()), *(self.squeeze or ())) < 1:
            raise OptionError(f"pixels: sizes must be at least 1, not {self.resize}, {self.crop} and {self.squeeze}")
        crop = self.crop or (0, 0)
        # of a frame resized by its short side, only that side is known
        if (len(resize) == 2 and (crop[0] > resize[0] or crop[1] > resize[1])) or min(crop) > min(
            resize, default=10**9
        ):
            raise OptionError(f"pixels: a crop of {self.crop} is larger than the frame resized to {self.resize}")

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the pixels that the recipe makes; of a square frame, if it depends on the frame."""
        return self.squeeze or self.crop or self.size(1, 1)

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return (height, width) after resizing a frame of that size; for :func:`aqakit.recordings.video.stream`."""
        if self.resize is None:
            return height, width
        if not isinstance(self.resize, int):
            return self.resize
        short = min(height, width)
        tall, wide = ((2 * side * self.resize + short) // (2 * short) for side in (height, width))  # rounded
        return tall, wide

    def finish(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Crop and squeeze a resized frame (H, W, 3).

        Raises:
            ValueError: the crop is larger than the frame.
        """
        if self.crop is not None:
            if any(have < want for have, want in zip(frame.shape, self.crop)):
                sizes = ["×".join(map(str, size)) for size in (frame.shape[:2], self.crop)]
                raise ValueError("frames of {} (height×width) are smaller than the crop of {}".format(*sizes))
            frame = crop(frame, self.crop, corner(frame.shape[:2], self.crop, self.centre))
        return frame if self.squeeze is None else squeezed(frame, self.squeeze, self.interpolation)

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that affects the pixels, as JSON values."""
        found = asdict(self)
        usual = {"centre": "floor", "squeeze": None}  # left out, so that pixels cached by earlier versions are found
        return {name: value for name, value in found.items() if name not in usual or value != usual[name]}


def corner(size: tuple[int, ...], wanted: tuple[int, int], centre: Centre = "floor") -> tuple[int, int]:
    """Return (top, left) of a crop from the centre of a frame.

    >>> corner((256, 455), (224, 224)), corner((256, 455), (224, 224), "torchvision")
    ((16, 115), (16, 116))
    """
    room = [have - want for have, want in zip(size, wanted)]
    top, left = (round(one / 2) if centre == "torchvision" else one // 2 for one in room)
    return top, left


def squeezed(frame: NDArray[np.uint8], size: tuple[int, int], interpolation: Filter) -> NDArray[np.uint8]:
    """Resize a frame (H, W, 3) to (height, width), with a filter as wide as the reduction, as PIL does."""
    planes = torch.from_numpy(np.ascontiguousarray(frame)).movedim(-1, 0)[None]  # (1, 3, H, W)
    if interpolation == "area":
        smaller = F.interpolate(planes.float(), size, mode="area").round().to(torch.uint8)
    else:
        smaller = F.interpolate(planes, size, mode=interpolation, antialias=True)
    return np.ascontiguousarray(smaller[0].movedim(0, -1).numpy())


def crop(frames: Frames, size: tuple[int, int], place: tuple[int, int] | None = None) -> Frames:
    """Crop frames to (..., height, width, 3) at ``place`` (top, left), or at their centre.

    Raises:
        ValueError: the crop is not inside the frames.
    """
    height, width = frames.shape[-3:-1]
    top, left = place or corner((height, width), size)
    if not (0 <= top <= height - size[0] and 0 <= left <= width - size[1]):
        raise ValueError(f"cannot crop {size[0]}×{size[1]} at {top}, {left} from frames of {height}×{width}")
    return frames[..., top : top + size[0], left : left + size[1], :]


def flip(frames: Tensor) -> Tensor:
    """Mirror frames left to right."""
    return frames.flip(-2)


def flip_flow(frames: Tensor) -> Tensor:
    """Mirror optical flow left to right: the motion to the right, in red, turns round (x → 255 − x)."""
    mirrored = flip(frames)  # a copy
    mirrored[..., 0] = 255 - mirrored[..., 0]
    return mirrored


def normalise(frames: Tensor, mean: tuple[float, ...], std: tuple[float, ...], bgr: bool = False) -> Tensor:
    """Convert uint8 (..., H, W, 3) to float32 (..., 3, H, W): (frames / 255 − mean) / std.

    >>> normalise(torch.full((1, 1, 3), 255, dtype=torch.uint8), *CONVENTIONS["minus-one-to-one"]).flatten()
    tensor([1., 1., 1.])
    """
    if frames.dtype != torch.uint8:
        raise ValueError(f"frames must be uint8, not {frames.dtype}")
    scale = 1 / (255 * torch.tensor(std, device=frames.device))
    shift = torch.tensor(mean, device=frames.device) / torch.tensor(std, device=frames.device)
    width = frames.shape[-2]  # rows of W × 3 numbers are much faster than pixels of three
    scaled = (frames.flatten(-2) * scale.repeat(width)).sub_(shift.repeat(width)).unflatten(-1, (width, 3))
    return (scaled.flip(-1) if bgr else scaled).movedim(-1, -3)


def random_crop(frames: Frames, size: tuple[int, int], generator: Generator) -> Frames:
    """Crop all frames at the same random place, with all places equally likely."""
    room = (frames.shape[-3] - size[0], frames.shape[-2] - size[1])
    top, left = (int(torch.randint(max(r, 0) + 1, (), generator=generator)) for r in room)
    return crop(frames, size, (top, left))


def random_flips(count: int, generator: Generator) -> list[bool]:
    """Return whether to mirror each video: one fair coin toss for all of its frames."""
    return [bool(toss) for toss in torch.randint(2, (count,), generator=generator).tolist()]


def reach(shift: Shift) -> tuple[int, int]:
    """Return the first and the last of the shifts: −n and n for a number n.

    >>> reach(3), reach((0, 6))
    ((-3, 3), (0, 6))
    """
    return (-shift, shift) if isinstance(shift, int) else shift


def random_shifts(limit: Shift, count: int, generator: Generator) -> list[int]:
    """Return by how many frames to move each window: any number within :func:`reach`, all equally likely."""
    first, last = reach(limit)
    return [int(by) for by in torch.randint(first, last + 1, (count,), generator=generator).tolist()]
