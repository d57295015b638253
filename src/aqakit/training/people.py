"""The level of a person that a run has not seen, from recordings of that person that are known to be right.

Right means: as good as the best training score. Training sees none of these recordings; they are given when the person
is scored, and what comes of it is a protocol of its own, ``calibrated-person``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aqakit.datasets.parts.declared import declare
from aqakit.errors import DataError, RunError
from aqakit.scores.cross_conformal import CrossConformal
from aqakit.scores.person import PersonLevel
from aqakit.system.wording import option
from aqakit.training.run import Run
from aqakit.training.trust import is_among
from aqakit.types import Batch, Sample

PROTOCOL = "calibrated-person"

_HELD_OUT = "held-out"


@dataclass(frozen=True)
class Shift:
    """What recordings known to be right say of a person.

    Attributes:
        points: by which all answers move.
        unshrunken: the same if these recordings were fully trusted.
        recordings: how many there were.
    """

    points: float
    unshrunken: float
    recordings: int

    def sentence(self, unit: str) -> str:
        """What is said beside the scores."""
        of = f"{self.recordings} recording{'s' * (self.recordings > 1)} known to be right"
        return (
            f"protocol {PROTOCOL}: scores are shifted by {self.points:+.3g} {unit} for this person, from {of} "
            f"(which differ from those of other people by {-self.unshrunken:+.3g})"
        )


def level_of(run: Run) -> PersonLevel:
    """What right recordings get from the members of a run that have not seen the person.

    Raises:
        RunError: the run held no people out, or its samples have no groups.
        DataError: too few people have the highest score.
    """
    if _HELD_OUT not in run.splits() or not isinstance(run.recalibration, CrossConformal):
        raise RunError(
            f"{run.folder}: has no held-out answers, which a person's level needs; train with {option('members', 5)}"
        )
    group, score = run.groups(_HELD_OUT), run.truth(_HELD_OUT)
    if None in group:
        raise RunError(f"{run.folder}: its samples name no groups (people), so a person's level cannot be told")
    known = ~np.isnan(score)
    own = zip(np.array(group)[known].tolist(), run.recalibration.member, strict=True)
    if len(set(own)) > len(set(np.array(group)[known].tolist())):
        raise RunError(f"{run.folder}: held single samples out, not people; train it with {option('parts', 'group')}")
    right = known & (score == np.nanmax(score))
    answer = run.prediction(_HELD_OUT).mean.double().numpy()
    try:
        return PersonLevel.fit(answer[right], np.array(group)[right].tolist())
    except DataError as error:
        raise DataError(f"{run.folder}: {error} with the highest score, {np.nanmax(score):g}") from None


def shift_of(run: Run, batch: Batch, level: PersonLevel | None = None) -> Shift:
    """The shift of the person in a batch of features (n,) of recordings known to be right."""
    level = level or level_of(run)
    answer = run.answer(batch).mean.double().numpy()
    return Shift(level.shift(answer), level.level - float(answer.mean()), len(answer))


def calibrate(run: Run, samples: Sequence[Sample], difficulty: float | None = None) -> Shift:
    """The shift of one person, from samples of recordings known to be right.

    Args:
        run: a finished run.
        samples: all of them must be readable.
        difficulty: declared difficulty of those that state none.

    Raises:
        DataError: a sample was trained on, so its answer is not that of an unseen person.
    """
    level = level_of(run)
    known = run.training_recordings or []
    for sample in samples:
        if is_among(sample, known):
            raise DataError(f"{sample.id}: was in the training set; calibrate on recordings of a person who was not")
    told = [declare(s, difficulty=difficulty) for s in samples]
    return shift_of(run, run.embed(told), level)
