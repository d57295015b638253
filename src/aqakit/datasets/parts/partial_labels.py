"""Select the samples that keep their labels, for training with few labels and many videos.

The subset depends only on the samples, the share and the seed, so every method is trained with the same labels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest

import numpy as np

from aqakit.types import LabelSpec, Sample

COLUMN, RANDOM = "column:", "random:"


def check_share(share: str) -> str:
    """Return the share unchanged if it is valid for :func:`choose_labelled`.

    Raises:
        ValueError: the share is neither a percentage, nor a number of samples, nor a column.
    """
    if column_of(share) or (_count(share.removeprefix(RANDOM), 100) or 0) > 0:
        return share
    raise ValueError(
        "should be a percentage such as 10%, a number of samples such as 40, one of these drawn without regard to the "
        "scores as random:10%, or a column as column:NAME"
    )


def choose_labelled(samples: Sequence[Sample], share: str, seed: int) -> list[str]:
    """Return the ids of the samples that keep their labels, in the order of the samples.

    A percentage (at least one sample) or a number of the scored samples is drawn evenly over the scores: of c samples,
    each half of the sorted samples has c/2, each quarter c/4 and so on, rounded up or down. ``random:10%`` and
    ``random:40`` draw without looking at the scores. With one seed, a smaller share is part of every larger one.
    ``column:NAME`` keeps the samples whose attribute of that name is not 0.

    Raises:
        ValueError: the share asks for more labels than there are, or for a column that no scored sample has.

    >>> from aqakit.types import Sample
    >>> dives = [Sample(id=str(score), sources={}, score=score) for score in range(100)]
    >>> kept = choose_labelled(dives, "4%", seed=0)
    >>> [int(i) // 25 for i in kept]
    [0, 1, 2, 3]
    >>> set(kept) < set(choose_labelled(dives, "10%", seed=0))
    True
    """
    scored = [s for s in samples if s.score is not None]
    column = column_of(share)
    kept = _marked(scored, column) if column else _drawn(scored, share, seed)
    return [s.id for s in scored if s.id in kept]


def column_of(share: str | None) -> str | None:
    """Return NAME of ``column:NAME``, or None."""
    return share.removeprefix(COLUMN) if share and share.startswith(COLUMN) and share != COLUMN else None


def without_column(labels: LabelSpec, share: str | None) -> LabelSpec:
    """Return the labels without the column that marks labelled samples, which is not an attribute to predict."""
    kept = {name: classes for name, classes in labels.attributes.items() if name != column_of(share)}
    return replace(labels, attributes=kept)


def without_labels(sample: Sample) -> Sample:
    """Return the sample without score, marks, attributes, caption and boundaries; what was declared stays."""
    return replace(sample, score=None, judges=None, attributes={}, caption=None, boundaries=())


def _count(share: str, total: int) -> int | None:
    """Return the number of samples, at least 1 for a percentage; None if the share is not a number or percentage."""
    if re.fullmatch(r"\d+(\.\d*)?%", share):
        part = float(share[:-1]) / 100
        return max(1, round(part * total)) if 0 < part <= 1 else None
    return int(share) if re.fullmatch(r"\d+", share) else None


def _wanted(total: int, share: str) -> int:
    count = _count(share.removeprefix(RANDOM), total) or 0
    if count > total:
        raise ValueError(f"labels {share}: there are only {total} scored training samples; ask for fewer")
    return count


def _drawn(scored: Sequence[Sample], share: str, seed: int) -> set[str]:
    """The first samples of one order for each seed, so that shares are nested."""
    rng = np.random.default_rng(seed)
    shuffled = [scored[i] for i in rng.permutation(len(scored))]  # so that equal scores are not in file order
    if not share.startswith(RANDOM):
        ascending = np.argsort([s.score for s in shuffled], kind="stable").tolist()
        shuffled = [shuffled[i] for i in _alternating(ascending, rng)]
    return {s.id for s in shuffled[: _wanted(len(scored), share)]}


def _alternating(items: list[int], rng: np.random.Generator) -> list[int]:
    """Order sorted items so that each first part is spread over all: one from each half in turn, and so within halves.

    This is a van der Corput sequence in base 2, with a random choice of which half comes first.
    """
    if len(items) < 2:
        return items
    middle = (len(items) + int(rng.integers(2))) // 2
    halves = [_alternating(half, rng) for half in (items[:middle], items[middle:])]
    first = int(rng.integers(2))
    pairs = zip_longest(halves[first], halves[1 - first])
    return [item for pair in pairs for item in pair if item is not None]


def _marked(scored: Sequence[Sample], column: str) -> set[str]:
    if not any(column in s.attributes for s in scored):
        raise ValueError(f"labels {COLUMN}{column}: no scored training sample has a column with this name")
    return {s.id for s in scored if s.attributes.get(column, 0)}
