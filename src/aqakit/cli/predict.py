"""``aqakit predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aqakit import training
from aqakit.cli.common import CsvFile, JsonFile, complain
from aqakit.errors import OptionError
from aqakit.report import tables
from aqakit.system.output import is_standard_output


def predict(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    recordings: Annotated[list[Path] | None, typer.Argument(help="Videos, folders of frames, or signals.")] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="CSV file of recordings, in the format of the data set manifest.")
    ] = None,
    difficulty: Annotated[float | None, typer.Option(help="Declared difficulty, for a run with target total.")] = None,
    repetitions: Annotated[
        bool, typer.Option("--repetitions", help="Find the repetitions in each recording, and score each of them.")
    ] = False,
    calibrate_person: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Recording of the same person known to be right, which shifts the scores; repeatable."
        ),
    ] = None,
    json: JsonFile = None,
    csv: CsvFile = None,
) -> None:
    """Predict the scores of recordings with a finished run.

    Print score, standard deviation and 90 % interval of each recording.
    """
    if (manifest is None) == (not recordings):
        raise OptionError("give recordings to score, or --manifest FILE")
    if is_standard_output(json) and is_standard_output(csv):
        raise OptionError("only one of --json and --csv can go to standard output")
    loaded = training.run.load(run)
    given = recordings or manifest
    assert given is not None
    shift = training.scoring.person(loaded, calibrate_person, difficulty) if calibrate_person else None
    rows, failed = training.scoring.score_recordings(loaded, given, difficulty, repetitions=repetitions, shift=shift)
    if rows:
        title = f"{loaded.recipe.method}, scores in {loaded.labels.scale.unit}"
        scoring = training.scoring
        with tables.beside(json, csv):
            tables.show(rows, title=title, notes=scoring.doubts(loaded, rows, shift), hide=scoring.DETAILS)
    tables.write(rows, json, "json")
    tables.write(rows, csv, "csv")
    for sentence in (*training.scoring.off_scale(rows, loaded.labels.scale), *failed):
        complain(sentence)
    if failed:
        raise typer.Exit(1)
