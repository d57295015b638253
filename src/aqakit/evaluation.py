"""A finished run judged on the splits it watched, with the floors it must beat."""

from __future__ import annotations

from typing import Any

from aqakit import metrics, runfiles
from aqakit.metrics.accuracy import spearman
from aqakit.runfiles import LEVEL
from aqakit.runs import Run


def evaluate_run(run: Run) -> tuple[list[dict[str, Any]], list[str]]:
    """A row for each watched split, as predicted and recalibrated, and what must be known to read them."""
    rows = []
    for split in run.splits():
        rows.append(_row(run, split, recalibrated=False))
        if run.recalibration and split != "validation":
            rows.append(_row(run, split, recalibrated=True))
    return rows, _notes(run)


def describe_run(run: Run) -> list[dict[str, Any]]:
    """For each watched split, how often attributes are right and how near captions come; nothing without either."""
    judged = {split: found["judged"] for split, found in runfiles.read_descriptions(run.folder).items()}
    return [{"split": split, "samples": len(run.ids(split)), **row} for split, row in judged.items() if row]


def examples(run: Run, count: int) -> list[str]:
    """Captions of the first test samples beside the true ones."""
    samples = runfiles.read_descriptions(run.folder).get("test", {}).get("samples", [])
    return [f"{s['id']}: {s['caption']} (true: {s['true_caption']})" for s in samples if "caption" in s][:count]


def _row(run: Run, split: str, *, recalibrated: bool) -> dict[str, Any]:
    true, answer = run.truth(split), run.prediction(split, recalibrated=recalibrated)
    found = metrics.evaluate(answer, true, run.labels.scale.span)
    low, high = metrics.bootstrap_interval(spearman, true, answer.mean.numpy())
    return {
        "split": split,
        "intervals": "recalibrated" if recalibrated else "as predicted",
        "samples": len(true),
        "spearman": found.pop("spearman"),
        "low": low,
        "high": high,
        **found,
    }


def _notes(run: Run) -> list[str]:
    epoch, settings = run.description["epoch"] + 1, run.recipe.settings
    notes = [
        f"epoch {epoch} ({settings.select}); seed {settings.seed}; fold {run.recipe.fold}; target {run.recipe.target}.",
        f"low, high: 95 % bootstrap over samples; coverage and width of {LEVEL:.0%} intervals; relative l2 is × 100, "
        f"span {run.labels.scale.span:g}.",
    ]
    if run.recalibration is None:
        notes.append("Intervals are as predicted: --validation SHARE holds training samples out to recalibrate them.")
    return notes
