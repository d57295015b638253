"""Shared code of the published convolutional networks: weights, their normalisation, and clips of fixed size."""

from __future__ import annotations

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
from aqakit.recordings.transforms import CONVENTIONS, PixelRecipe

Colours = Literal["imagenet", "minus-one-to-one", "raw-255", "raw-255-bgr"]

PlanOption = Annotated[
    str, Field(description="clip plan: a name, or a kind with its numbers such as sliding/frames=16/step=8")
]
WeightsOption = Annotated[
    Path | None,
    Field(description="a weights file, published or saved by aqakit, see `aqakit weights`; none: random"),
]
ColoursOption = Annotated[Colours | None, Field(description="normalisation of the pixels (that of the weights)")]
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
        frames, (height, width) = plan.clips(1).shape[1], pixels.crop or pixels.size(1, 1)
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


def open_weights(path: Path | None, backbone: str) -> Found | None:
    """Return the contents of a weights file; None if there is no path."""
    return weights.identify(weights.locate(path), backbone) if path else None


def choose_colours(found: Found | None, chosen: Colours | None, usual: Colours) -> str:
    """Return the normalisation: chosen, else that of the weights, else usual; warn if chosen and weights differ."""
    wanted = found.colours if found else None
    if found and wanted and chosen not in (None, wanted):
        warnings.warn(f"{found.path} expects {wanted} pixels, but colours={chosen} was chosen", stacklevel=3)
    return chosen or wanted or usual
