"""``aqakit evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aqakit import evaluation, training
from aqakit.cli.common import JsonFile, show_descriptions
from aqakit.report import tables


def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run; or anybody's predictions, a CSV.")],
    span: Annotated[
        float | None, typer.Option(min=0, help="Of a CSV: highest minus lowest score there can be, for relative l2.")
    ] = None,
    json: JsonFile = None,
) -> None:
    """Judge a run on the splits it watched: rank, error, probability and calibration.

    A CSV has columns id, true, mean; and std, or quantiles such as q05, q50, q95; and split or fold, if there is one.
    """
    finished = evaluation.finished_run
    if run.is_file():
        rows, notes = finished.evaluate_file(run, span)
        tables.show(rows, title=run.name, notes=notes, hide=finished.DETAILS)
    else:
        loaded = training.run.load(run)
        rows, notes = finished.evaluate_run(loaded)
        tables.show(rows, title=f"{loaded.recipe.method} on {loaded.recipe.data}", notes=notes, hide=finished.DETAILS)
        show_descriptions(loaded)
    tables.write(rows, json, "json")
