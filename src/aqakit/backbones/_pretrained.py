"""What the convolutional networks of the papers share: published weights, their colours, and clips of one size."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.func import functional_call

from aqakit import weights
from aqakit.backbones._video import VideoBackbone, weights_hash
from aqakit.clips import ClipPlan
from aqakit.errors import OptionError
from aqakit.transforms import CONVENTIONS, PixelRecipe
from aqakit.weights import Found

Colours = Literal["imagenet", "minus-one-to-one", "raw-255", "raw-255-bgr"]

PlanOption = Annotated[str, Field(description="which frames make which clip, as aqakit.clips.parse reads it")]
WeightsOption = Annotated[
    Path | None,
    Field(
        description="a file as it was published or as aqakit saved it, see `aqakit weights`; none: at random"
    ),
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
        colours: a name in :data:`aqakit.transforms.CONVENTIONS`.
    """

    def __init__(self, name: str, plan: ClipPlan, pixels: PixelRecipe, colours: str) -> None:
        super().__init__(plan, pixels, CONVENTIONS[colours])
        height, width = pixels.crop or pixels.size(1, 1)
        self.name, self.clip = name, (plan.clips(1).shape[1], height, width, 3)
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
        """Take the weights of a file, or stay as the seed has made it; then find out the shape of the features.

        Raises:
            WeightsError: the weights do not fit.
            OptionError: the clips are too small for the network.
        """
        if found is not None:
            found.fit(self)
        self.source = weights_hash(self) if found else f"seed {seed}"
        self.eval()
        self.shape = self._measure()

    def fingerprint(self) -> dict[str, Any]:
        """Plan, pixels, colours and weights; subclasses add their options."""
        return super().fingerprint() | {"weights": self.source}

    def _measure(self) -> tuple[int, ...]:
        """The shape of the features, without any computation."""
        state = {n: t.to("meta") for n, t in (*self.named_parameters(), *self.named_buffers())}
        clips = torch.empty(1, *self.clip, dtype=torch.uint8, device="meta")
        try:
            return tuple(functional_call(self, state, clips).shape[1:])
        except RuntimeError as error:
            size = "×".join(str(n) for n in self.clip[:3])
            raise OptionError(f"{self.name}: clips of {size} are too small for this network") from error


def open_weights(path: Path | None, backbone: str) -> Found | None:
    """What a file of weights holds; None for no file."""
    return weights.recognise(weights.locate(path), backbone) if path else None


def choose_colours(found: Found | None, chosen: Colours | None, usual: Colours) -> str:
    """How to normalise: as chosen, or as the weights want it, or as usual. A choice against the weights is warned of."""
    wanted = found.colours if found else None
    if found and wanted and chosen not in (None, wanted):
        warnings.warn(f"{found.path} wants {wanted} pictures and gets {chosen} ones, as chosen", stacklevel=3)
    return chosen or wanted or usual
