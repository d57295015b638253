"""What a report says first and last: what was compared, what can be said, which run to use, and what words mean.

Nothing is said beyond the letters of the paired comparison: rows that share one do not differ, others do.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from aqakit.evaluation.results import MethodResult
from aqakit.evaluation.selection import RULES
from aqakit.report.best import in_one_group, is_optimistic
from aqakit.report.content import TaskResult
from aqakit.report.tables import Row, text

GLOSSARY = {
    "CRPS": "Continuous ranked probability score: the error of a predicted distribution, in units of the score. It is "
    "the absolute error if a point is predicted. Lower is better.",
    "coverage": "Share of the true scores inside the intervals; nine in ten are expected inside 90 % intervals.",
    "floor": "A prediction that hardly uses the recording, such as the mean of the training scores.",
    "fold": "One division of the samples into training and test samples.",
    "MAE": "Mean absolute error, in units of the score. Lower is better.",
    "NLL": "Negative log-likelihood of the true score under the predicted distribution. Lower is better.",
    "optimistic": "Said of a number that test scores helped to choose. It must not be compared with honest ones.",
    "PIT": "Probability integral transform: the predicted probability of a score below the true one.",
    "protocol": "The rule by which samples are divided into training and test samples.",
    "recalibrated": "With intervals that were widened or narrowed on validation samples.",
    "seed": "Start of the random numbers of a run; several show how much a result depends on chance.",
    "Spearman": "Rank correlation of predicted and true scores: 1 for the same order, 0 for no relation.",
}
"""Words of a report and their meaning."""


def sentences(task: TaskResult) -> list[str]:
    """Return what was compared on a task, what can be said of it, and which run to use."""
    return [_compared(task), *_said(task)]


def _compared(task: TaskResult) -> str:
    floors = len(task.methods) - len(task.compared)
    names = _listed([m.label for m in task.compared])
    more = f", and {_counted(floors, 'floor')}" if floors else ""
    sizes = dict.fromkeys(map(_size, task.compared))
    size = next(iter(sizes)) if len(sizes) == 1 else "; ".join(f"{m.label}: {_size(m)}" for m in task.compared)
    return f"Compared on {task.name}, protocol {task.protocol}: {names}{more}. Judged on {size}."


def _size(method: MethodResult) -> str:
    samples = len({(f.fold, i) for f in method.folds for i in f.ids})
    folds = len({f.fold for f in method.folds})
    counts = (_counted(samples, "test sample"), _counted(folds, "fold"), _counted(len(method.seeds), "seed"))
    return ", ".join(counts)


def _said(task: TaskResult) -> Iterator[str]:
    if len(task.methods) == 1:
        yield "There is one method, and no floor to compare it with: nothing can be said about which is better."
        return
    if not task.letters:
        yield "Not all methods have the same test samples, folds and seeds, so their differences were not tested."
        return
    every = [_row(method, task) for method in task.methods]
    rows = [row for row in every if not is_optimistic(row)]
    if len(rows) < len(every):
        yield f"Chosen by test scores, so left out here: {_listed([r['method'] for r in every if is_optimistic(r)])}."
    if not any(not method.floor for method in task.methods if method.label in {row["method"] for row in rows}):
        yield "No honest number of a method is left, so no run is recommended."
        return
    top = max(rows, key=lambda row: row["spearman"])
    best, others = top["method"], [row for row in rows if row is not top]
    equal = [row["method"] for row in others if in_one_group(row["group"], top["group"])]
    worse = [row["method"] for row in others if not in_one_group(row["group"], top["group"])]
    yield f"{best} has the highest Spearman, {text(top['spearman'])}."
    if equal:
        yield f"Not different from it beyond noise: {_listed(equal)}."
    if worse:
        yield f"Lower than it beyond noise: {_listed(worse)}."
    yield _use([method for method in task.methods if method.label in (best, *equal)])


def _row(method: MethodResult, task: TaskResult) -> Row:
    rule = RULES.get(method.rule)
    row = method.row(task.span)
    return {**row, "group": task.letters.get(method.label), "optimistic": rule is not None and not rule.honest}


def _use(equal: Sequence[MethodResult]) -> str:
    """Say which run to use, given the methods among which there is no difference."""
    if any(method.floor for method in equal):
        return "No run is recommended: none is better than every floor beyond noise."
    if len(equal) > 1:
        return f"To use: any of these {len(equal)}; choose by what the comparison does not measure, such as speed."
    sources = [fold.source for fold in equal[0].folds if fold.source]
    if len(sources) < 2:
        return f"To use: {sources[0] if sources else equal[0].label}."
    return (
        f"To use: a run of {equal[0].label}, in {os.path.commonpath(sources)}. Its {len(sources)} runs differ in fold "
        "or seed; do not choose among them by their test scores, which would be optimistic."
    )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
