"""Features that you already have, one file per video.

Each file has one vector for each clip of a video.

A file is ``.npy``; or ``.npz``, ``.safetensors`` or ``.pt`` with one array or one named ``features``. The array has the
shape (clips, width), in the order of time, or (width,) for one vector of the whole video. A sample names it as its
recording of the kind ``features``; a window counts the rows of the file, both ends included.
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
    """Rows of a file → the same, (D,) for each clip."""

    reads = "features"

    def __init__(self, width: int) -> None:
        super().__init__()
        self.shape = (width,)

    def read(self, path: Path, window: tuple[int, int] | None = None) -> Iterator[Signal]:
        """The (D,) float32 vectors of a file.

        Raises:
            DataError: the file cannot be read, has vectors of another width, or the window is not inside it.
        """
        vectors = signals.vectors(path)  # (N, D)
        (width,) = self.shape
        if vectors.shape[1] != width:
            raise DataError(
                f"{path} has features of width {vectors.shape[1]} and the backbone precomputed expects {width}; "
                f"give it width={vectors.shape[1]}"
            )
        yield from signals.cut(vectors, window, path)

    def forward(self, clips: Tensor) -> Tensor:
        """(n, D) → the same: they are what they are."""
        return clips.float()

    def fingerprint(self) -> dict[str, Any]:
        """The width."""
        return {"version": 1, "width": self.shape[0]}


def build(*, width: Annotated[int, Field(gt=0, description="numbers in the vector of a clip")] = 1024) -> Precomputed:
    """Features from files."""
    return Precomputed(width)
