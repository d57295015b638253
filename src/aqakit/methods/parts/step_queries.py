"""Queries of declared steps: a vector for each name, learnt or of its text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from aqakit.errors import DataError
from aqakit.recordings import arrays
from aqakit.system.files import user_path
from aqakit.types import Batch, Floats


class StepQueries(nn.Module):
    """Map declared steps to queries.

    A step that no training video has, and one whose name is new, has the mean vector of those that training videos
    have; with text, a step of the labels always has its own.

    Args:
        names: of the steps.
        width: of a query.
        text: ``.npz`` file with a vector for each name, which :meth:`remember` reads; None to learn the vectors. The
            vectors are turned and scaled together, so that as many numbers describe them as there are names; no angle
            between them changes. They are stored with the weights, so that the file is not needed again.
    """

    vectors: Tensor
    known: Tensor

    def __init__(self, names: Sequence[str], width: int, text: Path | None = None) -> None:
        super().__init__()
        self.names, self.text = tuple(names), text
        if text is None:
            self.learnt = nn.Embedding(len(names), width)
        else:
            self.project = nn.Linear(len(names), width)
            self.register_buffer("vectors", torch.zeros(len(names), len(names)))
        self.register_buffer("known", torch.ones(len(names), dtype=torch.bool))

    def forward(self, steps: Tensor) -> Tensor:
        """Map steps (B, S) int64, as a batch has them, to queries (B, S, width); padding has some vector."""
        queries = self.learnt.weight if self.text is None else self.project(self.vectors)
        mean = queries[self.known].mean(0, keepdim=True)
        own = torch.where(self.known[:, None], queries, mean)
        found: Tensor = torch.cat([own, mean])[steps]  # both a new name and padding are the last row
        return found

    @torch.no_grad()
    def remember(self, train: Batch) -> None:
        """Note which steps there are in training videos, or read the vectors of their texts.

        Raises:
            DataError: If the file of the vectors cannot be read, or a step has none.
        """
        if self.text is not None:
            self.vectors.copy_(torch.from_numpy(turned(text_vectors(user_path(self.text), self.names))))
        else:
            there = train.steps[(train.steps >= 0) & (train.steps < len(self.names))]
            self.known.zero_()[there] = True


def text_vectors(path: Path, names: Sequence[str]) -> Floats:
    """Read the vectors (S, T) of S names from an ``.npz`` file with an array (T,) for each.

    Raises:
        DataError: If it cannot be read, or does not hold one vector of finite numbers, of the same length, for each.
    """
    if path.suffix.lower() != ".npz":
        raise DataError(f"{path}: vectors of steps are an .npz file, with an array for each step under its name")
    found = [np.asarray(vector, np.float64) for vector in arrays.named_arrays(path, names)]
    shapes = {vector.shape for vector in found}
    if len(shapes) != 1 or len(shapes.pop()) != 1:
        raise DataError(f"{path}: the vectors of the steps should be flat and have one length")
    if not all(np.isfinite(vector).all() for vector in found):
        raise DataError(f"{path}: a vector of a step has numbers that are not finite")
    return np.stack(found)


def turned(vectors: Floats) -> Floats:
    """Turn S vectors (S, T) into the space that they span, and scale them together: (S, S), of mean square 1.

    >>> found = turned(np.array([[3.0, 0, 4, 0], [0, 0, 0, 5]]))
    >>> (found @ found.T).round(6).tolist()  # their lengths, and the angle between them
    [[2.0, 0.0], [0.0, 2.0]]
    """
    left, sizes, _ = np.linalg.svd(vectors, full_matrices=False)
    found = np.zeros((len(vectors), len(vectors)))
    found[:, : len(sizes)] = left * sizes
    scaled: Floats = found / max(np.sqrt((found**2).mean()), 1e-12)
    return scaled
