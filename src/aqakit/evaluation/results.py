"""Predictions of a method on one task and their metrics, as plain data, whatever their source.

A :class:`FoldResult` is one trained model evaluated on one fold; a :class:`MethodResult` is all folds and seeds of one
method.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aqakit.evaluation.selection import Epochs
from aqakit.metrics import calibration, comparison
from aqakit.metrics.accuracy import spearman, two_values
from aqakit.metrics.bootstrap import in_groups, interval
from aqakit.metrics.scoring import as_tensor
from aqakit.metrics.summary import average, evaluate
from aqakit.scores.distributions import ScoreDistribution
from aqakit.types import Floats


@dataclass(frozen=True)
class FoldResult:
    """One model evaluated on one fold.

    Attributes:
        fold, seed: name of the fold, and the seed.
        ids: (n,) ids of the test samples.
        true: (n,) their true scores.
        answer: (n,) distributions, as predicted.
        recalibrated: (n,) the distributions recalibrated on validation samples; None if there are none.
        curves: for each watched split, Spearman after each evaluated epoch (E,); 0 where it is undefined.
        epochs: (E,) these epochs, counted from 0.
        stds: (E, n) predicted standard deviations of the test samples after each of them.
        losses: (epochs,) mean training loss of each epoch, its terms added.
        facts: provenance of the result, as JSON values: recipe, versions, fingerprint.
        command: the command that reproduces it; empty if unknown.
        source: the run folder, or the file of predictions.
        groups: n groups of the samples; empty if unknown.
    """

    fold: str
    seed: int
    ids: tuple[str, ...]
    true: Floats
    answer: ScoreDistribution
    recalibrated: ScoreDistribution | None = None
    curves: Mapping[str, Floats] = field(default_factory=dict)
    epochs: Epochs = field(default_factory=lambda: np.empty(0, np.int64))
    stds: Floats = field(default_factory=lambda: np.empty((0, 0)))
    losses: Floats = field(default_factory=lambda: np.empty(0))
    facts: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    source: str = ""
    groups: tuple[str | None, ...] = ()

    @property
    def final(self) -> ScoreDistribution:
        """The distributions to report: recalibrated if available."""
        return self.recalibrated or self.answer


class Points(NamedTuple):
    """All test predictions of a method, concatenated over folds and seeds; each field is (n,).

    ``surprise`` is the absolute normal score of the true value under its prediction: 2 is as rare as two standard
    deviations; NaN for point predictions.
    """

    id: tuple[str, ...]
    fold: tuple[str, ...]
    seed: tuple[int, ...]
    true: Floats
    mean: Floats
    std: Floats
    low: Floats
    high: Floats
    pit: Floats
    surprise: Floats


class Stacked(NamedTuple):
    """Predicted means of n test samples of all folds: their (fold, id), true scores (n,), fold numbers (n,), groups,
    and means (seeds, n), NaN where a seed lacks a fold.
    """

    ids: tuple[tuple[str, str], ...]
    true: Floats
    fold: NDArray[np.int64]
    groups: tuple[str | None, ...]
    means: Floats


@dataclass(frozen=True)
class MethodResult:
    """All folds and seeds of one method.

    Attributes:
        label: name that distinguishes it from other methods.
        folds: its results, by seed and fold.
        rule: the rule that selected its epoch; a dash if there are no epochs.
        floor: whether it is a trivial baseline, for comparison.
    """

    label: str
    folds: tuple[FoldResult, ...]
    rule: str = "last"
    floor: bool = False

    @property
    def seeds(self) -> list[int]:
        """Seeds of its results, sorted."""
        return sorted({f.seed for f in self.folds})

    @property
    def recalibrated(self) -> bool:
        """Whether every fold was recalibrated."""
        return all(f.recalibrated is not None for f in self.folds)

    @cached_property
    def points(self) -> Points:
        """All test predictions, recalibrated if every fold is."""
        return _points(self, recalibrated=self.recalibrated)

    def answers(self, *, recalibrated: bool) -> list[ScoreDistribution]:
        """Return the predictions of each fold and seed."""
        return [f.final if recalibrated else f.answer for f in self.folds]

    @property
    def grouped(self) -> bool:
        """Whether test samples share a group, so that intervals resample groups."""
        return in_groups(self.stacked.fold, self.stacked.groups)

    @cached_property
    def values(self) -> tuple[float, float] | None:
        """The two values of the true scores, if there are only two."""
        return two_values(self.stacked.true)

    def row(self, span: float, *, recalibrated: bool = False) -> dict[str, Any]:
        """Return every metric as the mean over folds and seeds, and a 95 % bootstrap interval of Spearman.

        If all predictions of a fold are equal, its Spearman is undefined and counts as 0. Worked out once.
        """
        if (span, recalibrated) not in self._rows:
            self._rows[span, recalibrated] = self._row(span, recalibrated)
        return dict(self._rows[span, recalibrated])

    @cached_property
    def _rows(self) -> dict[tuple[float, bool], dict[str, Any]]:
        return {}

    def _row(self, span: float, recalibrated: bool) -> dict[str, Any]:
        answers = zip(self.answers(recalibrated=recalibrated), self.folds)
        found = average([evaluate(answer, fold.true, span, self.values) for answer, fold in answers])
        low, high = interval(self.draws)
        return {
            "method": self.label,
            "rule": self.rule,
            "intervals": "recalibrated" if recalibrated else "as predicted",
            "seeds": len(self.seeds),
            "folds": len({f.fold for f in self.folds}),
            "samples": len({(f.fold, i) for f in self.folds for i in f.ids}),
            "spearman": found.pop("spearman"),
            "low": low,
            "high": high,
            **found,
        }

    def rows(self, span: float) -> list[dict[str, Any]]:
        """Return the row as predicted and, if every fold is recalibrated, the recalibrated row."""
        return [self.row(span, recalibrated=r) for r in ((False, True) if self.recalibrated else (False,))]

    @property
    def epochs(self) -> Epochs:
        """The evaluated epochs (E,), counted from 0, the same for all folds and seeds."""
        return self.folds[0].epochs

    def curve(self, split: str) -> Floats:
        """Return Spearman (folds × seeds, E); empty if some run did not watch the split."""
        kept = [f.curves[split] for f in self.folds if split in f.curves]
        return np.stack(kept) if len(kept) == len(self.folds) else np.empty((0, 0))

    @property
    def stds(self) -> Floats:
        """Predicted standard deviations (E, n) of the test samples of all folds and seeds; empty without them."""
        return np.concatenate([f.stds for f in self.folds], axis=1) if self._epochs("stds") else np.empty((0, 0))

    @property
    def losses(self) -> Floats:
        """Training loss (folds × seeds, epochs); empty for methods without one."""
        return np.stack([f.losses for f in self.folds]) if self._epochs("losses") else np.empty((0, 0))

    def _epochs(self, name: str) -> int:
        """Return the number of epochs of which every fold has this; 0 if they differ."""
        found = {len(getattr(f, name)) for f in self.folds}
        return found.pop() if len(found) == 1 else 0

    def coverage(self, levels: Sequence[float], *, recalibrated: bool) -> Floats:
        """Return (L,) the fraction of all true scores inside the central intervals of these levels."""
        answers = self.answers(recalibrated=recalibrated)
        held = [[calibration.coverage(a, f.true, p) for p in levels] for a, f in zip(answers, self.folds)]
        return np.average(held, axis=0, weights=[len(f.ids) for f in self.folds])

    @cached_property
    def stacked(self) -> Stacked:
        """The predicted means of all seeds as a table."""
        first: dict[str, FoldResult] = {}
        for f in self.folds:
            first.setdefault(f.fold, f)
        names = list(first)
        fold = np.concatenate([np.full(len(f.ids), number) for number, f in enumerate(first.values())])
        means = np.full((len(self.seeds), len(fold)), np.nan)
        for f in self.folds:
            means[self.seeds.index(f.seed), fold == names.index(f.fold)] = f.answer.mean.double().numpy()
        ids = tuple((f.fold, i) for f in first.values() for i in f.ids)
        groups = tuple(group for f in first.values() for group in f.groups or (None,) * len(f.ids))
        return Stacked(ids, np.concatenate([f.true for f in first.values()]), fold, groups, means)

    @cached_property
    def draws(self) -> Floats:
        """Bootstrapped Spearman, over samples or groups within folds and over seeds; empty if a seed lacks a fold."""
        _, true, fold, groups, means = self.stacked
        return np.empty(0) if np.isnan(means).any() else comparison.resampled(spearman, true, means, fold, groups)


def _points(method: MethodResult, *, recalibrated: bool) -> Points:
    columns: dict[str, list[Floats]] = {n: [] for n in Points._fields[3:]}
    for answer, fold in zip(method.answers(recalibrated=recalibrated), method.folds):
        low, high = answer.interval(0.9)
        level = calibration.pit(answer, fold.true)
        score = np.array(fold.true)
        z = np.abs(answer.normal_score(as_tensor(answer, score)).double().numpy())
        silent = (answer.std == 0).numpy()
        found = [score, answer.mean, answer.std, low, high, level, np.where(silent, np.nan, z)]
        for name, values in zip(columns, found, strict=True):
            columns[name].append(np.asarray(values, dtype=np.float64))
    ids = tuple(i for f in method.folds for i in f.ids)
    folds = tuple(f.fold for f in method.folds for _ in f.ids)
    seeds = tuple(f.seed for f in method.folds for _ in f.ids)
    return Points(ids, folds, seeds, **{name: np.concatenate(parts) for name, parts in columns.items()})
