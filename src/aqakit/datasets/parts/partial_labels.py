"""Select the samples that keep their labels, for training with few labels and many videos.

The subset depends only on the samples, the share and the seed, so every method is trained with the same labels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from aqakit.types import LabelSpec, Sample

COLUMN = "column:"


def check_share(share: str) -> str:
    """Return the share unchanged if it is valid for :func:`choose_labelled`.

    Raises:
        ValueError: the share is neither a percentage, nor a number of samples, nor a column.
    """
    if column_of(share) or (_count(share, 100) or 0) > 0:
        return share
    raise ValueError("should be a percentage such as 10%, a number of samples such as 40, or a column as column:NAME")


def choose_labelled(samples: Sequence[Sample], share: str, seed: int) -> list[str]:
    """Return the ids of the samples that keep their labels, in the order of the samples.

    A percentage (at least one sample) or a number of the scored samples is drawn evenly over the scores: the sorted
    samples are divided into that many parts of about equal size, and one sample is drawn from each part.
    ``column:NAME`` keeps the samples whose attribute of that name is not 0.

    Raises:
        ValueError: the share asks for more labels than there are, or for a column that no scored sample has.

    >>> from aqakit.types import Sample
    >>> dives = [Sample(id=str(score), sources={}, score=score) for score in range(100)]
    >>> kept = choose_labelled(dives, "5%", seed=0)
    >>> [int(i) // 20 for i in kept]
    [0, 1, 2, 3, 4]
    """
    scored = [s for s in samples if s.score is not None]
    column = column_of(share)
    kept = _marked(scored, column) if column else _stratified(scored, _wanted(len(scored), share), seed)
    return [s.id for s in scored if s.id in kept]


def column_of(share: str | None) -> str | None:
    """Return NAME of ``column:NAME``, or None."""
    return share.removeprefix(COLUMN) if share and share.startswith(COLUMN) and share != COLUMN else None


def without_column(labels: LabelSpec, share: str | None) -> LabelSpec:
    """Return the labels without the column that marks labelled samples, which is not an attribute to predict."""
    kept = {name: classes for name, classes in labels.attributes.items() if name != column_of(share)}
    return replace(labels, attributes=kept)


def without_labels(sample: Sample) -> Sample:
    """Return the sample without score, marks, attributes and caption; the declared difficulty stays."""
    return replace(sample, score=None, judges=None, attributes={}, caption=None)


def _count(share: str, total: int) -> int | None:
    """Return the number of samples, at least 1 for a percentage; None if the share is not a number or percentage."""
    if re.fullmatch(r"\d+(\.\d*)?%", share):
        part = float(share[:-1]) / 100
        return max(1, round(part * total)) if 0 < part <= 1 else None
    return int(share) if re.fullmatch(r"\d+", share) else None


def _wanted(total: int, share: str) -> int:
    count = _count(share, total) or 0
    if count > total:
        raise ValueError(f"labels {share}: there are only {total} scored training samples; ask for fewer")
    return count


def _stratified(scored: Sequence[Sample], count: int, seed: int) -> set[str]:
    rng = np.random.default_rng(seed)
    shuffled = [scored[i] for i in rng.permutation(len(scored))]  # so that equal scores are not in file order
    parts = np.array_split(np.argsort([s.score for s in shuffled], kind="stable"), count)
    return {shuffled[int(rng.choice(part))].id for part in parts}


def _marked(scored: Sequence[Sample], column: str) -> set[str]:
    if not any(column in s.attributes for s in scored):
        raise ValueError(f"labels {COLUMN}{column}: no scored training sample has a column with this name")
    return {s.id for s in scored if s.attributes.get(column, 0)}
