"""``aqakit table``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from aqakit import report
from aqakit.cli.options import names
from aqakit.errors import OptionError
from aqakit.report.output import Output
from aqakit.system.files import user_path


def table(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN|JSON...", help="Folders of runs or benchmarks, and JSON of aqakit benchmark or reproduce."
        ),
    ],
    metrics: Annotated[str, typer.Option(help="Metrics, separated by commas.")] = "spearman",
    rows: Annotated[str, typer.Option(help="What the rows are: method or data.")] = "method",
    rule: Annotated[str | None, typer.Option(help="Take only rows of this selection rule, and floors.")] = None,
    protocol: Annotated[str | None, typer.Option(help="Take only rows of this protocol.")] = None,
    floors: Annotated[bool, typer.Option(help="Include floors and ceilings.")] = True,
    *,
    output: Output,
) -> None:
    """Merge results of several runs and benchmarks in one table.

    Methods are rows, data sets and metrics are columns. The JSON has the
    merged rows in full.
    """
    if rows not in report.pivot.ROWS:
        raise OptionError(f"--rows {rows} is not one of {', '.join(report.pivot.ROWS)}")
    with output.beside():
        found, notes = report.merging.collect([user_path(s) for s in sources], rule=rule, protocol=protocol)
        found = [one for one in found if floors or not one.floor]
        if not found:
            raise OptionError("there are only floors in these sources, and --no-floors leaves them out")
        made = report.pivot.pivot(found, names(metrics) or ["spearman"], cast(Any, rows))
        output.show(made.rows, notes=[*made.notes, *notes], facts=made.facts, caption=made.caption, bold=made.bold)
    output.write([{**one.row, "source": one.source} for one in found])
