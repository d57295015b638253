"""Evaluate a finished run on its watched splits, or any file of predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aqakit.datasets.parts.loading import Dataset
from aqakit.datasets.parts.pairs import Pair
from aqakit.errors import DataError, OptionError
from aqakit.evaluation import order, predictions
from aqakit.evaluation.predictions import Predictions
from aqakit.metrics.accuracy import spearman, two_values
from aqakit.metrics.bootstrap import Groups, bootstrap_interval, in_groups, resampled_units
from aqakit.metrics.summary import evaluate, two_value_notes
from aqakit.scores.distributions import ScoreDistribution
from aqakit.training import run_files
from aqakit.training.recipe import label_notes
from aqakit.training.run import Run
from aqakit.training.run_files import LEVEL

DETAILS = (
    "coverage_50", "coverage_80", "coverage_95", "width_50", "width_80", "width_95", "error_spread_bins", "risk_area",
    "relative_l2_papers",
)  # fmt: skip
"""Columns that are written to files but not printed."""

RANKS = ("samples", "spearman", "low", "high", "kendall", "pearson")
"""Columns that do not depend on the units of the true scores."""

_COLUMNS = (
    f"coverage and width of {LEVEL:.0%} intervals: points state no uncertainty, so they have none; relative l2 is × "
    "100, in the JSON also by the range of the true scores, as published code has it (relative_l2_papers); otherwise"
)


NOTHING_HELD_OUT = (
    "Every scored sample was trained on, so nothing can be measured: --members 5 or --validation SHARE holds some out."
)


def evaluate_run(run: Run, pairs: Sequence[Pair] | None = None) -> tuple[list[dict[str, Any]], list[str]]:
    """Return a row for each watched split, as predicted and recalibrated, and notes for the table.

    Args:
        run: a finished run.
        pairs: comparisons to judge it by; those of its data set if None.

    Raises:
        OptionError: there are pairs, but none of two samples of the run's splits.
    """
    rows, ordered = [], order.of_run(run, run.pairs if pairs is None else pairs)
    if pairs is not None and not ordered:
        raise OptionError(f"none of the {len(pairs)} pairs is of two samples that {run.folder} was judged on")
    for split in run.splits():
        told = order.cells(ordered[split]) if split in ordered else {}
        rows.append(_row(run, split, recalibrated=False) | told)
        if run.recalibration and split == "test":
            rows.append(_row(run, split, recalibrated=True))
    if order.ACROSS in ordered:
        rows.append({"split": order.ACROSS, **order.cells(ordered[order.ACROSS])})
    said = [order.NOTE] * bool(ordered) + [order.ACROSS_NOTE] * (order.ACROSS in ordered)
    return rows, [*_notes(run), *said]


def floors_of(run: Run) -> tuple[list[dict[str, Any]], list[str]]:
    """Return rows of the floors on the samples that were not trained on, and whether the run is worth more."""
    trust = run.trust
    if trust is None:
        return [], []
    found = {"floor: constant": trust.mae_constant, "floor: length only": trust.mae_length}
    shared = {"split": trust.split, "samples": trust.samples}
    rows = [{**shared, "intervals": name, "mae": mae} for name, mae in found.items() if mae is not None]
    return rows, trust.sentences()


def evaluate_file(file: Path, span: float | None = None) -> tuple[list[dict[str, Any]], list[str]]:
    """Evaluate a CSV of predictions in the format of :mod:`aqakit.evaluation.predictions`; returns rows and notes.

    Args:
        file: the CSV.
        span: highest minus lowest possible score; if None, the range of the file's true scores.

    Raises:
        DataError: the file has faults, or some part has fewer than two true scores.
        OptionError: the span is not above 0.
    """
    return _evaluate(file, predictions.read(file), span)


def evaluate_test(
    file: Path, dataset: Dataset, protocol: str | None = None, span: float | None = None
) -> tuple[list[dict[str, Any]], list[str]]:
    """Evaluate predictions of a data set's test samples, by id or in their order; returns rows and notes.

    Args:
        file: a table of predictions, or an array or list of them.
        dataset: the data set.
        protocol: name of the splits; the first if None.
        span: as in :func:`evaluate_file`.

    Raises:
        DataError: as :func:`evaluate_file`; or the predictions are not those of the test samples.
        OptionError: there is no such protocol, or it has several folds.
    """
    folds = dataset.folds(protocol)
    if len(folds) > 1:
        raise OptionError(
            f"{dataset.name}: {protocol or 'its protocol'} has {len(folds)} folds; give one CSV file with the columns "
            "id, true, mean and fold, without --data"
        )
    known = {sample.id: sample for sample in dataset.samples}
    return _evaluate(file, [predictions.of_test(file, [known[name] for name in folds[0].test])], span)


def _evaluate(file: Path, parts: Sequence[Predictions], span: float | None) -> tuple[list[dict[str, Any]], list[str]]:
    if span is not None and not span > 0:
        raise OptionError(f"span {span:g}: highest minus lowest possible score must be above 0")
    if short := [p.part or "the file" for p in parts if len(p.ids) < 2]:
        raise DataError(f"{file}: {', '.join(short)} has one row with a true score; nothing can be ranked")
    true = np.concatenate([p.true for p in parts])
    span = span if span is not None else float(np.ptp(true)) or 1.0
    values = two_values(true)
    rows = [{"split": p.part or "all", **_judged(p.distribution, p.true, p.groups, span, values)} for p in parts]
    notes = [f"{_COLUMNS} span {span:g}.", _intervals([p.groups for p in parts]), *two_value_notes(values)]
    return rows, notes


def facts_of(run: Run) -> dict[str, Any]:
    """Return how the numbers of a run were made, for the caption of a table."""
    recipe = run.recipe
    return {
        "protocol": run.protocol,
        "fold": recipe.fold,
        "rule": recipe.settings.select,
        "seed": recipe.settings.seed,
        "members": recipe.members,
    }


def describe_run(run: Run) -> list[dict[str, Any]]:
    """Return metrics of attributes and captions for each watched split; empty if there are neither."""
    judged = {split: found["judged"] for split, found in run_files.read_descriptions(run.folder).items()}
    return [{"split": split, "samples": len(run.ids(split)), **row} for split, row in judged.items() if row]


def examples(run: Run, count: int) -> list[str]:
    """Return predicted and true captions of the first test samples."""
    samples = run_files.read_descriptions(run.folder).get("test", {}).get("samples", [])
    return [f"{s['id']}: {s['caption']} (true: {s['true_caption']})" for s in samples if "caption" in s][:count]


def _row(run: Run, split: str, *, recalibrated: bool) -> dict[str, Any]:
    answer, true = run.prediction(split, recalibrated=recalibrated), run.truth(split)
    row = {"split": split, "intervals": "recalibrated" if recalibrated else "as predicted", "samples": len(true)}
    known = ~np.isnan(true)
    if known.sum() < 2:
        return row
    groups = [group for group, k in zip(run.groups(split), known, strict=True) if k]
    judged = _judged(answer.select(torch.from_numpy(known)), true[known], groups, run.labels.scale.span, _values(run))
    if run.rated and split == "test":  # its scores are in other units
        judged = {name: value for name, value in judged.items() if name in RANKS}
    return row | judged


def _judged(
    answer: ScoreDistribution, true: np.ndarray, groups: Groups, span: float, values: tuple[float, float] | None
) -> dict[str, Any]:
    found = evaluate(answer, true, span, values)
    known = not np.isnan(found["spearman"])
    low, high = bootstrap_interval(spearman, true, answer.mean.numpy(), groups=groups) if known else (np.nan, np.nan)
    return {"samples": len(true), "spearman": found.pop("spearman"), "low": low, "high": high, **found}


def _values(run: Run) -> tuple[float, float] | None:
    """Return the two values of the true scores that the run shows, if there are only two."""
    return two_values(np.concatenate([run.truth(split) for split in run.splits()]))


def _intervals(splits: Sequence[Groups]) -> str:
    """Return what the intervals resample."""
    return f"low, high: 95 % bootstrap over {resampled_units(any(in_groups([0] * len(g), g) for g in splits))}."


def _notes(run: Run) -> list[str]:
    epoch, settings = run.description["epoch"] + 1, run.recipe.settings
    chosen = (
        f"epoch {epoch} ({settings.select}); seed {settings.seed}; fold {run.recipe.fold}; target {run.recipe.target}."
    )
    if not run.splits():
        return [chosen, NOTHING_HELD_OUT, *run.description.get("notes", [])]
    notes = [
        chosen,
        f"{_COLUMNS} span {run.labels.scale.span:g}.",
        _intervals([run.groups(split) for split in run.splits()]),
        *two_value_notes(_values(run)),
        *label_notes(run.recipe.labels, run.recipe.transductive),
    ]
    if run.recipe.members > 1:
        notes.append(f"{run.recipe.members} members; held-out: training samples, by the member that did not see them.")
    notes += run.description.get("notes", [])
    if run.recalibration is None:
        notes.append("Intervals are as predicted: --validation SHARE holds out training samples to recalibrate them.")
    return notes
