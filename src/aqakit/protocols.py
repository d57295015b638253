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

from aqakit import comparison, datasets, discovery, floors, metrics
from aqakit.datasets import Dataset
from aqakit.distributions import Point, ScoreDistribution
from aqakit.errors import OptionError
from aqakit.floors import Inputs
from aqakit.material import Material, gather, labels_only, one_task
from aqakit.metrics.accuracy import fisher_mean, spearman
from aqakit.progress import track
from aqakit.recipe import Recipe, make_recipe, supervision
from aqakit.runs import Run, execute
from aqakit.selection import PUBLISHED, RULES, Floats
from aqakit.sources import Cached

Rows = NDArray[np.int64]


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
    draws: list[dict[str, Floats]] = []
    found: list[str] = []
    with _folder(out) as folder:
        for number, name in enumerate(chosen):
            made = replace(recipes[0], task=name) if recipes else None
            material = gather(made, kept, whole) if made else labels_only(one_task(whole, name))
            bench = _Bench(material, protocol or next(iter(material.dataset.splits)), range(seeds), folder, number)
            own_rows = [
                row for label, r in zip(methods, recipes) for row in bench.rows(label, replace(r, task=name), rules)
            ]
            own_rows += bench.floors(made)
            found += comparison.mark(own_rows, bench.draws)
            rows, draws = rows + own_rows, [*draws, bench.draws]
    if task == "all":
        means, of_means = _over_tasks(rows, draws)
        rows, found = rows + means, [*found, *of_means]
    notes = [*_notes(options, rules if methods else ()), *found]
    return Table(rows, f"{dataset}, {' + '.join(backbones) or 'floors'}", notes)


@dataclass
class _Bench:
    """One task: its material, its folds, its seeds, and a number that sets its resamples apart from other tasks'.

    Attributes:
        draws: for each method with an honest rule, and each floor, its resampled Spearman.
    """

    material: Material
    protocol: str
    seeds: range
    folder: Path
    number: int = 0
    draws: dict[str, Floats] = field(default_factory=dict)

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
            row = self._row(f"{label} (transductive)" if recipe.transductive else label, name, by_seed)
            if RULES[name].honest:
                answers = [[run.prediction("test") for run in by_fold] for by_fold in runs]
                truths = [run.truth("test") for run in runs[0]]
                row |= self._judged(row["method"], answers, truths)
            rows.append(row)
        return rows

    def floors(self, recipe: Recipe | None) -> list[dict[str, Any]]:
        """One row for each floor that these inputs allow, fitted on the labels that the methods see."""
        source = self.material.source
        features = source.everything if isinstance(source, Cached) else None
        lengths = np.array(self.material.lengths, dtype=float)
        inputs = floors.Inputs.of(features, source.samples, lengths, self.dataset.labels.rule)
        seeds = self.seeds if recipe and recipe.labels else range(1)
        cells = [self._fold_rows(recipe, seed) for seed in seeds]
        return [self._floor(label, answer, inputs, cells) for label, answer in floors.applicable(inputs).items()]

    def _floor(
        self, label: str, answer: Any, inputs: Inputs, cells: Sequence[Sequence[tuple[Rows, Rows]]]
    ) -> dict[str, Any]:
        """``cells`` (seeds, folds) are rows to fit to and to judge."""
        score = self._scores()
        answers = [
            [Point(torch.from_numpy(answer(inputs.rows(a), score[a], inputs.rows(b)))) for a, b in by_fold]
            for by_fold in cells
        ]
        truths = [score[test] for _, test in cells[0]]
        by_seed = np.array([[_ranked(t, a.mean.numpy()) for t, a in zip(truths, row)] for row in answers])
        return self._row(label, "–", by_seed) | self._judged(label, answers, truths)

    def _fold_rows(self, recipe: Recipe | None, seed: int) -> list[tuple[Rows, Rows]]:
        """Of each fold, the rows whose labels a run with that seed sees, and those it is judged on."""
        score, found = self._scores(), []
        for fold in (f for f in self.dataset.folds(self.protocol) if f.name in self.names):
            known: Sequence[str] = fold.train
            if recipe and recipe.labels:
                settings = replace(recipe.settings, seed=seed)
                one = replace(recipe, fold=fold.name, protocol=self.protocol, settings=settings)
                known = self.material.parts(one).known
            found.append((self._index(known, score), self._index(fold.test, score)))
        return found

    def _scores(self) -> Floats:
        """(n,) NaN where unlabelled."""
        return np.array([np.nan if s.score is None else s.score for s in self.material.source.samples])

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

    def _index(self, ids: Sequence[str], score: Floats) -> Rows:
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
            "group": None,
            "folds": [float(v) for v in by_seed.mean(0)],
            "spearman_by_fold_and_seed": by_seed.tolist(),
            **dict.fromkeys(_COLUMNS),
        }

    def _judged(
        self, label: str, answers: Sequence[Sequence[ScoreDistribution]], truths: Sequence[Floats]
    ) -> dict[str, Any]:
        """Interval and all metrics of the answers (seeds, folds) of an honest rule; metrics are means over both."""
        fold = np.concatenate([np.full(len(t), i) for i, t in enumerate(truths)])
        means = np.stack([np.concatenate([a.mean.numpy() for a in by_fold]) for by_fold in answers])  # (seeds, n)
        drawn = comparison.resampled(spearman, np.concatenate(truths), means, fold, seed=self.number)
        self.draws[label] = drawn
        low, high = metrics.interval(drawn)
        span = float(np.ptp([s.score for s in self.material.source.samples if s.score is not None]))
        found = [metrics.evaluate(a, t, span) for by_fold in answers for a, t in zip(by_fold, truths)]
        return {"low": low, "high": high} | {n: float(np.mean([f[n] for f in found])) for n in _COLUMNS}


_NEARLY_ONE = 1 - 1e-6  # a resample of few samples may rank as ±1, which Fisher's z makes infinite

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


def _over_tasks(
    rows: Sequence[Mapping[str, Any]], draws: Sequence[Mapping[str, Floats]]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Fisher-z mean row of every method and rule, and what is within noise among them.

    Args:
        rows: of all tasks.
        draws: of each task, the resampled Spearman of each method.
    """
    mean_rows, means = [], {}
    for method, rule in dict.fromkeys((r["method"], r["rule"]) for r in rows):
        own = [r for r in rows if (r["method"], r["rule"]) == (method, rule)]
        if len(own) < len(draws) or any(r["spearman"] is None for r in own):
            continue
        row = {**own[0], **dict.fromkeys((*_COLUMNS, "folds", "low", "high", "group")), "task": "mean (Fisher z)"}
        row["spearman"] = float(fisher_mean([r["spearman"] for r in own]))
        row["samples"] = sum(r["samples"] for r in own)
        row["spearman_by_fold_and_seed"] = None
        if all(r["low"] is not None for r in own):
            drawn = np.stack([one[method] for one in draws], axis=-1)
            means[method] = fisher_mean(np.clip(drawn, -_NEARLY_ONE, _NEARLY_ONE))
            row["low"], row["high"] = metrics.interval(means[method])
        mean_rows.append(row)
    return mean_rows, comparison.mark(mean_rows, means)


def _notes(options: Mapping[str, Any], rules: Sequence[str]) -> list[str]:
    return [
        *supervision(options.get("labels"), bool(options.get("transductive"))),
        "spearman: arithmetic mean over folds, then over seeds.",
        "low, high: 95 % bootstrap over test samples within folds, and over seeds.",
        "group: methods that share a letter do not differ beyond noise (the same bootstrap in pairs, Holm, 5 %).",
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
