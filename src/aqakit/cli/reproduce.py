"""``aqakit reproduce``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from aqakit import evaluation
from aqakit.errors import OptionError
from aqakit.report.output import Output


def reproduce(
    name: Annotated[str | None, typer.Argument(help="A recipe, such as mtl-aqa/dae-mt.")] = None,
    listing: Annotated[bool, typer.Option("--list", help="List all recipes and published results.")] = False,
    root: Annotated[Path | None, typer.Option(help="Folder of the data set.")] = None,
    videos: Annotated[Path | None, typer.Option(help="Folder of the recordings, if they are elsewhere.")] = None,
    weights: Annotated[str | None, typer.Option(help="Weights file to use instead of the recipe's, or random.")] = None,
    task: Annotated[str | None, typer.Option(help="Run only this task.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Number of epochs, for a quick trial.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Number of seeds, starting at 0.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the runs, to resume later.")] = None,
    *,
    output: Output,
) -> None:
    """Reproduce a published result.

    Run a recipe and print our result beside the published one.
    """
    if listing == (name is not None):
        raise OptionError("give a recipe, or --list to see all recipes")
    with output.beside():
        if name is None:
            rows: Sequence[Mapping[str, Any]] = evaluation.reproduction.listing()
            output.show(rows, title="published results", hide=("source", "by_task", "runs_here", "notes", "data_set"))
        else:
            table = evaluation.reproduction.reproduce(
                name, root=root, videos=videos, weights=weights, task=task, epochs=epochs, seeds=seeds, out=out
            )
            rows = table.rows
            output.show(rows, title=table.title, notes=table.notes, hide=table.details)
    output.write(rows)
