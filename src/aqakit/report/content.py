"""What a report shows, as plain data: the methods compared on each task, samples worth looking at, maps of the data.

A :class:`TaskResult` is all methods on one task, and a :class:`Study` all that one report is about.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from aqakit.datasets.parts.health import HealthReport
from aqakit.evaluation.results import MethodResult
from aqakit.metrics import comparison
from aqakit.metrics.accuracy import fisher_mean
from aqakit.types import Floats, ScoreScale


class Part(NamedTuple):
    """Some frames of a recording, both ends included, and how many points of the score they made."""

    first: int
    last: int
    contribution: float


@dataclass(frozen=True)
class Case:
    """A test sample worth looking at.

    Attributes:
        method, fold, seed, id: whose prediction of which sample.
        why: ``largest error`` or ``most surprising``.
        true, mean, low, high: the true score, and the prediction with its 90 % interval.
        surprise: absolute normal score of the true value under the prediction; NaN for a point.
        frames: (H, W, 3) uint8 each, evenly from first to last; none without a video.
        timeline: contributions of the parts of the recording; none where they are not known.
        similar: the training samples that its model finds most like it, with their scores.
        about: the caption.
    """

    method: str
    fold: str
    seed: int
    id: str
    why: str
    true: float
    mean: float
    low: float
    high: float
    surprise: float
    frames: tuple[np.ndarray, ...] = ()
    timeline: tuple[Part, ...] = ()
    similar: tuple[tuple[str, float], ...] = ()
    about: str = ""


@dataclass(frozen=True)
class Embedding:
    """Samples (n,) on a plane: ``position`` (n, 2), and their scores (n,)."""

    title: str
    position: Floats
    score: Floats


@dataclass(frozen=True)
class TaskResult:
    """All methods on one task.

    Attributes:
        name: of the data set and the task.
        protocol: name of the splits.
        scale: of the scores.
        span: what errors are divided by for ``relative_l2``.
        methods: those compared, then floors.
        cases: samples worth looking at.
        embeddings: the data as each set of backbones sees them.
        health: of the data; None where they are not at hand.
        notes: what must be known to read the numbers.
    """

    name: str
    protocol: str
    scale: ScoreScale
    span: float
    methods: tuple[MethodResult, ...]
    cases: tuple[Case, ...] = ()
    embeddings: tuple[Embedding, ...] = ()
    health: HealthReport | None = None
    notes: tuple[str, ...] = ()

    @property
    def compared(self) -> tuple[MethodResult, ...]:
        """The methods without the floors."""
        return tuple(m for m in self.methods if not m.floor)

    @cached_property
    def letters(self) -> Mapping[str, str]:
        """Letters of methods and floors: those that share one differ in Spearman by no more than noise.

        Nothing where there is one alone, or where not all were judged on the same samples.
        """
        draws = {m.label: m.draws for m in self.methods}
        same = len({m.stacked.ids for m in self.methods}) == 1 and all(map(len, draws.values()))
        return comparison.group(draws).letters if same and len(draws) > 1 else {}


@dataclass(frozen=True)
class Study:
    """All that one report is about."""

    tasks: tuple[TaskResult, ...]
    notes: tuple[str, ...] = ()

    def over_tasks(self) -> list[dict[str, Any]]:
        """The Fisher-z mean of Spearman over tasks, of each method that is in all of several tasks."""
        known = [{m.label: m.row(task.span)["spearman"] for m in task.methods} for task in self.tasks]
        labels = [label for label in known[0] if all(label in one for one in known)] if len(known) > 1 else []
        return [{"method": n, "spearman": float(fisher_mean([one[n] for one in known]))} for n in labels]
