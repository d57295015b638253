"""Turn the labels of samples into tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from aqakit.types import Batch, LabelSpec, Sample, Stream


def collate(samples: Sequence[Sample], labels: LabelSpec, streams: Mapping[str, Stream]) -> Batch:
    """Combine the labels of samples, as tensors, with their streams into a batch.

    Classes, kinds and words that the label description does not have are unknown (−1), or left out of the caption.
    """
    groups = {g: i for i, g in enumerate(sorted({s.group for s in samples if s.group is not None}))}
    words, kinds, steps = (
        {name: i for i, name in enumerate(names)} for names in (labels.vocabulary, labels.kinds, labels.steps)
    )
    return Batch(
        streams=streams,
        score=torch.tensor([math.nan if s.score is None else s.score for s in samples]),
        judges=torch.tensor([_known(s.judges, labels.judges) for s in samples]).reshape(len(samples), labels.judges),
        difficulty=torch.tensor([math.nan if s.difficulty is None else s.difficulty for s in samples]),
        attributes={n: _classes(samples, n, count) for n, count in labels.attributes.items()},
        caption=_captions(samples, words),
        group=torch.tensor([-1 if s.group is None else groups[s.group] for s in samples]),
        kind=torch.tensor([kinds.get(s.kind or "", -1) for s in samples]),
        steps=_padded([[steps.get(step, len(steps)) for step in s.steps] for s in samples]),
        boundaries=torch.tensor([_known(s.boundaries, labels.boundaries) for s in samples]).reshape(
            len(samples), labels.boundaries
        ),
    )


def _classes(samples: Sequence[Sample], name: str, count: int) -> Tensor:
    found = [sample.attributes.get(name, -1) for sample in samples]
    return torch.tensor([value if value < count else -1 for value in found], dtype=torch.int64)


def _known(values: Sequence[float] | None, count: int) -> list[float]:
    return list(values) if values and len(values) == count else [math.nan] * count


def _captions(samples: Sequence[Sample], words: Mapping[str, int]) -> Tensor:
    return _padded([[words[w] for w in (s.caption or "").split() if w in words] for s in samples])


def _padded(tokens: Sequence[list[int]]) -> Tensor:
    """One row for each list (B, L) int64, padded with −1."""
    longest = max(map(len, tokens), default=0)
    return torch.tensor([t + [-1] * (longest - len(t)) for t in tokens], dtype=torch.int64).reshape(
        len(tokens), longest
    )
