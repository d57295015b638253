"""``aqakit repetitions``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aqakit.cli.common import FigureFile, LayoutOption, RateOption, complain
from aqakit.recordings import repetitions as finding
from aqakit.report import motion_figures
from aqakit.report.output import Output


def repetitions(
    recording: Annotated[Path, typer.Argument(help="Joints, or a table of angles or other channels.")],
    layout: LayoutOption = None,
    rate: RateOption = None,
    figure: FigureFile = None,
    *,
    output: Output,
) -> None:
    """Find the repetitions of an exercise in a long recording.

    Print where each begins and ends. Exit with code 1 if there is none.
    """
    found = finding.find(recording, layout=layout, rate=rate)
    rows = found.rows()
    with output.beside():
        output.show(rows, title=f"{recording.name}: {len(rows)} repetitions", notes=list(found.notes))
    motion_figures.write(figure, motion_figures.repetitions(found, recording.name) if figure else None)
    output.write(rows)
    if not rows:
        complain(f"{recording}: no repetition found; the posture never comes back, or nothing moves")
        raise typer.Exit(1)
