"""The contents of a report as plain data: methods compared on each task, notable samples, maps of the data.

A :class:`TaskResult` holds all methods on one task, and a :class:`Study` all tasks of one report.
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
    """A range of frames of a recording, both ends included, and the points that it contributes to the score.

    ``name`` is that of the named segment that it belongs to; empty if there is none.
    """

    first: int
    last: int
    contribution: float
    name: str = ""


@dataclass(frozen=True)
class Case:
    """A test sample that is shown in detail.

    Attributes:
        method, fold, seed, id: the model and the sample that it predicts.
        why: ``largest error`` or ``most surprising``.
        true, mean, low, high: the true score, and the prediction with its 90 % interval.
        surprise: absolute normal score of the true value under the prediction; NaN for a point prediction.
        frames: (H, W, 3) uint8 each, evenly spaced from first to last; empty without a video.
        timeline: contributions of the parts of the recording; empty if unknown.
        similar: the training samples most similar to it for its model, with their scores.
        about: the caption.
        doubts: whether it is unlike the training samples, or one of them.
        words: sentences on what its named measures cost; empty without such measures.
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
    doubts: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Embedding:
    """A 2-D map of n samples: ``position`` (n, 2) and ``score`` (n,)."""

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
        span: divisor of the errors in ``relative_l2``.
        methods: the compared methods, then the floors.
        cases: samples that are shown in detail.
        embeddings: a map of the data for each set of backbones.
        health: of the data; None if the data are not available.
        notes: what a reader must know to interpret the numbers.
        data: the data set, of which there may be several tasks; empty if unknown.
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
    data: str = ""

    @property
    def compared(self) -> tuple[MethodResult, ...]:
        """The methods without the floors."""
        return tuple(m for m in self.methods if not m.floor)

    @cached_property
    def letters(self) -> Mapping[str, str]:
        """Group letters of methods and floors; differences in Spearman within a group are no more than noise.

        Empty if there is only one method, or if not all were evaluated on the same samples.
        """
        draws = {m.label: m.draws for m in self.methods}
        same = len({m.stacked.ids for m in self.methods}) == 1 and all(map(len, draws.values()))
        return comparison.group(draws).letters if same and len(draws) > 1 else {}


@dataclass(frozen=True)
class Study:
    """All tasks of one report."""

    tasks: tuple[TaskResult, ...]
    notes: tuple[str, ...] = ()

    def over_tasks(self) -> list[dict[str, Any]]:
        """Fisher-z mean of Spearman over the tasks of a data set, for each method that is present in all of them.

        Tasks of different data sets, or of other protocols, are not averaged: such a mean says nothing of any.
        """
        found = []
        for data, protocol in dict.fromkeys((task.data, task.protocol) for task in self.tasks):
            tasks = [task for task in self.tasks if (task.data, task.protocol) == (data, protocol)]
            known = [{m.label: m.row(task.span)["spearman"] for m in task.methods} for task in tasks]
            labels = [label for label in known[0] if all(label in one for one in known)] if len(known) > 1 else []
            for label in labels:
                mean = float(fisher_mean([one[label] for one in known]))
                found.append({"data": data, "tasks": len(tasks), "method": label, "spearman": mean})
        return found
