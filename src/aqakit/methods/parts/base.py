"""What every method is: it learns from batches and answers with a score distribution."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import BeforeValidator, Field
from torch import Tensor, nn

from aqakit.methods.parts.heads import mlp
from aqakit.methods.parts.pooling import PoolingName
from aqakit.methods.parts.pooling import build as build_pooling
from aqakit.scores.distributions import ScoreDistribution
from aqakit.types import Batch, Description, FeatureSpec


class Method(nn.Module, ABC):
    """From a :class:`~aqakit.types.Batch` to a :class:`~aqakit.scores.distributions.ScoreDistribution`.

    Attributes:
        epoch: the number of the epoch under way, counted from 0; set by the training loop.
        remembers_unlabelled: whether :meth:`remember` is given the unlabelled training videos too.
        needs_pixels: whether, with its options, some of its terms are :meth:`pixel_losses`; features from the cache
            are then refused.
    """

    epoch: int = 0
    remembers_unlabelled: bool = False
    needs_pixels: bool = False

    @abstractmethod
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Named scalar terms; training minimises their sum. Empty where :meth:`remember` is all the training."""

    @abstractmethod
    def predict(self, batch: Batch) -> ScoreDistribution:
        """(B,) scores. Reads features, clips and declared difficulty, never the score; deterministic."""

    def pixel_losses(self, pixels: Batch, embed: Callable[[Batch], Batch]) -> dict[str, Tensor]:
        """More terms, of changed pixels; asked for beside :meth:`losses` where the backbones are live, else never.

        Args:
            pixels: the batch before the backbones: clips (B, N, T, H, W, 3) uint8 in every stream.
            embed: changed clips → the batch that :meth:`losses` would be given of them, with gradients. Each call is
                one more pass of its rows through the backbones.
        """
        return {}

    def describe(self, batch: Batch) -> Description:
        """What else it says of B videos: attributes, captions. Reads what :meth:`predict` reads; deterministic."""
        return Description()

    def representations(self, batch: Batch) -> dict[str, Tensor]:
        """(B, D) what B videos are to it, ``whole`` and in other views that it learns from; none by default.

        Only figures read it.
        """
        return {}

    def remember(self, train: Batch) -> None:
        """Called with the labelled training set before training, for methods with a memory.

        A method that says ``remembers_unlabelled`` is called with all of it.

        Keep what is remembered in buffers made by :meth:`register_memory`, so that a checkpoint holds it.
        """

    def register_memory(self, name: str, dtype: torch.dtype = torch.float32) -> None:
        """An empty buffer whose shape is known only once something is remembered."""
        self.register_buffer(name, torch.empty(0, dtype=dtype))
        self._memories = (*getattr(self, "_memories", ()), name)

    def _load_from_state_dict(self, state_dict, prefix, *args) -> None:  # type: ignore[no-untyped-def]
        # A memory takes the shape it had when it was saved; every other tensor must fit as usual.
        for name in getattr(self, "_memories", ()):
            if prefix + name in state_dict:
                setattr(self, name, torch.empty_like(state_dict[prefix + name]))
        super()._load_from_state_dict(state_dict, prefix, *args)


def mean_loss(losses: Tensor) -> Tensor:
    """Mean of (b,) losses of the labelled rows; zero, with a gradient, where a batch has none."""
    return losses.sum() / max(1, len(losses))


def _sizes(value: object) -> object:
    return [v for v in value.split(",") if v] if isinstance(value, str) else value


PoolingOption = Annotated[PoolingName, Field(description="how the clips of a video become one vector")]
HiddenOption = Annotated[
    tuple[Annotated[int, Field(gt=0)], ...],
    BeforeValidator(_sizes),
    Field(description="widths of the hidden layers, as 256,128"),
]
DropoutOption = Annotated[float, Field(ge=0, lt=1, description="share of hidden units dropped in training")]


class Trunk(nn.Module):
    """Pool the clips, then an MLP: what the regression baseline, USDL, MUSDL and DAE share."""

    def __init__(self, features: FeatureSpec, *, pooling: PoolingName, hidden: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        self.pool = build_pooling(pooling, features.width)
        self.mlp = mlp(self.pool.width, hidden, dropout)
        self.width = (self.pool.width, *hidden)[-1]

    def forward(self, batch: Batch) -> Tensor:
        """(B, width)."""
        return self.mlp(self.pool(batch.features, batch.clips))
