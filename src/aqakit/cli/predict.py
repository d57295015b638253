"""``aqakit predict``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aqakit import recordings as reading
from aqakit import training
from aqakit.cli.common import CsvFile, KindOption, SegmentsFile, StepsOption, complain, steps_of
from aqakit.errors import OptionError
from aqakit.report import tables
from aqakit.report.output import Output
from aqakit.system.output import is_replaceable, is_standard_output

if TYPE_CHECKING:
    from aqakit.training.exported import Exported
    from aqakit.training.journal import Journal
    from aqakit.types import ScoreScale, Segment


def predict(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run, or a file that aqakit export wrote.")],
    recordings: Annotated[
        list[Path] | None, typer.Argument(help="Recordings, folders of them, or patterns such as 'films/*.mp4'.")
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="CSV file of recordings, in the format of the data set manifest.")
    ] = None,
    difficulty: Annotated[float | None, typer.Option(help="Declared difficulty, for a run with target total.")] = None,
    kind: KindOption = None,
    steps: StepsOption = None,
    segments: SegmentsFile = None,
    repetitions: Annotated[
        bool, typer.Option("--repetitions", help="Find the repetitions in each recording, and score each of them.")
    ] = False,
    calibrate_person: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Recording of the same person known to be right, which shifts the scores; repeatable."
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=0, help="Number of processes that share the work, by Ray; 0: only this one.")
    ] = 0,
    cluster: Annotated[
        str | None, typer.Option(help="Ray cluster to use: host:port, or auto for the one on this machine.")
    ] = None,
    csv: CsvFile = None,
    *,
    output: Output,
) -> None:
    """Predict the scores of recordings with a finished run.

    Print score, standard deviation and 90 % interval of each recording. With
    --csv or --json, rows are kept as they are made: the same command goes on
    where a killed one stopped.
    """
    if (manifest is None) == (not recordings):
        raise OptionError("give recordings to score, or --manifest FILE")
    printing = output.beside(csv=csv)
    if segments and manifest:
        raise OptionError(
            "--segments names the parts of one recording; in a manifest, they stand in the column segments"
        )
    named = reading.segments.read(segments) if segments else ()
    given = recordings or manifest
    assert given is not None
    if training.exported.is_exported(run):
        if repetitions or calibrate_person or workers or cluster or kind or steps:
            raise OptionError(
                "an exported network scores whole recordings in this process; --repetitions, --calibrate-person, "
                "--workers, --cluster, --kind and --steps need the run folder"
            )
        _predict_exported(training.exported.Exported(run), given, difficulty, named, output, csv)
        return
    loaded = training.run.load(run)
    shift = training.scoring.person(loaded, calibrate_person, difficulty) if calibrate_person else None
    kept = next((file for file in (csv, output.json) if file is not None and not is_standard_output(file)), None)
    work = [loaded.description["fingerprint"], shift and shift.points]
    journal = training.journal.Journal.beside(kept if kept and is_replaceable(kept) else None, work)
    rows, failed = training.scoring.score_recordings(
        loaded,
        given,
        difficulty,
        kind=kind,
        steps=steps_of(steps),
        segments=named,
        repetitions=repetitions,
        shift=shift,
        workers=workers,
        cluster=cluster,
        journal=journal,
    )
    if rows:
        title = f"{loaded.recipe.method}, scores in {loaded.labels.scale.unit}"
        scoring = training.scoring
        with printing:
            output.show(rows, title=title, notes=scoring.doubts(loaded, rows, shift), hide=_hidden(rows))
    _finish(rows, failed, loaded.labels.scale, output, csv, journal)


def _predict_exported(
    model: Exported,
    given: list[Path] | Path,
    difficulty: float | None,
    named: Sequence[Segment],
    output: Output,
    csv: Path | None,
) -> None:
    rows, failed = model.score(given, difficulty, named)
    if rows:
        title = f"{model.about['method']}, scores in {model.scale.unit}"
        scoring = training.scoring
        notes = [training.exported.MISSING, *scoring.reading_doubts(rows)]
        with output.beside(csv=csv):
            output.show(rows, title=title, notes=notes, hide=_hidden(rows))
    _finish(rows, failed, model.scale, output, csv)


def _hidden(rows: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    return *training.scoring.DETAILS, *training.rows.unprinted(rows)


def _finish(
    rows: list[dict[str, Any]],
    failed: list[str],
    scale: ScoreScale,
    output: Output,
    csv: Path | None,
    journal: Journal | None = None,
) -> None:
    """Write the rows, and say what could not be scored."""
    written = training.rows.rounded(rows, scale)
    output.write(written)
    tables.write(written, csv, "csv")
    if journal:
        journal.remove()
    for sentence in (*training.scoring.off_scale(rows, scale), *failed):
        complain(sentence)
    if failed:
        raise typer.Exit(1)
