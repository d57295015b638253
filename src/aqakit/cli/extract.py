"""``aqakit extract``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aqakit import features
from aqakit.cli.common import complain
from aqakit.cli.options import BACKBONE, with_weights
from aqakit.errors import DataError
from aqakit.report import tables
from aqakit.system import terminal
from aqakit.system.files import default_cache
from aqakit.system.output import is_replaceable


def extract(
    dataset: Annotated[str, typer.Argument(help="Data set, as name or name:option=value.")],
    backbone: Annotated[list[str], typer.Option(help=BACKBONE.capitalize() + ".")],
    root: Annotated[Path | None, typer.Option(help="Folder of the data set; for manifest, the CSV file.")] = None,
    weights: Annotated[str | None, typer.Option(help="Weights for the backbone that takes them.")] = None,
    engine: Annotated[str, typer.Option(help="Inference engine: auto, torch or openvino.")] = "auto",
    precision: Annotated[str, typer.Option(help="Precision: float32, bfloat16 or int8.")] = "float32",
    calibration: Annotated[Path | None, typer.Option(help="A representative recording, for int8.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Number of worker processes; 0: only this one.")] = 0,
    cluster: Annotated[
        str | None,
        typer.Option(help="Ray cluster to use: host:port, or auto for the one on this machine."),
    ] = None,
    pack: Annotated[bool, typer.Option("--pack", help="Pack the cache into few files.")] = False,
    cache: Annotated[Path | None, typer.Option(help="Folder of the feature cache.")] = None,
    failures: Annotated[
        Path | None, typer.Option(help="CSV file that lists broken recordings (failures.csv in the cache).")
    ] = None,
) -> None:
    """Compute the features of a data set ahead of training.

    Write them to the cache. A second call computes only what is missing.
    """
    file = failures or (cache or default_cache()) / "failures.csv"
    done = features.dataset.extract_dataset(
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
    for name, sentence in done.doubts.items():
        complain(f"{name}: {sentence}")
    terminal.line(done.sentence())
    if is_replaceable(file):
        file.unlink(missing_ok=True)  # of an earlier run
    if done.failures:
        file.parent.mkdir(parents=True, exist_ok=True)
        tables.write([{"id": name, "problem": why} for name, why in done.failures.items()], file, "csv")
        raise DataError(f"{len(done.failures)} recordings could not be read; see {file}")
