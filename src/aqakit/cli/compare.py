"""``aqakit compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aqakit.cli.common import FigureFile, LayoutOption, RateOption
from aqakit.explanation import comparison
from aqakit.report import motion_figures
from aqakit.report.output import Output

_SHOWN = ("channel", "unit", "mean", "largest", "at_a", "at_b", "a", "b")


def compare(
    a: Annotated[Path, typer.Argument(help="Joints or a table: the recording to compare with.")],
    b: Annotated[Path, typer.Argument(help="The other recording, in the same form.")],
    layout: LayoutOption = None,
    rate: RateOption = None,
    rows: Annotated[int, typer.Option(min=1, help="Number of rows to print.")] = 10,
    figure: FigureFile = None,
    *,
    output: Output,
) -> None:
    """Compare two recordings of a movement: where they differ, and by how much.

    They are aligned in time first, so that a slower movement is not a different
    one.
    """
    found = comparison.compare(a, b, layout=layout, rate=rate)
    shown = [{name: vars(one)[name] for name in _SHOWN} for one in found.differences[:rows]]
    more = len(found.differences) - len(shown)
    notes = ["differences: b − a. mean: of all moments. at a, at b: seconds.", *found.notes]
    if more > 0:
        notes.append(f"{more} more channels differ less; --rows shows them, --json has all.")
    with output.beside():
        output.show(shown, title=f"{a.name} and {b.name}", notes=notes)
    motion_figures.write(figure, motion_figures.side_by_side(found, (a.name, b.name)) if figure else None)
    output.write([found.to_json()])
