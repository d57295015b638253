"""``aqakit report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aqakit import report as report_room
from aqakit.system import terminal
from aqakit.system.output import is_standard_output


def report(
    folders: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Folders of runs or benchmarks, or CSV files of predictions.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The HTML file.")] = Path("report.html"),
    figures: Annotated[Path | None, typer.Option(help="Folder for the figures as PDF, PNG and SVG.")] = None,
    data: Annotated[
        bool, typer.Option(help="Open the data set, to add floors, pictures, a feature map and health.")
    ] = True,
) -> None:
    """Write an HTML report that compares finished runs.

    The file is self-contained. It shows the comparison, uncertainty, learning
    curves, worst cases and how to rerun.
    """
    report_room.write.write_report(folders, out, figures=figures, data=data)
    if not is_standard_output(out):
        terminal.line(f"{out} ({out.stat().st_size / 1e6:.1f} MB)")
