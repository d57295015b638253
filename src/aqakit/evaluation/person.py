"""Test people of whom some recordings are given as known to be right: the protocol ``calibrated-person``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch

from aqakit.errors import DataError
from aqakit.scores.distributions import ScoreDistribution
from aqakit.training import people
from aqakit.training.data import PreparedData
from aqakit.training.run import Run
from aqakit.types import Sample


def known_right(test: Sequence[Sample], top: float, count: int) -> dict[str, list[str]]:
    """Ids of the first ``count`` test samples of each person that have the score ``top``.

    Raises:
        DataError: a sample names no group.
    """
    if missing := next((s.id for s in test if s.group is None), None):
        raise DataError(f"{missing} names no group (person), so nothing can be calibrated to a person")
    found: dict[str, list[str]] = {}
    for sample in test:
        own = found.setdefault(str(sample.group), [])
        if sample.score == top and len(own) < count:
            own.append(sample.id)
    return found


def shifts(run: Run, prepared: PreparedData, given: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Points by which the answers to each person's recordings move, from the samples given of each."""
    level, source = people.level_of(run), _as_read(run, prepared)
    return {
        person: people.shift_of(run, source.subset(ids).batch(torch.arange(len(ids))), level).points
        for person, ids in given.items()
        if ids
    }


def answers(
    run: Run, prepared: PreparedData, ids: Collection[str], moved: Mapping[str, float] | None = None
) -> ScoreDistribution:
    """The answers (n,) of a run to samples, moved by so many points for each person."""
    source, parts = _as_read(run, prepared).subset(list(ids)), []
    for rows in torch.arange(len(source)).split(source.at_once):
        by = torch.tensor([(moved or {}).get(str(source.samples[i].group), 0.0) for i in rows.tolist()])
        parts.append(run.answer(source.batch(rows), by if moved else None))
    return type(parts[0]).cat(parts)


def _as_read(run: Run, prepared: PreparedData) -> PreparedData:
    """The data as the run reads them."""
    return prepared.summarised(run.recipe.windows) if run.recipe.windows else prepared
