"""Commands that make runs: the demo, features ahead of training, and ``aqakit train METHOD``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from aqakit import discovery, distributed, recipe, runs
from aqakit.cli.common import BACKBONE, JsonFile, complain, given_only, print_epoch, show_descriptions, with_weights
from aqakit.demo import SETTINGS
from aqakit.demo import demo as run_demo
from aqakit.errors import DataError
from aqakit.evaluation import DETAILS, evaluate_run
from aqakit.extraction import extract_dataset
from aqakit.files import default_cache
from aqakit.options import generated, option, with_signature
from aqakit.report import tables
from aqakit.training import Settings


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the run, the table and the figure.")] = Path(
        "demo"
    ),
    json: JsonFile = None,
) -> None:
    """Render dives, train on their pixels, evaluate on unseen ones and score one file: needs nothing."""
    result = run_demo(out, print_epoch(SETTINGS["epochs"]))
    tables.show(result.rows, title=result.title, notes=result.notes)
    tables.write(result.rows, json, "json")


def extract(
    dataset: Annotated[str, typer.Argument(help="Data set, as name or name:option=value.")],
    backbone: Annotated[list[str], typer.Option(help=BACKBONE.capitalize() + ".")],
    root: Annotated[Path | None, typer.Option(help="Its folder; for manifest the CSV file.")] = None,
    weights: Annotated[str | None, typer.Option(help="Weights for the backbone that takes them.")] = None,
    engine: Annotated[str, typer.Option(help="What runs the network: torch or openvino.")] = "torch",
    precision: Annotated[str, typer.Option(help="Its arithmetic: float32, bfloat16 or int8.")] = "float32",
    calibration: Annotated[Path | None, typer.Option(help="A recording like those to come, for int8.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that share the work; 0: none but this one.")] = 0,
    cluster: Annotated[
        str | None,
        typer.Option(help="Ray cluster that shares the work: host:port, or auto for the one of this machine."),
    ] = None,
    pack: Annotated[bool, typer.Option("--pack", help="Pack the cache: few files in place of many.")] = False,
    cache: Annotated[Path | None, typer.Option(help="Where the features are kept.")] = None,
    failures: Annotated[
        Path | None, typer.Option(help="Where broken recordings are listed (failures.csv in the cache).")
    ] = None,
) -> None:
    """Compute the features of a data set ahead of training; a second call does only what is missing."""
    file = failures or (cache or default_cache()) / "failures.csv"
    done = extract_dataset(
        dataset,
        root=root,
        backbones=with_weights(backbone, weights),
        engine=engine,
        precision=precision,
        calibration=calibration,
        cache=cache,
        workers=workers,
        cluster=cluster,
        pack=pack,
    )
    Console().print(done.sentence(), highlight=False, soft_wrap=True)
    file.unlink(missing_ok=True)  # an older list is not of this run
    if done.failures:
        file.parent.mkdir(parents=True, exist_ok=True)
        tables.write([{"id": name, "problem": why} for name, why in done.failures.items()], file, "csv")
        raise DataError(f"{len(done.failures)} could not be read; {file} says which and why")


def train_commands() -> typer.Typer:
    """``aqakit train METHOD``: a command for every file of ``methods/``."""
    train = typer.Typer(no_args_is_help=True)
    for name in discovery.names("methods"):
        module = discovery.find("methods", name)
        parameters = [
            option("data", "data set, as name or name:option=value", "--data", required=True),
            option("root", "its folder; for manifest the CSV file", "--root"),
            option("backbone", BACKBONE, "--backbone", required=True, kind=list[str]),
            option("weights", "weights for the backbone that takes them", "--weights"),
            option("out", "folder of the run", "--out", "-o", required=True),
            *generated(f"Options of {name}", module.build),
            *generated("Options of the run", recipe.common),
            *generated("Options of training", Settings),
        ]
        train.command(name, help=discovery.summary(module))(with_signature(partial(_train, name), parameters))
    return train


def _train(method: str, **given: Any) -> None:
    values = given_only(given)
    out = Path(values["out"])
    epochs = discovery.configure("training", Settings, {n: v for n, v in values.items() if n == "epochs"})["epochs"]
    chosen = with_weights(values.pop("backbone"), values.pop("weights", None))
    run = runs.train(method, backbone=chosen, report=print_epoch(epochs), **values)
    if not distributed.is_first():
        return
    for sentence in run.description["failures"].values():
        complain(f"left out: {sentence}")
    rows, notes = evaluate_run(run)
    title = f"{method} → {out}" + ("" if rows else ": trained on every scored sample, nothing held out")
    tables.show(rows, title=title, notes=notes, hide=DETAILS)
    show_descriptions(run)
