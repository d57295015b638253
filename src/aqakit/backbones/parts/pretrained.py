"""What the convolutional networks of the papers share: published weights, their colours, and clips of one size."""

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
    str, Field(description="which frames make which clip: a name, or kind/number=value, as sliding/frames=16/step=8")
]
WeightsOption = Annotated[
    Path | None,
    Field(description="a file as it was published or as aqakit saved it, see `aqakit weights`; none: at random"),
]
ColoursOption = Annotated[
    Colours | None, Field(description="how pictures are normalised, if not as the weights want it")
]
SeedOption = Annotated[int, Field(ge=0, description="of the initial weights, where none are given")]


class PretrainedVideo(VideoBackbone):
    """A network that sees clips of one size and may start from published weights.

    Args:
        name: of the backbone, for messages.
        plan: which frames make which clip.
        pixels: resizing and cropping.
        colours: a name in :data:`aqakit.recordings.transforms.CONVENTIONS`.
        fewest: frames of the shortest clip that the network can see.

    Raises:
        OptionError: the plan's clips are shorter than that.
    """

    def __init__(self, name: str, plan: ClipPlan, pixels: PixelRecipe, colours: str, *, fewest: int) -> None:
        super().__init__(plan, pixels, CONVENTIONS[colours])
        frames, (height, width) = plan.clips(1).shape[1], pixels.crop or pixels.size(1, 1)
        if frames < fewest:
            raise OptionError(f"{name} needs clips of at least {fewest} frames, and those of the plan have {frames}")
        self.name, self.clip = name, (frames, height, width, 3)
        self.source = ""

    def planes(self, clips: Tensor) -> Tensor:
        """(n, T, H, W, 3) uint8 → (n, 3, T, H, W) float32, normalised.

        Raises:
            ValueError: the clips are not of the size that the backbone was built for.
        """
        if clips.shape[1:] != self.clip:
            wanted, given = ("×".join(map(str, size)) for size in (self.clip, tuple(clips.shape[1:])))
            raise ValueError(f"{self.name} was built for clips of {wanted}, and these are {given}")
        return self.normalise(clips).transpose(1, 2)

    def start(self, found: Found | None, seed: int) -> None:
        """Take the weights of a file, or random ones.

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
        """Initial weights that keep the spread of what passes through a layer (He et al. 2015)."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def fingerprint(self) -> dict[str, Any]:
        """Plan, pixels, colours and weights; subclasses add their options."""
        return super().fingerprint() | {"weights": self.source}


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random numbers of their own: the same options give the same weights in every process."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def open_weights(path: Path | None, backbone: str) -> Found | None:
    """What a file of weights holds; None for no file."""
    return weights.recognise(weights.locate(path), backbone) if path else None


def choose_colours(found: Found | None, chosen: Colours | None, usual: Colours) -> str:
    """How to normalise: as chosen, or as the weights want it, or as usual; a choice against the weights is told."""
    wanted = found.colours if found else None
    if found and wanted and chosen not in (None, wanted):
        warnings.warn(f"{found.path} wants {wanted} pictures and gets {chosen} ones, as chosen", stacklevel=3)
    return chosen or wanted or usual
