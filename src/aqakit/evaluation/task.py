"""One task of a benchmark: every method on every fold with every seed, by every selection rule, and the floors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aqakit.datasets.parts.loading import Dataset
from aqakit.errors import OptionError
from aqakit.evaluation import floors, person
from aqakit.evaluation.floors import Inputs
from aqakit.evaluation.judging import Judge, Rows
from aqakit.evaluation.selection import KEPT, RULES
from aqakit.metrics.bootstrap import in_groups
from aqakit.scores.distributions import Point, ScoreDistribution
from aqakit.system.files import folder_name
from aqakit.system.progress import track
from aqakit.training import comparisons, long_videos, people
from aqakit.training.batches import CachedFeatures
from aqakit.training.data import PreparedData
from aqakit.training.recipe import Recipe
from aqakit.training.run import Run
from aqakit.training.train import execute
from aqakit.training.trust import failures
from aqakit.types import Floats, Split


@dataclass(frozen=True)
class Cell:
    """What a floor is fitted on, training rows with their scores, which pairs may have rated; and its test rows."""

    train: Rows
    score: Floats
    test: Rows
    rated: bool


@dataclass
class TaskBenchmark:
    """One task: its prepared data, protocol, seeds and run folder.

    Attributes:
        number: seed of the bootstrap, different for each task.
        calibrate: recordings of each test person that are given as known to be right, and not judged.
        draws: resampled Spearman of each method with an honest rule, and of each floor.
        runs: run folders of each method.
        summarised: methods of which a run summarised long videos without being told to.
        notes: what else a reader must know.
    """

    prepared: PreparedData
    protocol: str
    seeds: range
    folder: Path
    number: int = 0
    calibrate: int = 0
    draws: dict[str, Floats] = field(default_factory=dict)
    runs: dict[str, list[Path]] = field(default_factory=dict)
    summarised: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def dataset(self) -> Dataset:
        """The data set of this task."""
        return self.prepared.dataset

    @property
    def task(self) -> str:
        """The name of the task in tables."""
        return self.dataset.tasks[0] if len(self.dataset.tasks) == 1 else self.dataset.name

    @cached_property
    def judge(self) -> Judge:
        """What judges predictions of its test samples."""
        return Judge(self.prepared, self.folds, self.number, self.draws)

    @cached_property
    def grouped(self) -> bool:
        """Whether test samples share a group, so that intervals resample groups."""
        samples = [(f.name, s) for f in self.folds for s in self.prepared.subset(f.test).samples if s.score is not None]
        return in_groups([name for name, _ in samples], [s.group for _, s in samples])

    @cached_property
    def folds(self) -> list[Split]:
        """The folds with at least two test samples; with fewer there is nothing to rank."""
        found = self.dataset.folds(self.protocol)
        return [f for f in found if len(self.prepared.subset(f.test)) - len(self._not_judged(f)) > 1]

    def given(self, fold: Split) -> dict[str, list[str]]:
        """Test samples given as known to be right, by person; none unless people are calibrated."""
        if not self.calibrate:
            return {}
        known = [s.score for s in self.prepared.subset(fold.train).samples if s.score is not None]
        if not known:
            raise OptionError(f"calibrate_person needs scores, and {self.task} has none")
        top = max(known)
        return person.known_right(self.prepared.subset(fold.test).samples, top, self.calibrate)

    def _not_judged(self, fold: Split) -> set[str]:
        return {sample for ids in self.given(fold).values() for sample in ids}

    def rows(self, label: str, recipe: Recipe, rules: Sequence[str]) -> list[dict[str, Any]]:
        """Return one row of one method for each rule."""
        runs = self._runs(label, recipe)
        shown = named(label, recipe.transductive)
        self.runs[shown] = [run.folder for by_fold in runs for run in by_fold]
        if recipe.summarise == "auto" and any(run.recipe.windows for by_fold in runs for run in by_fold):
            self.summarised.append(shown)
        known = [run.trust for by_fold in runs for run in by_fold if run.trust]
        self.notes += [f"{shown}: {sentence}." for sentence in failures(known)]
        if self.calibrate:
            return [self._of_people(shown, runs, rules[0], shifted=shifted) for shifted in (False, True)]
        if not self.judge.ranked and (bad := [name for name in rules if not RULES[name].honest]):
            raise OptionError(f"rule {bad[0]} looks at test scores, and {self.task} has none; use held-out or last")
        rows = []
        for name in rules:
            curves = np.stack([[self._curve(run) for run in by_fold] for by_fold in runs])  # (seeds, folds, epochs)
            epochs = np.array(runs[0][0].evaluated("test"))
            if name in KEPT:
                kept = [[run.description["epoch"] for run in by_fold] for by_fold in runs]
                by_seed = np.take_along_axis(curves, np.searchsorted(epochs, kept)[..., None], axis=2)[..., 0]
            else:
                by_seed = np.stack([c[:, RULES[name].choose(c, epochs)].mean(1) for c in curves])
            row = self._row(shown, name, by_seed, _members(runs))
            if RULES[name].honest:
                answers = [[_answer(run, name) for run in by_fold] for by_fold in runs]
                tested = [self.judge.rows(run.ids("test")) for run in runs[0]]
                row |= self.judge.judged(shown, answers, tested, units=not runs[0][0].rated)
            rows.append(row)
        return rows

    def _of_people(self, label: str, runs: Sequence[Sequence[Run]], rule: str, *, shifted: bool) -> dict[str, Any]:
        """Return the row of a method on what is judged of each person, shifted by what is given or not."""
        answers, tested = [], []
        for fold, run in zip(self.folds, runs[0], strict=True):
            left_out = self._not_judged(fold)
            tested.append(self.judge.scored([i for i in run.ids("test") if i not in left_out]))
        names = [[self.prepared.source.samples[i].id for i in rows] for rows in tested]
        for by_fold in runs:
            moved = [
                person.shifts(run, self.prepared, self.given(fold)) if shifted else None
                for fold, run in zip(self.folds, by_fold, strict=True)
            ]
            answers.append(
                [
                    person.answers(run, self.prepared, ids, by)
                    for run, ids, by in zip(by_fold, names, moved, strict=True)
                ]
            )
        by_seed = [[self.judge.rank(t, a.mean.numpy()) for t, a in zip(tested, row, strict=True)] for row in answers]
        label += f" ({people.PROTOCOL})" * shifted
        return self._row(label, rule, np.array(by_seed), _members(runs)) | self.judge.judged(label, answers, tested)

    def floors(self, recipe: Recipe | None) -> list[dict[str, Any]]:
        """Return one row for each floor that can be computed, fitted on the samples that the methods are trained on."""
        source = self._read(recipe).source
        features = source.all_rows if isinstance(source, CachedFeatures) and source.in_memory else None
        if isinstance(source, CachedFeatures) and not source.in_memory:
            self.notes.append("no floor learns from features, since they do not fit in memory")
        lengths = np.array(self.prepared.lengths, dtype=float)
        inputs = floors.Inputs.of(features, source.samples, lengths, self.dataset.labels.rule)
        seeds = self.seeds if recipe and (recipe.labels or recipe.validation) else range(1)
        cells = [self._fold_rows(recipe, seed) for seed in seeds]
        return [self._floor(label, answer, inputs, cells) for label, answer in floors.applicable(inputs).items()]

    def _read(self, recipe: Recipe | None) -> PreparedData:
        """The data as a run on the first fold reads them."""
        if recipe is None or not self.folds:
            return self.prepared
        cell = self._cell(recipe, self.seeds[0], self.folds[0].name)
        return long_videos.settle(cell, self.prepared, self.prepared.split(cell))[1]

    def _floor(self, label: str, answer: Any, inputs: Inputs, cells: Sequence[Sequence[Cell]]) -> dict[str, Any]:
        """Return the row of a floor on its cells (seeds, folds)."""
        answers = [
            [Point(torch.from_numpy(answer(inputs.rows(c.train), c.score, inputs.rows(c.test)))) for c in by_fold]
            for by_fold in cells
        ]
        tested = [cell.test for cell in cells[0]]
        by_seed = np.array([[self.judge.rank(t, a.mean.numpy()) for t, a in zip(tested, row)] for row in answers])
        judged = self.judge.judged(label, answers, tested, units=not cells[0][0].rated)
        return self._row(label, "–", by_seed) | judged

    def _fold_rows(self, recipe: Recipe | None, seed: int) -> list[Cell]:
        """Return, for each fold, the labelled training rows of a run with that seed, and the test rows."""
        found = []
        for fold in self.folds:
            known: Sequence[str] = fold.train
            rated = comparisons.scores_of(self.prepared.subset(known).samples, self.dataset.pairs)
            if recipe:
                split = self.prepared.split(self._cell(recipe, seed, fold.name))
                known, rated = split.labelled, comparisons.ratings(split.pairs) if split.rated else {}
            train = self.judge.rows(list(rated)) if rated else self.judge.scored(known)
            score = np.array(list(rated.values())) if rated else self.judge.score[train]
            left_out = self._not_judged(fold)
            test = self.judge.tested([i for i in fold.test if i not in left_out])
            found.append(Cell(train, score, test, bool(rated)))
        return found

    def _runs(self, label: str, recipe: Recipe) -> list[list[Run]]:
        cells = [(seed, fold.name) for seed in self.seeds for fold in self.folds]
        task = recipe.task or self.dataset.name
        own = self.folder / task / folder_name(label)
        runs = []
        for seed, fold in track(cells, f"{task} {label}"):
            folder = own / f"{folder_name(fold)}-seed{seed}"
            runs.append(execute(self._cell(recipe, seed, fold), self.prepared, folder))
        return [runs[i : i + len(self.folds)] for i in range(0, len(runs), len(self.folds))]

    def _cell(self, recipe: Recipe, seed: int, fold: str) -> Recipe:
        settings = replace(recipe.settings, seed=seed)
        return replace(recipe, fold=fold, protocol=self.protocol, settings=settings)

    def _curve(self, run: Run) -> Floats:
        """Return (epochs,) Spearman on the test split."""
        return self.judge.rank(self.judge.rows(run.ids("test")), np.stack([d.mean.numpy() for d in run.epochs("test")]))

    def _row(self, label: str, rule: str, by_seed: Floats, members: int | None = None) -> dict[str, Any]:
        """Return a row without metrics but Spearman; ``by_seed`` is Spearman (seeds, folds)."""
        honest = rule not in RULES or RULES[rule].honest
        return {
            "method": label,
            "data": self.dataset.name,
            "root": str(self.dataset.root) if self.dataset.root else None,
            "task": self.task,
            "protocol": self.protocol + f"+{people.PROTOCOL}" * bool(self.calibrate),
            "rule": rule if honest else f"{rule} (optimistic)",
            "optimistic": not honest,
            "seeds": len(by_seed) if rule in RULES else None,
            "members": members,
            "samples": sum(
                len(self.prepared.subset(f.test)) - len(self._not_judged(f)) for f in self.dataset.folds(self.protocol)
            ),
            "spearman": float(by_seed.mean()) if self.judge.ranked and np.isfinite(by_seed).all() else None,
            "low": None,
            "high": None,
            "group": None,
            "folds": [float(v) for v in by_seed.mean(0)] if self.judge.ranked else None,
            "spearman_by_fold_and_seed": by_seed.tolist() if self.judge.ranked else None,
            **dict.fromkeys(self.judge.columns),
        }


def _answer(run: Run, rule: str) -> ScoreDistribution:
    """The answers of the epoch that a rule names; calibrated if members held samples out and this epoch was kept."""
    if rule == "last" and run.description["epoch"] != run.evaluated("test")[-1]:
        return run.epochs("test")[-1]
    return run.prediction("test", recalibrated=bool(run.recipe.members > 1))


def _members(runs: Sequence[Sequence[Run]]) -> int | None:
    """Return how many members each run has; None if folds differ in it."""
    found = {run.recipe.members for by_fold in runs for run in by_fold}
    return found.pop() if len(found) == 1 else None


def named(label: str, transductive: bool) -> str:
    """Return the name of a method in tables."""
    return f"{label} (transductive)" if transductive else label
