"""Splits × selection rules × seeds → one honest table.

A fold on which a method answers one constant for all ranks nothing: its Spearman counts as 0. Which epoch counts is
decided after the fact, by the rules of :mod:`aqakit.selection`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aqakit import datasets, discovery, floors, metrics
from aqakit.datasets import Dataset
from aqakit.distributions import Point, ScoreDistribution
from aqakit.errors import OptionError
from aqakit.material import Material, gather, labels_only, one_task
from aqakit.metrics.accuracy import fisher_mean, spearman
from aqakit.progress import track
from aqakit.recipe import Recipe, make_recipe
from aqakit.runs import Run, execute
from aqakit.selection import PUBLISHED, RULES, Floats
from aqakit.sources import Cached


@dataclass
class Table:
    """Rows for people and programs.

    Attributes:
        rows: one per method, task and rule; all have the same keys.
        title: what was compared on what.
        notes: what must be known to read the rows.
        details: columns that are written to files and not printed.
    """

    rows: list[dict[str, Any]]
    title: str
    notes: list[str] = field(default_factory=list)
    details: Sequence[str] = (
        "pearson",
        "rmse",
        "nll",
        "ece",
        "error_spread",
        "optimistic",
        "spearman_by_fold_and_seed",
    )


def benchmark(
    dataset: str,
    *,
    backbones: Sequence[str],
    methods: Sequence[str],
    root: Path | str | None = None,
    task: str | None = None,
    protocol: str | None = None,
    rules: Sequence[str] = ("last",),
    seeds: int = 1,
    out: Path | str | None = None,
    cache: Path | str | None = None,
    **options: Any,
) -> Table:
    """Train every method on every fold with every seed, and judge them by every rule.

    Without methods and backbones, only the floors that labels alone allow.

    Args:
        dataset: its name, with options as ``name:key=value``.
        backbones: their names, with options.
        methods: their names, with options.
        root: where the data set is.
        task: one task; ``all`` for each of them and a Fisher-z mean row.
        protocol: name of the splits, or one of :data:`PUBLISHED`, which also sets rule and seeds.
        rules: names in :data:`RULES`.
        seeds: how many, counted from 0.
        out: folder for the runs, so that a stopped benchmark goes on; a temporary one where None.
        cache: where features are kept.
        options: of the run and of the loop, the same for all methods.
    """
    if published := PUBLISHED.get(protocol or ""):
        protocol, rules, seeds = published.splits, [published.rule], published.seeds
    _check_names(methods, backbones, options)
    _check_rules(rules, options)
    recipes = [_recipe(m, dataset, backbones, root, {**options, "protocol": protocol}) for m in methods]
    data, own = discovery.parse_spec(dataset)
    whole = datasets.load(data, root, **own)
    chosen = whole.tasks if task == "all" else [task]
    kept = Path(cache) if cache else None
    rows: list[dict[str, Any]] = []
    with _folder(out) as folder:
        for name in chosen:
            made = replace(recipes[0], task=name) if recipes else None
            material = gather(made, kept, whole) if made else labels_only(one_task(whole, name))
            bench = _Bench(material, protocol or next(iter(material.dataset.splits)), range(seeds), folder)
            for label, recipe in zip(methods, recipes):
                rows += bench.rows(label, replace(recipe, task=name), rules)
            rows += bench.floors()
    if task == "all":
        rows += _over_tasks(rows, len(chosen))
    return Table(rows, f"{dataset}, {' + '.join(backbones) or 'floors'}", _notes(rows, rules if methods else ()))


@dataclass
class _Bench:
    """One task: its material, its folds and its seeds."""

    material: Material
    protocol: str
    seeds: range
    folder: Path

    @property
    def dataset(self) -> Dataset:
        return self.material.dataset

    @property
    def names(self) -> list[str]:
        """The folds that have something to test on: at least two samples, or there is nothing to rank."""
        return [f.name for f in self.dataset.folds(self.protocol) if len(self.material.part(f.test)) > 1]

    def rows(self, label: str, recipe: Recipe, rules: Sequence[str]) -> list[dict[str, Any]]:
        """One row for each rule of one method."""
        runs = self._runs(label, recipe)
        rows = []
        for name in rules:
            curves = np.stack([[_curve(run) for run in by_fold] for by_fold in runs])  # (seeds, folds, epochs)
            epochs = [RULES[name].choose(c) for c in curves]
            if name == "best-validation":
                picked = [[c[run.description["epoch"]] for c, run in zip(*pair)] for pair in zip(curves, runs)]
                by_seed = np.array(picked)
            else:
                by_seed = np.stack([c[:, e].mean(1) for c, e in zip(curves, epochs)])
            row = self._row(label, name, by_seed)
            if RULES[name].honest:
                answers = [[run.prediction("test") for run in by_fold] for by_fold in runs]
                truths = [run.truth("test") for run in runs[0]]
                row |= self._judged(answers, truths)
            rows.append(row)
        return rows

    def floors(self) -> list[dict[str, Any]]:
        """One row for each floor that these inputs allow."""
        source = self.material.source
        features = source.everything if isinstance(source, Cached) else None
        lengths = np.array(self.material.lengths, dtype=float)
        inputs = floors.Inputs.of(features, source.samples, lengths, self.dataset.labels.rule)
        score = np.array([np.nan if s.score is None else s.score for s in source.samples])
        rows = []
        for label, answer in floors.applicable(inputs).items():
            answers, truths = [], []
            for fold in (f for f in self.dataset.folds(self.protocol) if f.name in self.names):
                train, test = self._index(fold.train, score), self._index(fold.test, score)
                predicted = answer(inputs.rows(train), score[train], inputs.rows(test))
                answers.append(Point(torch.from_numpy(predicted)))
                truths.append(score[test])
            by_fold = np.array([[_ranked(t, a.mean.numpy()) for t, a in zip(truths, answers)]])
            rows.append(self._row(label, "–", by_fold) | self._judged([answers], truths))
        return rows

    def _runs(self, label: str, recipe: Recipe) -> list[list[Run]]:
        cells = [(seed, fold) for seed in self.seeds for fold in self.names]
        task = recipe.task or self.dataset.name
        runs = []
        for seed, fold in track(cells, f"{task} {label}"):
            settings = replace(recipe.settings, seed=seed)
            one = replace(recipe, fold=fold, protocol=self.protocol, settings=settings)
            runs.append(
                execute(one, self.material, self.folder / task / label.replace(":", ",") / f"{fold}-seed{seed}")
            )
        return [runs[i : i + len(self.names)] for i in range(0, len(runs), len(self.names))]

    def _index(self, ids: Sequence[str], score: Floats) -> NDArray[np.int64]:
        wanted = set(ids)
        return np.array(
            [i for i, s in enumerate(self.material.source.samples) if s.id in wanted and score[i] == score[i]]
        )

    def _row(self, label: str, rule: str, by_seed: Floats) -> dict[str, Any]:
        """``by_seed`` (seeds, folds) Spearman."""
        honest = rule not in RULES or RULES[rule].honest
        return {
            "method": label,
            "task": self.dataset.tasks[0] if len(self.dataset.tasks) == 1 else self.dataset.name,
            "protocol": self.protocol,
            "rule": rule if honest else f"{rule} (optimistic)",
            "optimistic": not honest,
            "seeds": len(by_seed) if rule in RULES else None,
            "samples": sum(len(self.material.part(f.test)) for f in self.dataset.folds(self.protocol)),
            "spearman": float(by_seed.mean()) if np.isfinite(by_seed).all() else None,
            "low": None,
            "high": None,
            "folds": [float(v) for v in by_seed.mean(0)],
            "spearman_by_fold_and_seed": by_seed.tolist(),
            **dict.fromkeys(_COLUMNS),
        }

    def _judged(self, answers: Sequence[Sequence[ScoreDistribution]], truths: Sequence[Floats]) -> dict[str, Any]:
        """Interval and all metrics of the answers (seeds, folds) of an honest rule; metrics are means over both."""
        fold = np.concatenate([np.full(len(t), i) for i, t in enumerate(truths)])
        true = np.concatenate(truths)
        means = np.stack([np.concatenate([a.mean.numpy() for a in by_fold]) for by_fold in answers])  # (seeds, n)

        def over_seeds(t: Floats, drawn: Floats) -> Floats:
            found: Floats = np.mean([spearman(t, m[drawn.astype(int)]) for m in means], axis=0)
            return found

        low, high = metrics.bootstrap_interval(over_seeds, true, np.arange(len(true)), fold)
        span = float(np.ptp([s.score for s in self.material.source.samples if s.score is not None]))
        found = [metrics.evaluate(a, t, span) for by_fold in answers for a, t in zip(by_fold, truths)]
        return {"low": low, "high": high} | {n: float(np.mean([f[n] for f in found])) for n in _COLUMNS}


_NEARLY_ONE = 1 - 1e-6  # the ends of an interval over few samples may be ±1, which Fisher's z makes infinite

_COLUMNS = (
    "kendall", "pearson", "mae", "rmse", "relative_l2", "nll", "crps", "coverage_90", "width_90", "ece", "error_spread",
)  # fmt: skip


def _curve(run: Run) -> Floats:
    """(epochs,) Spearman on the test split."""
    means = np.stack([d.mean.numpy() for d in run.epochs("test")])
    return np.nan_to_num(spearman(run.truth("test")[None], means))


def _ranked(true: Floats, predicted: Floats) -> float:
    return float(np.nan_to_num(spearman(true, predicted)))


def _recipe(
    method: str, dataset: str, backbones: Sequence[str], root: Path | str | None, options: Mapping[str, Any]
) -> Recipe:
    name, own = discovery.parse_spec(method)
    return make_recipe(name, data=dataset, backbone=backbones, root=root, **options, **own)


def _check_names(methods: Sequence[str], backbones: Sequence[str], options: Mapping[str, Any]) -> None:
    if bool(methods) != bool(backbones):
        kind = "method" if backbones else "backbone"
        raise OptionError(f"no {kind} was named; see `aqakit {kind}s`, or name neither for the floors alone")
    if not methods and options:
        raise OptionError(f"{next(iter(options))}: floors alone have no such option; name methods and backbones")


def _check_rules(rules: Sequence[str], options: dict[str, Any]) -> None:
    for rule in rules:
        if rule not in RULES:
            raise OptionError(f"there is no selection rule {rule!r}{discovery.nearest(rule, RULES)}")
    if "best-validation" in rules:
        if len(rules) > 1:
            raise OptionError("best-validation trains on fewer samples than the other rules; ask for it alone")
        if not float(options.get("validation", 0)):
            raise OptionError("best-validation needs held-out training samples; give --validation 0.2")
        options["select"] = "best-validation"


def _over_tasks(rows: Sequence[Mapping[str, Any]], tasks: int) -> list[dict[str, Any]]:
    """Fisher-z mean row of every method and rule; intervals are combined on the z scale."""
    mean_rows = []
    for method, rule in dict.fromkeys((r["method"], r["rule"]) for r in rows):
        own = [r for r in rows if (r["method"], r["rule"]) == (method, rule)]
        if len(own) < tasks or any(r["spearman"] is None for r in own):
            continue
        row = {**own[0], **dict.fromkeys(_COLUMNS), "task": "mean (Fisher z)", "folds": None, "low": None, "high": None}
        row["spearman"] = float(fisher_mean([r["spearman"] for r in own]))
        row["samples"] = sum(r["samples"] for r in own)
        row["spearman_by_fold_and_seed"] = None
        if all(r["low"] is not None for r in own):
            ends = np.arctanh(np.clip([[r["low"], r["high"]] for r in own], -_NEARLY_ONE, _NEARLY_ONE))  # (tasks, 2)
            half = np.sqrt((np.diff(ends) ** 2).sum()) / 2 / tasks
            z = np.arctanh(np.clip(row["spearman"], -_NEARLY_ONE, _NEARLY_ONE))
            row["low"], row["high"] = float(np.tanh(z - half)), float(np.tanh(z + half))
        mean_rows.append(row)
    return mean_rows


def _notes(rows: Sequence[Mapping[str, Any]], rules: Sequence[str]) -> list[str]:
    return [
        "spearman: arithmetic mean over folds, then over seeds.",
        "low, high: 95 % bootstrap over test samples within folds.",
        "folds: Spearman of each fold, mean over seeds. A point answer has coverage 0: it states no uncertainty.",
        *(f"{name}: {RULES[name].meaning}." for name in rules),
    ]


@contextmanager
def _folder(out: Path | str | None) -> Iterator[Path]:
    if out is not None:
        yield Path(out)
        return
    with tempfile.TemporaryDirectory(prefix="aqakit-") as temporary:
        yield Path(temporary)
