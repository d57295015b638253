"""``aqakit rank``."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from aqakit.cli.common import CsvFile
from aqakit.datasets.parts import pairs
from aqakit.datasets.parts.pairs import Pair
from aqakit.report import tables
from aqakit.report.output import Output
from aqakit.scores import contradictions, paired_comparison
from aqakit.scores.paired_comparison import PairedScale
from aqakit.system.files import user_path, write_text


def rank(
    comparisons: Annotated[Path, typer.Argument(help="CSV or .xlsx with columns better, worse and maybe weight.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write a manifest: the ids with their scores, to train on.")
    ] = None,
    csv: CsvFile = None,
    *,
    output: Output,
) -> None:
    """Make a scale from comparisons: which of two was better.

    Print each recording with its score: the percentage of comparisons with
    the others that it should win, with a 90 % interval.
    """
    known = pairs.read(user_path(comparisons))
    names = sorted({name for pair in known for name in (pair.better, pair.worse)})
    number = {name: k for k, name in enumerate(names)}
    better, worse = [number[p.better] for p in known], [number[p.worse] for p in known]
    scale = paired_comparison.fit(len(names), better, worse, [p.weight for p in known])
    rows = _rows(names, known, scale)
    with output.beside(csv=csv):
        title = f"comparisons in {comparisons.name}: {len(known)}"
        output.show(rows, title=title, notes=_notes(names, better, worse, scale))
    output.write(rows)
    tables.write(rows, csv, "csv")
    if out is not None:
        write_text(user_path(out), _manifest(rows))


def _rows(names: Sequence[str], known: Sequence[Pair], scale: PairedScale) -> list[dict[str, Any]]:
    mid, low, high = (100 * ends for ends in scale.shares())
    several = scale.component.max() > 0
    rows = []
    for k in np.lexsort((-mid, scale.component)):
        name = names[k]
        row: dict[str, Any] = {"recording": name, "score": mid[k], "low_90": low[k], "high_90": high[k]}
        row["won"] = sum(p.weight for p in known if p.better == name)
        row["lost"] = sum(p.weight for p in known if p.worse == name)
        rows.append(row | ({"component": int(scale.component[k]) + 1} if several else {}))
    return rows


def _notes(names: Sequence[str], better: Sequence[int], worse: Sequence[int], scale: PairedScale) -> list[str]:
    notes = ["score: the percentage of comparisons with the others that a recording should win."]
    if count := int(scale.component.max()):
        notes.append(
            f"no comparison links {count + 1} components, so scores of different ones cannot be compared; compare one "
            "recording of each"
        )
    notes += contradictions.described(scale, better, worse, names)
    if len(names) > 2:
        i, j = scale.next_pair()
        notes.append(f"the next comparison that tells most: {names[i]} and {names[j]}")
    return notes


def _manifest(rows: Sequence[dict[str, Any]]) -> str:
    """A manifest whose ids are the paths of the recordings, as the comparisons name them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "path", "score"])
    writer.writerows([row["recording"], row["recording"], f"{row['score']:.4f}"] for row in rows)
    return text.getvalue()
