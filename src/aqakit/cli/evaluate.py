"""``aqakit evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aqakit import datasets, discovery, evaluation, training
from aqakit.cli.common import show_descriptions
from aqakit.errors import OptionError
from aqakit.report.output import Output
from aqakit.system.files import user_path


def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run, or a CSV file of predictions.")],
    span: Annotated[
        float | None, typer.Option(min=0, help="For a CSV file: highest minus lowest possible score, for relative l2.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="For a file of predictions: the data set whose test samples they are of, in order or by id."),
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Folder of this data set; for manifest, the CSV file.")] = None,
    protocol: Annotated[str | None, typer.Option(help="Name of its splits; the first if not given.")] = None,
    pairs: Annotated[
        Path | None, typer.Option(help="For a run: CSV of comparisons, better,worse by id, to judge its order by.")
    ] = None,
    *,
    output: Output,
) -> None:
    """Evaluate a run on its validation and test splits.

    Print metrics of rank, error, predicted probability and calibration, beside
    the floors.

    A CSV file of predictions has columns id, true, mean; and std, or quantiles
    such as q05, q50, q95; and split or fold, if there is one.

    With --data, a file of predictions needs no true scores: they are those of
    the data set's test samples. Without ids it is in the order of the split,
    and may be a .npy array or a .txt file of one number a line.
    """
    finished = evaluation.finished_run
    with output.beside():
        if run.is_file():
            if pairs is not None:
                raise OptionError("--pairs is for the folder of a run; leave it out for a CSV file of predictions")
            if data is None:
                rows, notes = finished.evaluate_file(run, span)
            else:
                name, options = discovery.parse_spec(data)
                known = datasets.load(name, root, **options)
                rows, notes = finished.evaluate_test(run, known, protocol, span)
            output.show(rows, title=run.name, notes=notes, hide=finished.DETAILS)
        else:
            if data is not None:
                raise OptionError("--data is for a file of predictions; the folder of a run knows its data set")
            loaded = training.run.load(run)
            told = None if pairs is None else datasets.pairs.read(user_path(pairs))
            rows, notes = finished.evaluate_run(loaded, told)
            floors, said = finished.floors_of(loaded)
            rows, notes = rows + floors, notes + said
            title = f"{loaded.recipe.method} on {loaded.recipe.data}"
            output.show(rows, title=title, notes=notes, hide=finished.DETAILS, facts=finished.facts_of(loaded))
            show_descriptions(loaded, output.show)
    output.write(rows)
