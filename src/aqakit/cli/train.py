"""Train a method on a data set."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import typer

from aqakit import discovery, evaluation, system, training
from aqakit.cli.common import complain, print_epoch, show_descriptions
from aqakit.cli.lazy import Command, command_of, group_of, lazy_group
from aqakit.cli.options import (
    BACKBONE,
    generated,
    given_only,
    named,
    option,
    run_and_loop,
    with_signature,
    with_weights,
)
from aqakit.report import tables
from aqakit.system import processes
from aqakit.system.files import user_path


def command(completing: bool) -> Command:
    """``aqakit train METHOD``: one command for each file in ``methods/``."""
    app = typer.Typer(cls=lazy_group(_lines, _method), no_args_is_help=True, add_completion=False, help=__doc__)
    app.callback()(lambda: None)
    return group_of(app)


def _lines() -> dict[str, str]:
    return {name: discovery.first_line("methods", name) for name in discovery.names("methods")}


def _method(name: str, completing: bool) -> Command:
    function = with_signature(partial(_train, name), _parameters(name, completing))
    return command_of(function, name, discovery.first_line("methods", name))


def _parameters(name: str, completing: bool) -> list[inspect.Parameter]:
    own = (
        named(discovery.option_names(discovery.file_of("methods", name), "build"))
        if completing
        else generated(f"Options of {name}", discovery.find("methods", name).build)
    )
    return [
        option("data", "data set, as name or name:option=value", "--data", required=True),
        option("root", "folder of the data set; for manifest, the CSV file", "--root"),
        option("backbone", BACKBONE, "--backbone", required=True, kind=list[str]),
        option("weights", "weights for the backbone that takes them", "--weights"),
        option("out", "folder to write the run to", "--out", "-o", required=True),
        option(
            "time_limit",
            "stop after this time, such as 90m, at the end of an epoch; called again, go on",
            "--time-limit",
        ),
        option("log", "csv or tensorboard: write the losses of every epoch to the run folder", "--log"),
        *own,
        *run_and_loop(completing),
    ]


def _train(method: str, **given: Any) -> None:
    values = given_only(given)
    out = user_path(values["out"])
    chosen = with_weights(values.pop("backbone"), values.pop("weights", None))
    given_epochs = {n: v for n, v in values.items() if n == "epochs"}
    epochs = system.configuration.configure("training", training.settings.Settings, given_epochs)["epochs"]
    run = training.train.train(method, backbone=chosen, report=print_epoch(epochs), **values)
    if not processes.is_first():
        return
    for sentence in run.description["failures"].values():
        complain(f"left out: {sentence}")
    for name, sentence in run.description.get("doubts", {}).items():
        complain(f"{name}: {sentence}")
    finished = evaluation.finished_run
    rows, notes = finished.evaluate_run(run)
    floors, said = finished.floors_of(run)
    rows, notes = rows + floors, notes + said
    title = f"{method} → {out}" + ("" if rows else ": trained on every scored sample, nothing held out")
    tables.show(rows, title=title, notes=notes, hide=finished.DETAILS)
    show_descriptions(run)
