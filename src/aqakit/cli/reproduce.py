"""``aqakit reproduce``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from aqakit import evaluation
from aqakit.cli.common import JsonFile
from aqakit.errors import OptionError
from aqakit.report import tables


def reproduce(
    name: Annotated[str | None, typer.Argument(help="A recipe, such as mtl-aqa/dae-mt.")] = None,
    listing: Annotated[bool, typer.Option("--list", help="The table of the papers: every recipe.")] = False,
    root: Annotated[Path | None, typer.Option(help="Folder of the data set.")] = None,
    videos: Annotated[Path | None, typer.Option(help="Folder of its recordings, if they are elsewhere.")] = None,
    weights: Annotated[
        str | None, typer.Option(help="A file in place of the weights that the recipe names, or random.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="One task of several.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="How many, to try it out.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="How many, counted from 0.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the runs, to go on after a stop.")] = None,
    json: JsonFile = None,
) -> None:
    """Run a published result again: ours beside the published figure."""
    if listing == (name is not None):
        raise OptionError("give a recipe, or --list to see which there are")
    if name is None:
        rows: Sequence[Mapping[str, Any]] = evaluation.reproduction.listing()
        tables.show(rows, title="published results", hide=("source", "by_task", "runs_here", "notes", "data_set"))
    else:
        table = evaluation.reproduction.reproduce(
            name, root=root, videos=videos, weights=weights, task=task, epochs=epochs, seeds=seeds, out=out
        )
        rows = table.rows
        tables.show(rows, title=table.title, notes=table.notes, hide=table.details)
    tables.write(rows, json, "json")
