"""Commands that say what there is: methods, data sets, backbones, weights, and how sound a data set is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from aqakit import catalogue, datasets, discovery, health, weights
from aqakit.cli.common import JsonFile
from aqakit.options import shown
from aqakit.progress import downloading
from aqakit.report import tables


def methods(json: JsonFile = None) -> None:
    """Every method: what it reads, its parameters on the features and labels of its paper, what it minimises."""
    rows = catalogue.methods()
    notes = ["parameters: on these features and the labels of MTL-AQA; – for a method that remembers and has none."]
    tables.show(rows, notes=[*notes, "options: `aqakit train METHOD --help`."], hide=["citation"])
    tables.write(rows, json, "json")


def list_datasets(json: JsonFile = None) -> None:
    """Every data set, with its licence and options."""
    _listing("datasets", lambda module: {"licence": module.LICENCE, "options": _option_text(module.samples)}, json)


def backbones(json: JsonFile = None) -> None:
    """Every backbone, with its paper and options."""
    _listing("backbones", lambda module: {"paper": module.PAPER, "options": _option_text(module.build)}, json)


weights_app = typer.Typer()


@weights_app.callback(invoke_without_command=True)
def list_weights(context: typer.Context, json: JsonFile = None) -> None:
    """Published weights: whose they are, what they were trained on, and how to get them."""
    if context.invoked_subcommand is None:
        rows = weights.catalogue()
        tables.show(rows, hide=("get", "input"))
        tables.write(rows, json, "json")


@weights_app.command("get")
def get_weights(
    name: Annotated[str, typer.Argument(help="As `aqakit weights` lists it.")],
    folder: Annotated[Path | None, typer.Option(help="Where to put it (the cache).")] = None,
) -> None:
    """Download one file, with resume and a check."""
    with downloading(name) as progress:
        path = weights.get(name, folder, progress)
    Console().print(str(path), highlight=False, soft_wrap=True)


def check(
    dataset: Annotated[str, typer.Argument(help="Data set, as name or name:option=value.")],
    path: Annotated[Path | None, typer.Argument(help="Its folder; for manifest the CSV file.")] = None,
    root: Annotated[Path | None, typer.Option(help="The same as PATH.")] = None,
    json: JsonFile = None,
) -> None:
    """Health report of a data set: counts, broken files, straddling groups, impossible scores."""
    name, options = discovery.parse_spec(dataset)
    report = health.check(datasets.load(name, path or root, **options))
    findings = [f"{severity}: {sentence}" for severity, sentence in report.findings]
    tables.show(report.rows(), title=name, notes=findings or ["nothing found that is wrong"])
    tables.write(report.rows(), json, "json")
    if any(severity == "error" for severity, _ in report.findings):
        raise typer.Exit(1)


def _listing(kind: str, columns: Callable[[Any], dict[str, str]], json: Path | None) -> None:
    rows = []
    for name in discovery.names(kind):
        module = discovery.find(kind, name)
        rows.append({"name": name, "what": discovery.summary(module), **columns(module)})
    tables.show(rows)
    tables.write(rows, json, "json")


def _option_text(function: Callable[..., Any]) -> str:
    return ", ".join(o.name if o.required else f"{o.name}={shown(o.default)}" for o in discovery.options(function))
