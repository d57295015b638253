"""The base class of all methods: it is trained on batches and predicts score distributions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated

import torch
from pydantic import BeforeValidator, Field
from torch import Tensor, nn

from aqakit.methods.parts.heads import Units, mlp
from aqakit.methods.parts.losses import preference_nll
from aqakit.methods.parts.pooling import PoolingName
from aqakit.methods.parts.pooling import build as build_pooling
from aqakit.scores.distributions import ScoreDistribution
from aqakit.types import Batch, Description, FeatureSpec


class Method(nn.Module, ABC):
    """Map a :class:`~aqakit.types.Batch` to a :class:`~aqakit.scores.distributions.ScoreDistribution`.

    Attributes:
        epoch: Index of the current epoch, from 0; set by the training loop.
        remembers_unlabelled: Whether :meth:`remember` also receives the unlabelled training videos.
        supports_vmap: Whether torch.vmap can compute :meth:`losses` and :meth:`pair_losses` of several models at once,
            for labelled batches: what is computed depends on no value of a tensor, and no buffer changes.
        needs_pixels: Whether the method, with its options, uses :meth:`pixel_losses`; cached features are then refused.
        needs_clips: Whether the method, with its options, needs the clips as the backbone gives them; long videos are
            then not summarised unless asked.
        reads_kind: Whether the method, with its options, reads the declared kind of a video.
        reads_steps: Whether the method reads the declared steps of a video, and needs them.
        rates: Learning rate of submodules, by name, as a share of that of the run; 1 for all others.
    """

    epoch: int = 0
    remembers_unlabelled: bool = False
    supports_vmap: bool = False
    needs_pixels: bool = False
    needs_clips: bool = False
    reads_kind: bool = False
    reads_steps: bool = False
    rates: Mapping[str, float] = MappingProxyType({})

    @abstractmethod
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return named scalar losses; training minimises their sum. Empty if :meth:`remember` does all the training."""

    @abstractmethod
    def predict(self, batch: Batch) -> ScoreDistribution:
        """Predict (B,) scores from features, clips and what was declared, never from the score. Deterministic."""

    def pair_losses(self, pairs: Batch, weight: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Return named scalar losses of P pairs of which one was said to be better: Thurstone's likelihood by default.

        Args:
            pairs: 2 P videos, which need no score: the better one of each pair, then the worse ones in the same order.
            weight: (P,) of each pair, 1 on average.
            noise: (P,) standard deviation of a judge's comparison, in units of the target.
        """
        return {"pairs": (weight * preference_nll(self.predict(pairs), noise)).mean()}

    def pixel_losses(self, pixels: Batch, embed: Callable[[Batch], Batch]) -> dict[str, Tensor]:
        """Return additional losses on changed pixels; called alongside :meth:`losses`, only if backbones are trained.

        Args:
            pixels: The batch before the backbones: clips (B, N, T, H, W, 3) uint8 in every stream.
            embed: Maps changed clips to the batch that :meth:`losses` would receive for them, with gradients. Each call
                passes its rows through the backbones once more.
        """
        return {}

    def describe(self, batch: Batch) -> Description:
        """Predict attributes and captions of B videos from the same inputs as :meth:`predict`. Deterministic."""
        return Description()

    def representations(self, batch: Batch) -> dict[str, Tensor]:
        """Return representations (B, D) of B videos: ``whole`` and other views used in training; empty by default.

        Only figures use them.
        """
        return {}

    def start(self, train: Batch) -> None:
        """Let the last layers answer with mean and spread of the training scores until they have learnt more.

        Args:
            train: the labelled training set.
        """
        for module in self.modules():
            start = getattr(module, "start_at", None)
            if start and not isinstance(module, Units):  # a head starts its own units
                start(train.score)

    def remember(self, train: Batch) -> None:
        """Fit the memory, for methods that have one; called with the labelled training set before training.

        If ``remembers_unlabelled`` is set, it is called with the whole training set.

        Store the memory in buffers made by :meth:`register_memory`, so that checkpoints contain it.
        """

    def register_memory(self, name: str, dtype: torch.dtype = torch.float32) -> None:
        """Register an empty buffer whose shape is known only after :meth:`remember`."""
        self.register_buffer(name, torch.empty(0, dtype=dtype))
        self._memories = (*getattr(self, "_memories", ()), name)

    def _load_from_state_dict(self, state_dict, prefix, *args) -> None:  # type: ignore[no-untyped-def]
        # A memory takes the saved shape; every other tensor must match as usual.
        for name in getattr(self, "_memories", ()):
            if prefix + name in state_dict:
                setattr(self, name, torch.empty_like(state_dict[prefix + name]))
        super()._load_from_state_dict(state_dict, prefix, *args)


def mean_loss(losses: Tensor) -> Tensor:
    """Mean of the losses (b,) of the labelled rows; zero, with a gradient, if there are none."""
    return losses.sum() / max(1, len(losses))


def _sizes(value: object) -> object:
    return [v for v in value.split(",") if v] if isinstance(value, str) else value


PoolingOption = Annotated[PoolingName, Field(description="how the clips of a video are pooled into one vector")]
HiddenOption = Annotated[
    tuple[Annotated[int, Field(gt=0)], ...],
    BeforeValidator(_sizes),
    Field(description="widths of the hidden layers, as 256,128"),
]
DropoutOption = Annotated[float, Field(ge=0, lt=1, description="dropout probability of hidden units")]


class Trunk(nn.Module):
    """Pool the clips, then apply an MLP: shared by the regression baseline, USDL, MUSDL and DAE."""

    def __init__(self, features: FeatureSpec, *, pooling: PoolingName, hidden: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        self.pool = build_pooling(pooling, features.width)
        self.mlp = mlp(self.pool.width, hidden, dropout)
        self.width = (self.pool.width, *hidden)[-1]
        self.supports_vmap = pooling != "recurrent"

    def forward(self, batch: Batch) -> Tensor:
        """Return (B, width)."""
        return self.mlp(self.pool(batch.features, batch.clips))
