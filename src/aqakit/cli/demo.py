"""``aqakit demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aqakit import report
from aqakit.cli.common import print_epoch
from aqakit.report.output import Output


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the run, the figure and a sample.")] = Path(
        "demo"
    ),
    *,
    output: Output,
) -> None:
    """Train, evaluate and predict on rendered dives.

    Render dives, train on their pixels, evaluate on held-out dives and score
    one file. Needs no data. Write the run, demo.png and sample.mp4 to a
    folder, and print the command that scores the sample.
    """
    result = report.demo.demo(out, print_epoch(report.demo.SETTINGS["epochs"]))
    with output.beside():
        output.show(result.rows, title=result.title, notes=result.notes)
    output.write(result.rows)
