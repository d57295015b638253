"""Learning curves, and what each selection rule reports from them; optimistic rules are marked."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from aqakit.evaluation.results import MethodResult
from aqakit.evaluation.selection import RULES, Epochs
from aqakit.report import layout
from aqakit.scores.drawing import BLUE, GREEN, GREY, ORANGE, plain
from aqakit.types import Floats

OPTIMISTIC = "optimistic"
_SHAPES = {
    "last": "o",
    "held-out": "P",
    "best-validation": "s",
    "best-test": "^",
    "last-ten": "D",
    "best-ten-consecutive": "v",
}


def by_rule(method: MethodResult) -> list[dict[str, Any]]:
    """Return, for each selection rule, the Spearman that it reports, whether it is honest, and the epochs used.

    For each seed the rule selects epochs from its folds; the value is the mean over folds, then over seeds. Epochs
    are counted from 1; ``first`` and ``last`` are the earliest and the latest epoch used.
    """
    rows = []
    for name, rule in RULES.items():
        used = [_used(method, seed, name) for seed in method.seeds]
        known = [u for u in used if u is not None]
        row = {"method": method.label, "rule": name, "honest": rule.honest, "meaning": rule.meaning}
        if not known or len(known) < len(used):
            rows.append({**row, "spearman": None, "first": None, "last": None})
            continue
        epochs = np.concatenate([np.ravel(chosen) for _, chosen in known])
        value = float(np.mean([mean for mean, _ in known]))
        rows.append({**row, "spearman": value, "first": int(epochs.min()) + 1, "last": int(epochs.max()) + 1})
    return rows


def learning(figure: Figure, method: MethodResult) -> None:
    """Plot Spearman by epoch: each fold and seed, their mean, validation, and a mark for each rule."""
    axes = figure.subplots()
    test, validation = method.curve("test"), method.curve("validation")
    epochs = method.epochs + 1
    axes.plot(epochs, test.T, color=GREY, lw=0.5, alpha=0.5)
    axes.plot(epochs, test.mean(0), color=BLUE, lw=1.8, label="test, mean over folds and seeds")
    if validation.size:
        axes.plot(epochs, validation.mean(0), color=GREEN, lw=1.2, ls="--", label="validation, mean")
    for row in by_rule(method):
        _mark(axes, row)
    axes.set(xlabel="epoch", ylabel="Spearman ρ")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    plain(axes)
    layout.legend(figure)


def _mark(axes: Axes, row: dict[str, Any]) -> None:
    if row["spearman"] is None:
        return
    honest = row["honest"]
    colour, name = (BLUE, row["rule"]) if honest else (ORANGE, f"{row['rule']} ({OPTIMISTIC})")
    ends, value = (row["first"], row["last"]), row["spearman"]
    axes.plot(ends, (value, value), color=colour, lw=1.2, ls="-" if honest else ":")
    axes.plot(
        sum(ends) / 2, value, color=colour, ls="", marker=_SHAPES.get(row["rule"], "o"), ms=5,
        mfc=colour if honest else "none", label=f"{name} {value:.2f}",
        clip_on=False,  # figures share their limits, and the best may lie at the edge
    )  # fmt: skip


def _used(method: MethodResult, seed: int, rule: str) -> tuple[float, Epochs] | None:
    """Mean over the folds of one seed, and the epochs used; None if the required curves are missing."""
    folds = [f.curves for f in method.folds if f.seed == seed]
    if not all("test" in curves for curves in folds):
        return None
    test = np.stack([curves["test"] for curves in folds])  # (folds, E)
    if rule == "held-out":
        kept = [f.facts["epoch"] for f in method.folds if f.seed == seed and "held-out" in f.curves]
        return _of_each(test, np.searchsorted(method.epochs, kept), method.epochs) if len(kept) == len(test) else None
    if rule != "best-validation":
        chosen = RULES[rule].choose(test, method.epochs)
        return float(test[:, chosen].mean()), method.epochs[chosen]
    if not all("validation" in curves for curves in folds):
        return None
    return _of_each(test, np.array([curves["validation"].argmax() for curves in folds]), method.epochs)


def _of_each(test: Floats, chosen: Epochs, epochs: Epochs) -> tuple[float, Epochs]:
    """One column of each fold."""
    return float(test[np.arange(len(test)), chosen].mean()), epochs[chosen]
