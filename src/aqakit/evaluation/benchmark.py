"""Benchmark methods over splits, seeds and selection rules, in one table.

If a method predicts the same score for all samples of a fold, its Spearman is undefined and counts as 0. The reported
epoch is selected after training, by the rules of :mod:`aqakit.evaluation.selection`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from aqakit import discovery
from aqakit.datasets.parts.loading import Dataset
from aqakit.datasets.parts.loading import load as load_dataset
from aqakit.errors import OptionError
from aqakit.evaluation import order
from aqakit.evaluation.judging import COLUMNS
from aqakit.evaluation.selection import PUBLISHED, RULES
from aqakit.evaluation.task import TaskBenchmark
from aqakit.metrics import comparison
from aqakit.metrics.accuracy import fisher_mean
from aqakit.metrics.bootstrap import interval, resampled_units
from aqakit.metrics.summary import TWO_VALUES, two_value_notes
from aqakit.system.files import user_path
from aqakit.system.wording import option
from aqakit.training import long_videos, people
from aqakit.training.data import one_task, prepare, prepare_labels
from aqakit.training.recipe import Recipe, label_notes, make_recipe
from aqakit.types import Floats

MEAN = "mean (Fisher z)"
"""Value of the ``task`` column in rows that are means over tasks."""

_NEARLY_ONE = 1 - 1e-6  # Spearman of a small resample may be ±1, whose Fisher z is infinite


@dataclass
class Table:
    """A table of results, to print or to write to a file.

    Attributes:
        rows: one per method, task and rule; all have the same keys.
        title: what was compared, and on which data.
        notes: notes on how to read the rows.
        details: columns that are written to files but not printed.
        metrics: the metric in each column that does not have its name.
        draws: resampled Spearman of honest rows, by (task, method); all methods of a task share the resamples.
        runs: run folders by (task, method); they are deleted if the benchmark was given no folder.
    """

    rows: list[dict[str, Any]]
    title: str
    notes: list[str] = field(default_factory=list)
    details: Sequence[str] = (
        "pearson",
        "rmse",
        "relative_l2_papers",
        "nll",
        "ece",
        "error_spread",
        "optimistic",
        "data",
        "root",
        "members",
        "labels",
        "spearman_by_fold_and_seed",
    )
    metrics: Mapping[str, str] = field(default_factory=dict)
    draws: dict[tuple[str, str], Floats] = field(default_factory=dict, repr=False)
    runs: dict[tuple[str, str], list[Path]] = field(default_factory=dict, repr=False)


def benchmark(
    dataset: str,
    *,
    backbones: Sequence[str],
    methods: Sequence[str],
    root: Path | str | None = None,
    task: str | None = None,
    protocol: str | None = None,
    rules: Sequence[str] = ("held-out",),
    seeds: int = 1,
    out: Path | str | None = None,
    cache: Path | str | None = None,
    floors: bool = True,
    calibrate_person: int = 0,
    **options: Any,
) -> Table:
    """Train every method on every fold with every seed, and evaluate them by every rule.

    Without methods and backbones, only the floors that need labels alone are evaluated.

    Args:
        dataset: name of the data set, with options as ``name:key=value``.
        backbones: names of the backbones, with options.
        methods: names of the methods, with options.
        root: path of the data set.
        task: one task; ``all`` for every task, and a Fisher-z mean row if there are several.
        protocol: name of the splits, or one of :data:`~aqakit.evaluation.selection.PUBLISHED`, which also sets rule
            and seeds.
        rules: names in :data:`~aqakit.evaluation.selection.RULES`.
        seeds: number of seeds, counted from 0.
        out: folder for the runs, so that an interrupted benchmark can resume; if None, a temporary one.
        cache: folder of the feature cache.
        floors: whether to add rows for the floors after those of the methods.
        calibrate_person: of each test person, the first so many samples with the highest score are given as known to
            be right and not judged: a protocol of its own, see :mod:`aqakit.training.people`.
        options: options of the run and of the training loop, the same for all methods.
    """
    if published := PUBLISHED.get(protocol or ""):
        protocol, rules, seeds = published.splits, [published.rule], published.seeds
    _check_names(methods, backbones, options)
    data, own = discovery.parse_spec(dataset)
    whole = load_dataset(data, root, **own)
    tasks: list[str | None] = [*whole.tasks] or [None] if task == "all" else [task]
    folds = [fold for name in tasks for fold in one_task(whole, name).folds(protocol)]
    if calibrate_person and (not methods or list(rules) != ["held-out"]):
        raise OptionError("calibrate_person needs methods, and the rule held-out alone")
    _check_rules(rules, options, fixed=all(fold.validation for fold in folds))
    recipes = {m: _recipe(m, dataset, backbones, root, {**options, "protocol": protocol}) for m in methods}
    table = Table([], f"{dataset}, {' + '.join(backbones) or 'floors'}")
    found: list[str] = []
    grouped = False
    with folder_of(out) as folder:
        for number, name in enumerate(tasks):
            chosen = {label: replace(recipe, task=name) for label, recipe in recipes.items()}
            bench = _bench(whole, name, chosen, cache, protocol, range(seeds), folder, number)
            bench.calibrate = calibrate_person
            found += _add(table, bench, chosen, rules, floors)
            grouped |= bench.grouped
    _same_columns(table.rows)
    for row in table.rows:
        row["labels"] = options.get("labels")
    if len(tasks) > 1:
        found += _add_means(table)
    if calibrate_person:
        found.append(
            f"{people.PROTOCOL}: of each test person {calibrate_person} right recordings are given, and judged in no "
            "row; rows of that name shift the person's answers by them."
        )
    if any(row.get("pairs") for row in table.rows):
        found.append(order.NOTE)
    table.notes = [*_notes(options, rules if methods else (), seeds, grouped), *found]
    return table


def _bench(
    whole: Dataset,
    task: str | None,
    recipes: Mapping[str, Recipe],
    cache: Path | str | None,
    protocol: str | None,
    seeds: range,
    folder: Path,
    number: int,
) -> TaskBenchmark:
    kept = user_path(cache) if cache else None
    own = list(recipes.values())
    prepared = prepare(own[0], kept, whole, own[1:]) if own else prepare_labels(one_task(whole, task))
    return TaskBenchmark(prepared, protocol or next(iter(prepared.dataset.splits)), seeds, folder, number)


def _add(
    table: Table, bench: TaskBenchmark, recipes: Mapping[str, Recipe], rules: Sequence[str], floors: bool
) -> list[str]:
    """Add the rows of one task; return notes on its labels and on differences within noise."""
    rows = [row for label, recipe in recipes.items() for row in bench.rows(label, recipe, rules)]
    if floors:
        rows += bench.floors(next(iter(recipes.values()), None))
    found = comparison.mark(rows, bench.draws)
    table.rows += rows
    table.draws |= {(bench.task, method): drawn for method, drawn in bench.draws.items()}
    table.runs |= {(bench.task, method): folders for method, folders in bench.runs.items()}
    said = two_value_notes(bench.judge.values)
    if bench.summarised:
        said = [*said, long_videos.note(f"long videos ({', '.join(bench.summarised)})")]
    return [*(f"{bench.task}: {note}" for note in [*said, *bench.notes]), *found]


def _same_columns(rows: Sequence[dict[str, Any]]) -> None:
    """Give all rows the columns that some tasks have."""
    for names in (TWO_VALUES, order.COLUMNS):
        if any(names[0] in row for row in rows):
            for row in rows:
                row |= {name: row.get(name) for name in names}


def _recipe(
    method: str, dataset: str, backbones: Sequence[str], root: Path | str | None, options: Mapping[str, Any]
) -> Recipe:
    name, own = discovery.parse_spec(method)
    recipe = make_recipe(name, data=dataset, backbone=backbones, root=root, **options, **own)
    if recipe.settings.patience:
        raise OptionError("patience stops folds at different epochs, and the rules of a table compare the same ones")
    return recipe


def _check_names(methods: Sequence[str], backbones: Sequence[str], options: Mapping[str, Any]) -> None:
    for kind, specs in (("methods", methods), ("backbones", backbones)):
        for spec in specs:
            discovery.file_of(kind, discovery.parse_spec(spec)[0])
    if bool(methods) != bool(backbones):
        kind = "method" if backbones else "backbone"
        raise OptionError(f"no {kind} was named; see `aqakit {kind}s`, or name neither to evaluate the floors only")
    if not methods and options:
        raise OptionError(f"{next(iter(options))}: floors have no such option; name methods and backbones")


def _check_rules(rules: Sequence[str], options: dict[str, Any], *, fixed: bool) -> None:
    """Check the rules, and set the one by which runs select; ``fixed``: whether the folds have validation samples."""
    for rule in rules:
        if rule not in RULES:
            raise OptionError(f"there is no selection rule {rule!r}{discovery.nearest(rule, RULES)}")
    if "best-validation" in rules:
        if len(rules) > 1:
            raise OptionError("best-validation trains on fewer samples than the other rules; use it alone")
        if not fixed and not float(options.get("validation", 0)):
            raise OptionError(f"best-validation needs held-out training samples; give {option('validation', 0.2)}")
        options["select"] = "best-validation"
    elif "held-out" not in rules:  # so that runs keep the epoch that is judged
        options["select"] = "last"


def _add_means(table: Table) -> list[str]:
    """Add the Fisher-z mean over tasks of every method and rule; return notes on differences within noise."""
    tasks = list(dict.fromkeys(row["task"] for row in table.rows))
    rows, draws = [], {}
    for method, rule in dict.fromkeys((r["method"], r["rule"]) for r in table.rows):
        own = [r for r in table.rows if (r["method"], r["rule"]) == (method, rule)]
        if len(own) < len(tasks) or any(r["spearman"] is None for r in own):
            continue
        blank = [n for n in own[0] if n in (*COLUMNS, *TWO_VALUES, *order.COLUMNS, "folds", "low", "high", "group")]
        row = {**own[0], **dict.fromkeys(blank), "task": MEAN}
        row["spearman"] = float(fisher_mean([r["spearman"] for r in own]))
        row["samples"] = sum(r["samples"] for r in own)
        row["spearman_by_fold_and_seed"] = None
        if all(r["low"] is not None for r in own):
            drawn = np.stack([table.draws[task, method] for task in tasks], axis=-1)
            draws[method] = fisher_mean(np.clip(drawn, -_NEARLY_ONE, _NEARLY_ONE))
            row["low"], row["high"] = interval(draws[method])
        rows.append(row)
    table.rows += rows
    table.draws |= {(MEAN, method): drawn for method, drawn in draws.items()}
    return comparison.mark(rows, draws)


def _notes(options: Mapping[str, Any], rules: Sequence[str], seeds: int, grouped: bool) -> list[str]:
    every = int(options.get("evaluate_every", 1))
    return [
        *label_notes(options.get("labels"), bool(options.get("transductive"))),
        "spearman: arithmetic mean over folds, then over seeds.",
        f"low, high: 95 % bootstrap over {resampled_units(grouped)} within folds{', and over seeds' * (seeds > 1)}.",
        *(["one seed: differences between seeds are not in the intervals."] if rules and seeds == 1 else []),
        "group: methods that share a letter do not differ beyond noise (the same bootstrap, paired; Holm, 5 %).",
        "folds: Spearman of each fold, mean over seeds. Points state no uncertainty: no coverage, width or NLL.",
        "relative l2: by the range of all scores; in the JSON also by that of the test scores of each fold, as "
        "published code has it (relative_l2_papers).",
        *(f"{name}: {RULES[name].meaning}." for name in rules),
        *([f"epochs: one in {every} was evaluated, and the last; rules choose among these."] if every > 1 else []),
    ]


@contextmanager
def folder_of(out: Path | str | None) -> Iterator[Path]:
    """Yield the folder for runs; a temporary one if ``out`` is None."""
    if out is not None:
        yield user_path(out)
        return
    with tempfile.TemporaryDirectory(prefix="aqakit-") as temporary:
        yield Path(temporary)
