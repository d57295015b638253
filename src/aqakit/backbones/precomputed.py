"""Features that you already have, one file per video.

Each file has one vector per clip of a video.

A file is ``.npy``; or ``.npz``, ``.safetensors`` or ``.pt`` with a single array or one named ``features``. The array
has shape (clips, width), in time order, or (width,) for one vector of the whole video. It is the sample's recording of
kind ``features``; a window counts the rows of the file, both ends included.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from torch import Tensor

from aqakit.backbones.parts.base import Backbone
from aqakit.errors import DataError
from aqakit.recordings import signals
from aqakit.recordings.signals import Signal

PAPER = "None: the features are yours. The format ``.npy`` is that of NumPy, https://numpy.org/neps/nep-0001-npy-format"


class Precomputed(Backbone):
    """Rows of a file, one (D,) vector per clip, as features."""

    reads = "features"

    def __init__(self, width: int) -> None:
        super().__init__()
        self.shape = (width,)

    def read(self, path: Path, window: tuple[int, int] | None = None) -> Iterator[Signal]:
        """Yield the (D,) float32 vectors of a file.

        Raises:
            DataError: the file cannot be read, has vectors of another width, or the window is not inside it.
        """
        vectors = signals.vectors(path)  # (N, D)
        (width,) = self.shape
        if vectors.shape[1] != width:
            raise DataError(
                f"{path} has features of width {vectors.shape[1]}, but the backbone precomputed expects {width}; "
                f"give it width={vectors.shape[1]}"
            )
        yield from signals.cut(vectors, window, path)

    def forward(self, clips: Tensor) -> Tensor:
        """Return the features (n, D) unchanged."""
        return clips.float()

    def fingerprint(self) -> dict[str, Any]:
        """Return the width."""
        return {"version": 1, "width": self.shape[0]}


def build(*, width: Annotated[int, Field(gt=0, description="length of the vector of a clip")] = 1024) -> Precomputed:
    """Build the backbone for features from files."""
    return Precomputed(width)
