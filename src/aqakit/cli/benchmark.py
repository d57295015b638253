"""Compare methods over folds and seeds in one table.

The table includes floors. With several shares of labels, it has a column
for each share.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aqakit import evaluation, report, system, training
from aqakit.cli import outputs
from aqakit.cli.lazy import Command, command_of
from aqakit.cli.options import BACKBONE, given_only, names, option, run_and_loop, with_signature, with_weights
from aqakit.errors import OptionError, RunError
from aqakit.system import processes, terminal
from aqakit.system.files import folder_name, output_folder

if TYPE_CHECKING:
    from aqakit.evaluation.sweep import Sweep

_SWEEP = {"ablation", "grid", "figures"}  # options that make more than one table


def command(completing: bool) -> Command:
    """``aqakit benchmark``."""
    return command_of(with_signature(_benchmark, _parameters(completing)), "benchmark", __doc__)


def _benchmark(**given: Any) -> None:
    if processes.size() > 1:
        raise OptionError("benchmark runs in one process; use torchrun for train only")
    output = outputs.taken(given)
    values = given_only(given)
    values["backbones"] = with_weights(values.pop("backbone", []), values.pop("weights", None))
    values["methods"] = names(values.pop("methods", ""))
    values["rules"] = names(values.pop("rules", "held-out"))
    several = "," in values.get("labels", "") or not _SWEEP.isdisjoint(values)
    figures = values.pop("figures", None)
    pictures = output_folder(figures) if figures else None
    with evaluation.benchmark.folder_of(values.pop("out", None)) as folder:  # the figures read the run folders
        with output.beside():
            found = _sweep(folder, **values) if several else None
            tables = found.tables if found else [evaluation.benchmark.benchmark(out=folder, **values)]
            for table in tables:
                output.show(table.rows, title=table.title, notes=table.notes, hide=table.details, metrics=table.metrics)
        output.write(found.rows if found else tables[0].rows)  # before the figures, whatever becomes of these
        if found and pictures:
            with output.beside():
                _draw(found, pictures)


def _sweep(folder: Path, *, labels: str | None = None, **values: Any) -> Sweep:
    sweep = evaluation.sweep
    return sweep.sweep(labels=(labels or sweep.EVERY).split(","), out=folder, **values)


def _draw(found: Sweep, folder: Path) -> None:
    """Write the figures of the sweep, and those of a report on the runs of each share."""
    files = report.sweep_figures.write(found, report.semi_supervised.traces(found), folder)
    for share, runs in zip(found.shares, found.runs):
        own = folder / folder_name(share) if len(found.shares) > 1 else folder
        try:
            files += report.write.write_figures([run for several in runs.values() for run in several], own)
        except RunError as error:
            terminal.line(f"no figures of predictions and training: {error}")
    for file in files:
        terminal.line(f"{file}, .pdf and .svg")


def _rules() -> tuple[str, str]:
    """Return the published protocols and the rules that select an epoch."""
    return ", ".join(evaluation.selection.PUBLISHED), ", ".join(evaluation.selection.RULES)


def _parameters(completing: bool) -> list[inspect.Parameter]:
    published, rules = ("", "") if completing else _rules()
    more = {p.name: p for p in run_and_loop(completing)}
    labels = "" if completing else system.configuration.option_help(training.recipe.run_options, "labels")
    dataset = Annotated[str, typer.Argument(help="Data set, as name or name:option=value.")]
    own = [
        inspect.Parameter("dataset", inspect.Parameter.KEYWORD_ONLY, annotation=dataset),
        option("root", "folder of the data set; for manifest, the CSV file", "--root"),
        option("backbone", f"{BACKBONE}; without backbone and methods, only the floors", "--backbone", kind=list[str]),
        option("weights", "weights for the backbone that takes them", "--weights"),
        option("methods", "methods, separated by commas, each as name or name:option=value", "--methods"),
        option("labels", f"{labels}; several, separated by commas, give a column each", "--labels"),
        option(
            "ablation", "compare the variants of each method that has some with the first one", "--ablation", kind=bool
        ),
        option("grid", "run all combinations of the loss weights of each method with a grid", "--grid", kind=bool),
        option("task", "one task; or all, for each task and the Fisher-z mean", "--task"),
        option("protocol", f"name of the splits, or a published protocol: {published}", "--protocol"),
        option("rules", f"rules that select the epoch, separated by commas: {rules} (held-out)", "--rules"),
        option("seeds", "number of seeds, starting at 0 (1)", "--seeds", kind=int, min=1),
        option(
            "calibrate_person",
            "right recordings given of each test person, which shift that person's scores and are not judged (0)",
            "--calibrate-person",
            kind=int,
            min=0,
        ),
        option("out", "folder for the runs, to resume later (a temporary one)", "--out", "-o"),
        *outputs.parameters(),
        option(
            "figures",
            "folder for figures as PDF, PNG and SVG: predictions, uncertainty, training, labels, grid",
            "--figures",
        ),
    ]
    without = {p.name for p in own} | {"fold", "seed", "select"}
    return [*own, *(p for name, p in more.items() if name not in without)]
