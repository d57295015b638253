"""Explain a score by named measures: how many points each group of them costs or adds, against better recordings.

The players are groups of measures, such as all of the knee angles; both sides of the body are one group. The value of a
group is its Shapley value: what it adds to the predicted score when its measures take the place of what better
recordings have there, averaged over all orders of the groups. The values add up to the prediction minus the prediction
for better recordings.

*Better recordings* are the better third of the training recordings by score (with target ``total``, by score ÷
difficulty). Where kinds or steps are declared, so that a tuck is compared with tucks, what is usual for them is taken
off scores and measures first, and what is usual for the recording's own is added (``methods/parts/declared.py``); else,
of the better third, only the few are taken whose measures are most like those of the recording. Their mean stands in
for what a group has not added yet; their 10 % and 90 % quantiles are the range that is given.

*Noise* is how the same values come out for the best tenth of the training recordings. A group is worth a sentence if
its cost is more than a multiple of the spread of its values there, and of that of all groups together. The multiple is
such that 90 % of the best have no group beyond it (they have faults too). The measure that is named must also be
outside the range.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aqakit.backbones.parts.named import Measure
from aqakit.explanation import sentences
from aqakit.explanation.better import FEWEST, Better, mean_of, named
from aqakit.explanation.contributions import EVALUATIONS, Attribution
from aqakit.features import keys
from aqakit.training.run import Run
from aqakit.types import Batch, Sample, Segment

RANGE = (0.1, 0.9)
"""Quantiles of the better recordings that are given as a range."""

_WINDOWS = 8  # of more of them, a recording is a series and its mean no recording


@dataclass(frozen=True)
class Finding:
    """What a group of measures does to the score.

    Attributes:
        group: such as ``knee angle``.
        points: what it adds; negative if it costs.
        error: standard error of ``points``; 0 if they are exact.
        noise: the cost that is within the noise of the best training recordings; None if these are too few.
        measure: name of the measure that stands for the group, in this recording.
        value: its value.
        low: the better recordings have at least this, but for one in ten,
        high: and at most this.
        unit: of these.
        second: the time of the value in the recording; None if it has none.
        sentence: empty if there is nothing to be said.
    """

    group: str
    points: float
    error: float
    noise: float | None
    measure: str
    value: float
    low: float
    high: float
    unit: str
    second: float | None
    sentence: str


@dataclass(frozen=True)
class Findings:
    """Why a recording has its score, in named measures.

    Attributes:
        prediction: the predicted score.
        baseline: the score of the better recordings' mean measures; points add up from here.
        groups: the costliest first.
        compared: number of recordings that it was compared with.
        unit: of points.
    """

    prediction: float
    baseline: float
    groups: tuple[Finding, ...]
    compared: int
    unit: str

    @property
    def sentences(self) -> list[str]:
        """What costs most, the costliest first; one sentence says so if nothing does."""
        if self.compared < FEWEST - 1:
            return [sentences.TOO_FEW]
        return [one.sentence for one in self.groups if one.sentence] or [sentences.NOTHING]

    def rows(self) -> list[dict[str, Any]]:
        """Return a row of a table for each group, without the sentences."""
        return [{name: value for name, value in vars(one).items() if name != "sentence"} for one in self.groups]

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self) | {"sentences": self.sentences}


def explain(
    run: Run,
    recording: Path | str | Mapping[str, Path | str],
    *,
    difficulty: float | None = None,
    window: tuple[int, int] | None = None,
    kind: str | None = None,
    steps: Sequence[str] = (),
    segments: Sequence[Segment] = (),
    evaluations: int = EVALUATIONS,
    seed: int = 0,
) -> Findings | None:
    """Explain the score of one recording by its named measures; None if the run reads none.

    Args:
        run: a finished run; one of its backbones has ``measures``, such as ``movement``.
        recording: as in :meth:`Run.predict <aqakit.training.run.Run.predict>`, with ``difficulty`` and ``window``.
        difficulty: the declared difficulty.
        window: first and last frame of the action.
        kind: what was declared, such as a dive number.
        steps: the steps that were declared.
        segments: named parts of the recording.
        evaluations: approximate number of coalitions to evaluate, if there are too many to evaluate all.
        seed: for the choice of coalitions.

    Raises:
        RunError: the run was made before runs stored what this needs.
    """
    if not named(run):
        return None
    sample = run.sample(recording, difficulty, window, kind, steps, segments)
    return findings(run, sample, run.embed([sample]), evaluations=evaluations, seed=seed)


@torch.inference_mode()
def findings(
    run: Run,
    sample: Sample,
    video: Batch,
    better: Better | None = None,
    *,
    evaluations: int = EVALUATIONS,
    seed: int = 0,
) -> Findings | None:
    """Explain one embedded video (B = 1); ``better`` of the same run and difficulty saves the time to find the noise.

    Raises:
        RunError: as :func:`explain`.
    """
    streams = named(run)
    if not streams or max(video.streams[name].clips.shape[1] for name in streams) > _WINDOWS:
        return None
    better = better or Better.of(run, video, seed=seed)
    like = better.like(video)
    found = better.attribute(video, {name: near.mean(0) for name, near in like.items()}, evaluations, seed)
    told = [
        _finding(run, sample, video, better, like, player, found, float(better.noise[player]))
        for player in np.argsort(found.values).tolist()
    ]
    compared = len(next(iter(like.values())))
    return Findings(found.prediction, found.baseline, tuple(told), compared, run.labels.scale.unit)


def _finding(
    run: Run,
    sample: Sample,
    video: Batch,
    better: Better,
    like: dict[str, Tensor],
    player: int,
    found: Attribution,
    noise: float,
) -> Finding:
    stream, measure, value, (low, high) = _stands_for(run, video, better, like, player)
    backbone = named(run)[stream]
    points, unit = float(found.values[player]), run.labels.scale.unit
    path = keys.source(sample, stream, run.backbones[stream])
    costs, outside = points < -noise, not low <= value <= high
    second = backbone.second(path, measure, sample.window) if costs and outside else None
    sides = backbone.sides(path, sample.window) if costs and outside else {}
    said = sentences.sentence(measure, value, (low, high), second, -points, unit, sides) if costs and outside else ""
    return Finding(
        group=better.groups[player],
        points=points,
        error=float(found.errors[player]),
        noise=noise if math.isfinite(noise) else None,
        measure=sentences.with_sides(measure.name, sides),
        value=value,
        low=low,
        high=high,
        unit=measure.unit,
        second=second,
        sentence=said,
    )


def _stands_for(
    run: Run, video: Batch, better: Better, like: dict[str, Tensor], player: int
) -> tuple[str, Measure, float, tuple[float, float]]:
    """The measure of a group, of those outside the range, that costs most by itself; else the farthest outside."""
    usual, best = {name: near.mean(0) for name, near in like.items()}, None
    for name, players in better.players.items():
        columns = (players == player).nonzero().squeeze(1)
        if not len(columns):
            continue
        own = {other: torch.ones(len(columns), len(p), dtype=torch.bool) for other, p in better.players.items()}
        own[name][torch.arange(len(columns)), columns] = False
        full = {other: kept[:1] | True for other, kept in own.items()}
        gain = better.worth(video, usual, own) - better.worth(video, usual, full)
        value = mean_of(video.streams[name])[columns].double().numpy()
        low, high = np.quantile(like[name][:, columns].double().numpy(), RANGE, axis=0)
        width = better.spread[name][columns].double().numpy() + 1e-12
        outside = np.maximum(low - value, value - high) / width
        for k in range(len(columns)):
            order = (outside[k] > 0, gain[k] if outside[k] > 0 else 0.0, outside[k])
            if best is None or order > best[0]:
                best = order, name, int(columns[k]), float(value[k]), (float(low[k]), float(high[k]))
    assert best is not None, "a group without measures"
    _, name, column, value_, span = best
    return name, named(run)[name].measures[column], value_, span
