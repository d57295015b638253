"""``aqakit explain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aqakit import explanation, recordings, report, training
from aqakit.cli.common import KindOption, SegmentsFile, StepsOption, steps_of
from aqakit.errors import OptionError
from aqakit.report import tables
from aqakit.report.output import Output


def explain(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    recording: Annotated[Path, typer.Argument(help="A video, a folder of frames, or a signal.")],
    difficulty: Annotated[float | None, typer.Option(help="Declared difficulty, for a run with target total.")] = None,
    kind: KindOption = None,
    steps: StepsOption = None,
    segments: SegmentsFile = None,
    pdf: Annotated[Path | None, typer.Option(help="Write one page to print: score, words, moments, trust.")] = None,
    *,
    output: Output,
) -> None:
    """Explain a score: how many points each clip adds, and what each group of named measures adds.

    Also say in words which measures cost points, and list the training videos most similar to the recording. With
    --segments, clips have the names of the parts that they are in, and what each part adds is said. --pdf writes all of
    it on one page of A4.
    """
    if pdf is not None:
        _check_pdf(pdf)
    loaded = training.run.load(run)
    listed, named = steps_of(steps), recordings.segments.read(segments) if segments else ()
    whole = explanation.whole.explain(loaded, recording, difficulty=difficulty, kind=kind, steps=listed, segments=named)
    found, said = whole.explanation, whole.findings
    with output.beside():
        unit = loaded.labels.scale.unit
        title = f"{recording}: {found.prediction:.2f} {unit}, {found.baseline:.2f} if every clip were average"
        notes = ["points: added to the score by the clip.", *found.notes]
        output.show([vars(clip) for clip in found.clips], title=title, notes=notes, hide=() if named else ("name",))
        if found.parts:
            output.show([{"parts": part.sentence, "clips": part.clips, "error": part.error} for part in found.parts])
        if said:
            title = f"measures, against {said.compared} better recordings: {said.baseline:.2f}"
            output.show(said.rows(), title=title, hide=("error", "noise"))
            output.show([{"in words": sentence} for sentence in said.sentences])
        output.show([vars(exemplar) for exemplar in found.exemplars], title="nearest in training")
    output.write([found.to_json() | ({"measures": said.to_json()} if said else {})])
    if pdf is not None:
        report.one_page.write(report.score_sheet.of(loaded, whole), pdf)


def _check_pdf(file: Path) -> None:
    """Check the file before any work is done for it."""
    if file.suffix.lower() != ".pdf":
        raise OptionError(f"{file} should end with .pdf")
    tables.check_files(pdf=file)
