"""``aqakit export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aqakit import training


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file: .onnx, or .xml for OpenVINO.")],
    clips: Annotated[
        int | None, typer.Option(min=1, help="Clips of every video, if their number cannot stay open.")
    ] = None,
) -> None:
    """Export a run as one network, in ONNX or for OpenVINO.

    It is written only if it gives the scores of the run.
    """
    made = training.export.export(training.run.load(run), out, clips=clips)
    for sentence in training.exported.sentences(made.about):
        print(sentence)
    share = f"{made.about['tolerance']:g} of the scale"
    print(f"{made.file}: outputs {', '.join(made.about['outputs'])}, compared with the run and equal within {share}")
