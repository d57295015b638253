"""``aqakit check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aqakit import datasets, discovery
from aqakit.cli.common import JsonFile
from aqakit.report import tables


def check(
    dataset: Annotated[str, typer.Argument(help="Data set, as name or name:option=value.")],
    path: Annotated[Path | None, typer.Argument(help="Its folder; for manifest the CSV file.")] = None,
    root: Annotated[Path | None, typer.Option(help="The same as PATH.")] = None,
    json: JsonFile = None,
) -> None:
    """Health report of a data set: counts, broken files, straddling groups, impossible scores."""
    name, options = discovery.parse_spec(dataset)
    report = datasets.health.check(datasets.load(name, path or root, **options))
    findings = [f"{severity}: {sentence}" for severity, sentence in report.findings]
    tables.show(report.rows(), title=name, notes=findings or ["nothing found that is wrong"])
    tables.write(report.rows(), json, "json")
    if any(severity == "error" for severity, _ in report.findings):
        raise typer.Exit(1)
