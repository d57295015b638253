"""List published weights, or download one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aqakit.backbones import weights
from aqakit.cli.common import JsonFile
from aqakit.cli.lazy import Command, at_home, group_of
from aqakit.report import tables
from aqakit.system import terminal
from aqakit.system.progress import downloading

_app = typer.Typer(add_completion=False, help=__doc__)


@_app.callback(invoke_without_command=True)
@at_home
def list_weights(context: typer.Context, json: JsonFile = None) -> None:
    """List published weights: their origin, what they were trained on, and how to get them."""
    if context.invoked_subcommand is None:
        rows = weights.catalogue()
        with tables.beside(json):
            tables.show(rows, hide=("get", "input", "colours", "bytes", "sha256"))
        tables.write(rows, json, "json")


@_app.command("get")
@at_home
def get_weights(
    name: Annotated[str, typer.Argument(help="Name, as listed by `aqakit weights`.")],
    folder: Annotated[Path | None, typer.Option(help="Folder to download to (the cache).")] = None,
) -> None:
    """Download and verify one file; resume if interrupted."""
    with downloading(name) as progress:
        path = weights.get(name, folder, progress)
    terminal.line(path)


def command(completing: bool) -> Command:
    """Return the group with both commands."""
    return group_of(_app)
