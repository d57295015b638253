"""Shared code of the published convolutional networks: weights, their normalisation, and clips of fixed size."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from aqakit.backbones import weights
from aqakit.backbones.parts.video import VideoBackbone, weights_hash
from aqakit.backbones.weights import Found
from aqakit.errors import OptionError
from aqakit.recordings.clips import ClipPlan
from aqakit.recordings.transforms import CONVENTIONS, Centre, PixelRecipe

Colours = Literal["imagenet", "minus-one-to-one", "raw-255", "raw-255-bgr"]

PlanOption = Annotated[
    str, Field(description="clip plan: a name, or a kind with its numbers such as sliding/frames=16/step=8")
]
WeightsOption = Annotated[
    Path | None,
    Field(description="a weights file, published or saved by aqakit, see `aqakit weights`; none: random"),
]
ColoursOption = Annotated[Colours | None, Field(description="normalisation of the pixels (that of the weights)")]
ResizeOption = Annotated[
    str | None,
    Field(
        description="size to which frames are resized first: WIDTHxHEIGHT, a number for the short side, or none for "
        "frames as they are (in proportion to size)"
    ),
]
CropOption = Annotated[
    str | None,
    Field(
        description="what is cut from the centre: WIDTHxHEIGHT, or none for all; it is squeezed to the square of size "
        "(that square)"
    ),
]
CentreOption = Annotated[
    Centre,
    Field(description="where the crop begins if the difference is odd: rounded down, or as torchvision rounds"),
]
SeedOption = Annotated[int, Field(ge=0, description="seed of the random initial weights, if no weights are given")]


class PretrainedVideo(VideoBackbone):
    """A network for clips of a fixed size that may start from published weights.

    Args:
        name: name of the backbone, for messages.
        plan: clip plan.
        pixels: resizing and cropping.
        colours: a name in :data:`aqakit.recordings.transforms.CONVENTIONS`.
        fewest: frames of the shortest clip that the network accepts.

    Raises:
        OptionError: the plan's clips are shorter than that.
    """

    def __init__(self, name: str, plan: ClipPlan, pixels: PixelRecipe, colours: str, *, fewest: int) -> None:
        super().__init__(plan, pixels, CONVENTIONS[colours])
        frames, (height, width) = plan.size, pixels.shape
        if frames < fewest:
            raise OptionError(f"{name} needs clips of at least {fewest} frames, but those of the plan have {frames}")
        self.name, self.clip = name, (frames, height, width, 3)
        self.source = ""

    def planes(self, clips: Tensor) -> Tensor:
        """(n, T, H, W, 3) uint8 → (n, 3, T, H, W) float32, normalised.

        Raises:
            ValueError: the clips do not have the size that the backbone was built for.
        """
        if clips.shape[1:] != self.clip:
            wanted, given = ("×".join(map(str, size)) for size in (self.clip, tuple(clips.shape[1:])))
            raise ValueError(f"{self.name} was built for clips of {wanted}, but these are {given}")
        return self.normalise(clips).transpose(1, 2)

    def start(self, found: Found | None, seed: int) -> None:
        """Load the weights of a file, or initialise them at random.

        Raises:
            WeightsError: the weights do not fit.
        """
        if found is None:
            self.randomise()
            self.source = f"seed {seed}"
        else:
            found.fit(self)
            self.source = weights_hash(self)
        self.eval()

    def randomise(self) -> None:
        """Initialise weights so that every layer preserves the variance of its input (He et al. 2015)."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def fingerprint(self) -> dict[str, Any]:
        """Return plan, pixels, colours and weights; subclasses add their options."""
        return super().fingerprint() | {"weights": self.source}


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed PyTorch locally, so that the same options give the same weights in every process."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def pixel_recipe(
    usual: tuple[int, int], size: int, resize: str | None, crop: str | None, centre: Centre
) -> PixelRecipe:
    """Return how frames become squares of ``size``: by the options, else resized to ``usual`` and cropped.

    Raises:
        OptionError: a text is no size, or the crop is larger than the frame.
    """
    square = (size, size)
    resized = usual if resize is None else _sides("resize", resize)
    region = square if crop is None else _sides("crop", crop)
    if isinstance(region, int):
        region = (region, region)
    done = square in (region, resized if region is None else None)
    return PixelRecipe(resized, region, centre=centre, squeeze=None if done else square)


def _sides(name: str, text: str) -> tuple[int, int] | int | None:
    """(height, width) of a text such as 455x256, one number of a text such as 256, or None."""
    if text == "none":
        return None
    parts = re.fullmatch(r"([1-9]\d{0,4})(?:[x×]([1-9]\d{0,4}))?", text, re.ASCII)
    if parts is None:
        raise OptionError(f"{name} {text!r} should be as 455x256 (width and height), 256, or none")
    return int(parts[1]) if parts[2] is None else (int(parts[2]), int(parts[1]))


def open_weights(path: Path | None, backbone: str) -> Found | None:
    """Return the contents of a weights file; None if there is no path."""
    return weights.identify(weights.locate(path), backbone) if path else None


def choose_colours(found: Found | None, chosen: Colours | None, usual: Colours) -> str:
    """Return the normalisation: chosen, else that of the weights, else usual; warn if chosen and weights differ."""
    wanted = found.colours if found else None
    if found and wanted and chosen not in (None, wanted):
        warnings.warn(f"{found.path} expects {wanted} pixels, but colours={chosen} was chosen", stacklevel=3)
    return chosen or wanted or usual
