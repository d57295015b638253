"""The base class of backbones, which read clips of a recording and compute features from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from torch import Tensor, nn

from aqakit.recordings.clip_plan import ClipPlan
from aqakit.types import Sample

Reads = Literal["video", "signal", "skeleton", "features"]


class Backbone(nn.Module, ABC):
    """Base class: maps a recording to features of its clips.

    Attributes:
        reads: the kind of recording, a key of ``Sample.sources``.
        shape: F, the shape of one clip's features.
        standardise: whether the features should be standardised with statistics of the training set, because their
            channels have different units.
        plan: clip plan, if it has one.
    """

    reads: ClassVar[Reads]
    shape: tuple[int, ...]
    standardise: ClassVar[bool] = False
    plan: ClipPlan | None = None

    def reader(self, sample: Sample) -> Self:
        """Return the backbone as it reads one sample: with the sample's named segments, if its clips are these.

        Raises:
            DataError: they are, and the sample has none.
        """
        plan = self.plan and self.plan.of(sample.segments, sample.id)
        if plan is self.plan:
            return self
        told = copy(self)  # shares the network
        told.plan = plan
        return told

    def clip_names(self, sample: Sample) -> tuple[str, ...]:
        """Return the name of each clip of a sample, if its clips are named segments; else nothing."""
        plan = self.reader(sample).plan
        return plan.names(sample.window) if plan else ()

    @abstractmethod
    def read(self, path: Path, window: tuple[int, int] | None = None) -> Iterator[np.ndarray]:
        """Yield the clips of one recording in time order; stack them for :meth:`forward`.

        Pixels stay uint8 (T, H, W, 3); signals are float32. Memory does not grow with the length of the recording.

        Raises:
            VideoError, DataError: the recording cannot be read.
        """

    @abstractmethod
    def forward(self, clips: Tensor) -> Tensor:
        """Map stacked clips (n, …) from :meth:`read` to features (n, *shape) float32."""

    @abstractmethod
    def fingerprint(self) -> dict[str, Any]:
        """Return everything that affects the features, as JSON values: plan, pixel recipe, options, weights' hash."""

    def fingerprint_of(self, path: Path) -> dict[str, Any]:
        """Return what else affects the features of one recording, and replaces entries of :meth:`fingerprint`."""
        return {}
