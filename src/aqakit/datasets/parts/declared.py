"""What athletes declare before they begin: the kind of their performance and its steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from aqakit.system.numbers import number
from aqakit.types import Sample


def declared(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return the fields of a label description that kinds, steps and boundaries of some samples give.

    Boundaries are known if all samples that state any state as many.

    >>> from aqakit.types import Sample
    >>> dives = [Sample("a", {}, kind="107B", steps=("forward", "entry"), boundaries=(0.3, 0.8)), Sample("b", {})]
    >>> declared(dives)
    {'kinds': ('107B',), 'steps': ('entry', 'forward'), 'boundaries': 2}
    """
    counts = {len(s.boundaries) for s in samples if s.boundaries}
    return {
        "kinds": tuple(sorted({s.kind for s in samples if s.kind is not None})),
        "steps": tuple(sorted({step for s in samples for step in s.steps})),
        "boundaries": counts.pop() if len(counts) == 1 else 0,
    }


def declare(sample: Sample, **given: Any) -> Sample:
    """Return a sample with what it does not declare itself: difficulty, kind, steps.

    >>> from aqakit.types import Sample
    >>> declare(Sample("a", {}, kind="107B"), kind="5253B", difficulty=3.0).kind
    '107B'
    """
    return replace(sample, **{name: value for name, value in given.items() if value and not getattr(sample, name)})


def steps(text: str) -> tuple[str, ...]:
    """Return the steps of a cell, which are joined by ``>``.

    Raises:
        ValueError: a step is empty.

    >>> steps("forward > 2.5 somersaults pike > entry")
    ('forward', '2.5 somersaults pike', 'entry')
    """
    found = tuple(step.strip() for step in text.split(">"))
    if not all(found):
        raise ValueError("has an empty step; write steps as first > second > third")
    return found


def shares(text: str) -> tuple[float, ...]:
    """Return the boundaries of a cell: rising shares of the recording, which are joined by ``>``.

    Raises:
        ValueError: they are no numbers between 0 and 1, or do not rise.

    >>> shares("0.31 > 0.78")
    (0.31, 0.78)
    """
    found = tuple(number(part.strip()) for part in text.split(">"))
    if not all(low < high for low, high in pairwise((0.0, *found, 1.0))):
        raise ValueError("should be rising shares of the recording between 0 and 1, such as 0.31 > 0.78")
    return found
