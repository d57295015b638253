"""``aqakit demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aqakit import report
from aqakit.cli.common import JsonFile, print_epoch
from aqakit.report import tables


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the run and the figure.")] = Path("demo"),
    json: JsonFile = None,
) -> None:
    """Train, evaluate and predict on rendered dives.

    Render dives, train on their pixels, evaluate on held-out dives and score
    one file. Needs no data. Write the run and demo.png to a folder.
    """
    result = report.demo.demo(out, print_epoch(report.demo.SETTINGS["epochs"]))
    with tables.beside(json):
        tables.show(result.rows, title=result.title, notes=result.notes)
    tables.write(result.rows, json, "json")
