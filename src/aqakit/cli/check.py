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
    path: Annotated[Path | None, typer.Argument(help="Folder of the data set; for manifest, the CSV file.")] = None,
    root: Annotated[Path | None, typer.Option(help="The same as PATH.")] = None,
    json: JsonFile = None,
) -> None:
    """Check a data set for broken files and wrong labels.

    Print counts, broken files, groups on both sides of a split and impossible
    scores. Exit with code 1 if there is an error.
    """
    name, options = discovery.parse_spec(dataset)
    report = datasets.health.check(datasets.load(name, path or root, **options))
    findings = [f"{severity}: {sentence}" for severity, sentence in report.findings]
    with tables.beside(json):
        tables.show(report.rows(), title=name, notes=findings or ["no problems found"])
    tables.write(report.rows(), json, "json")
    if any(severity == "error" for severity, _ in report.findings):
        raise typer.Exit(1)
