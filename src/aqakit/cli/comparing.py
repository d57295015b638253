"""Commands that train many runs for one table: a benchmark, and the published results."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from aqakit import discovery, distributed, protocols, recipe, reproduction
from aqakit.cli.common import BACKBONE, JsonFile, given_only, names, with_weights
from aqakit.errors import OptionError
from aqakit.options import generated, option, with_signature
from aqakit.protocols import Table
from aqakit.report import sweep_figures, tables
from aqakit.selection import PUBLISHED, RULES
from aqakit.sweep import EVERY, sweep
from aqakit.training import Settings

_SWEEP = {"ablation", "grid", "figures"}  # options that ask for more than one table


def _benchmark(**given: Any) -> None:
    """Methods × folds × seeds in one honest table, with floors; a column for each of several shares of labels."""
    if distributed.size() > 1:
        raise OptionError("a benchmark runs in one process: torchrun is for train")
    values = given_only(given)
    values["backbones"] = with_weights(values.pop("backbone", []), values.pop("weights", None))
    values["methods"] = names(values.pop("methods", ""))
    values["rules"] = names(values.pop("rules", "last"))
    json = values.pop("json", None)
    several = "," in values.get("labels", "") or not _SWEEP.isdisjoint(values)
    rows = _sweep(**values) if several else _show(protocols.benchmark(**values))
    tables.write(rows, Path(json) if json else None, "json")


def _sweep(*, labels: str = EVERY, figures: str | None = None, **values: Any) -> list[dict[str, Any]]:
    found = sweep(labels=labels.split(","), traces=figures is not None, **values)
    for table in found.tables:
        _show(table)
    for file in sweep_figures.write(found, Path(figures)) if figures else ():
        Console().print(f"{file} and .svg", highlight=False, soft_wrap=True)
    return found.rows


def _show(table: Table) -> list[dict[str, Any]]:
    tables.show(table.rows, title=table.title, notes=table.notes, hide=table.details)
    return table.rows


_LABELS = next(one.help for one in discovery.options(recipe.common) if one.name == "labels")


def _parameters() -> list[inspect.Parameter]:
    own = ("task", "protocol", "fold", "labels")
    run = [p for p in generated("Options of the run", recipe.common) if p.name not in own]
    loop = [p for p in generated("Options of training", Settings) if p.name not in ("seed", "select")]
    dataset = Annotated[str, typer.Argument(help="Data set, as name or name:option=value.")]
    return [
        inspect.Parameter("dataset", inspect.Parameter.KEYWORD_ONLY, annotation=dataset),
        option("root", "its folder; for manifest the CSV file", "--root"),
        option("backbone", f"{BACKBONE}; neither backbone nor methods: the floors alone", "--backbone", kind=list[str]),
        option("weights", "weights for the backbone that takes them", "--weights"),
        option("methods", "names, with commas; options as name:option=value", "--methods"),
        option("labels", f"{_LABELS}; several with commas for a column each", "--labels"),
        option(
            "ablation", "the variants of each method that has some, compared with the first", "--ablation", kind=bool
        ),
        option("grid", "all combinations of the weights of each method that has a grid", "--grid", kind=bool),
        option("task", "one task, or all for each and a Fisher-z mean", "--task"),
        option("protocol", f"name of the splits, or published: {', '.join(PUBLISHED)}", "--protocol"),
        option("rules", f"which epoch counts, with commas: {', '.join(RULES)} (last)", "--rules"),
        option("seeds", "how many seeds, counted from 0 (1)", "--seeds", kind=int, min=1),
        option("out", "folder for the runs, to go on after a stop (a temporary one)", "--out", "-o"),
        option("json", "write the table as JSON; - for standard output", "--json"),
        option("figures", "folder for PNG and SVG: labels, representations, losses, grid", "--figures"),
        *run,
        *loop,
    ]


benchmark = with_signature(_benchmark, _parameters())


def reproduce(
    name: Annotated[str | None, typer.Argument(help="A recipe, such as mtl-aqa/dae-mt.")] = None,
    listing: Annotated[bool, typer.Option("--list", help="The table of the papers: every recipe.")] = False,
    root: Annotated[Path | None, typer.Option(help="Folder of the data set.")] = None,
    videos: Annotated[Path | None, typer.Option(help="Folder of its recordings, if they are elsewhere.")] = None,
    weights: Annotated[
        str | None, typer.Option(help="A file in place of the weights that the recipe names, or random.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="One task of several.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="How many, to try it out.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="How many, counted from 0.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the runs, to go on after a stop.")] = None,
    json: JsonFile = None,
) -> None:
    """Run a published result again: ours beside the published figure."""
    if listing == (name is not None):
        raise OptionError("give a recipe, or --list to see which there are")
    if name is None:
        rows: Sequence[Mapping[str, Any]] = reproduction.listing()
        tables.show(rows, title="published results", hide=("source", "by_task", "runs_here", "notes", "data_set"))
    else:
        table = reproduction.reproduce(
            name, root=root, videos=videos, weights=weights, task=task, epochs=epochs, seeds=seeds, out=out
        )
        rows = table.rows
        tables.show(rows, title=table.title, notes=table.notes, hide=table.details)
    tables.write(rows, json, "json")
