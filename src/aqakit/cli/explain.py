"""``aqakit explain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aqakit import explanation, training
from aqakit.cli.common import JsonFile, KindOption, StepsOption, steps_of
from aqakit.report import tables


def explain(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    recording: Annotated[Path, typer.Argument(help="A video, a folder of frames, or a signal.")],
    difficulty: Annotated[float | None, typer.Option(help="Declared difficulty, for a run with target total.")] = None,
    kind: KindOption = None,
    steps: StepsOption = None,
    json: JsonFile = None,
) -> None:
    """Explain a score: how many points each clip adds, and what each group of named measures adds.

    Also say in words which measures cost points, and list the training videos most similar to the recording.
    """
    loaded = training.run.load(run)
    listed = steps_of(steps)
    found = explanation.contributions.explain(loaded, recording, difficulty=difficulty, kind=kind, steps=listed)
    said = explanation.measures.explain(loaded, recording, difficulty=difficulty, kind=kind, steps=listed)
    with tables.beside(json):
        unit = loaded.labels.scale.unit
        title = f"{recording}: {found.prediction:.2f} {unit}, {found.baseline:.2f} if every clip were average"
        notes = ["points: added to the score by the clip.", *found.notes]
        tables.show([vars(clip) for clip in found.clips], title=title, notes=notes)
        if said:
            tables.show(said.rows(), title=f"measures, against {said.compared} better recordings: {said.baseline:.2f}")
            tables.show([{"in words": sentence} for sentence in said.sentences])
        tables.show([vars(exemplar) for exemplar in found.exemplars], title="nearest in training")
    tables.write([found.to_json() | ({"measures": said.to_json()} if said else {})], json, "json")
