"""What every backbone is: it reads clips of a recording and turns them into features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from torch import Tensor, nn

Reads = Literal["video", "signal", "skeleton", "features"]


class Backbone(nn.Module, ABC):
    """From a recording to features of its clips.

    Attributes:
        reads: the kind of recording, a key of ``Sample.sources``.
        shape: F, the shape of one clip's features.
        standardise: whether the channels of a feature have unrelated units, so that they should be standardised
            on the training set before a method sees them.
    """

    reads: ClassVar[Reads]
    shape: tuple[int, ...]
    standardise: ClassVar[bool] = False

    @abstractmethod
    def read(self, path: Path, window: tuple[int, int] | None = None) -> Iterator[np.ndarray]:
        """Clips of one recording in order of time, ready for :meth:`forward` once stacked.

        Pixels stay uint8 (T, H, W, 3); signals are float32. Memory does not grow with the length of the recording.

        Raises:
            VideoError, DataError: the recording cannot be read.
        """

    @abstractmethod
    def forward(self, clips: Tensor) -> Tensor:
        """(n, …) clips as :meth:`read` gives them, stacked → (n, *shape) float32."""

    @abstractmethod
    def fingerprint(self) -> dict[str, Any]:
        """Everything that changes the features, as JSON values: plan, pixel recipe, options, weights' hash."""
