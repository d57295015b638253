"""``aqakit evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aqakit import evaluation, training
from aqakit.cli.common import JsonFile, show_descriptions
from aqakit.report import tables


def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run, or a CSV file of predictions.")],
    span: Annotated[
        float | None, typer.Option(min=0, help="For a CSV file: highest minus lowest possible score, for relative l2.")
    ] = None,
    json: JsonFile = None,
) -> None:
    """Evaluate a run on its validation and test splits.

    Print metrics of rank, error, predicted probability and calibration.

    A CSV file of predictions has columns id, true, mean; and std, or quantiles
    such as q05, q50, q95; and split or fold, if there is one.
    """
    finished = evaluation.finished_run
    with tables.beside(json):
        if run.is_file():
            rows, notes = finished.evaluate_file(run, span)
            tables.show(rows, title=run.name, notes=notes, hide=finished.DETAILS)
        else:
            loaded = training.run.load(run)
            rows, notes = finished.evaluate_run(loaded)
            title = f"{loaded.recipe.method} on {loaded.recipe.data}"
            tables.show(rows, title=title, notes=notes, hide=finished.DETAILS)
            show_descriptions(loaded)
    tables.write(rows, json, "json")
