"""Make the pictures of the README and of docs/gallery.md, all from runs on rendered dives.

    python docs/gallery.py [NAME ...] [--work FOLDER]

Run it by hand when what is drawn looks different, and look at each picture; nothing else calls it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import textwrap
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

import aqakit
from aqakit import datasets, explanation
from aqakit.explanation.whole import Whole
from aqakit.recordings import video
from aqakit.report import figures
from aqakit.scores import drawing
from aqakit.scores.drawing import INK
from aqakit.training.run import Run
from aqakit.types import Sample

OUT = Path(__file__).parent / "gallery"
COUNT, SHOWN = 300, "dive-00042"
"""Dives that are rendered, and the unseen one that is shown."""

COLOURS = 256
"""Of a picture: enough for a page, and half of the bytes."""


def answer(work: Path) -> None:
    """Draw what a run says of one unseen dive: frames, the score with its intervals, words and trust."""
    run = aqakit.train(
        "sparse",
        data=f"synthetic_dives:count={COUNT}",
        root=work / "dives",
        backbone="movement:dimensions=2:layout=diver17:features=few",
        target="total",
        out=work / "sparse",
    )
    dive = next(s for s in datasets.load("synthetic_dives", work / "dives", count=COUNT).samples if s.id == SHOWN)
    assert SHOWN in run.ids("test")
    whole = explanation.whole.explain(run, dive.sources["skeleton"], difficulty=dive.difficulty, kind=dive.kind)
    save(_answer(run, dive, whole), "answer")


def _answer(run: Run, dive: Sample, whole: Whole) -> Figure:
    figure = Figure(figsize=(10, 4.9), dpi=100, layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=[1, 2.4])
    count = video.probe(dive.sources["video"]).frames
    figures.filmstrip(top, list(video.frames(dive.sources["video"], np.linspace(0.08, 0.95, 9) * (count - 1) // 1)))
    left, right = bottom.subplots(1, 2, width_ratios=[1, 1.05])
    drawing.curve(left, whole.answer, dive.score, run.labels.scale.unit)
    left.set_title(f"A dive that the run has not seen: {float(whole.answer.mean):.1f} points", fontsize=11, loc="left")
    right.axis("off")
    right.set_title("What cost points, and how far to trust it", fontsize=11, loc="left")
    assert whole.findings is not None
    assert run.trust is not None
    told = [f"• {sentence}" for sentence in whole.findings.sentences[:5]]
    trust = [f"{sentence[0].upper()}{sentence[1:]}." for sentence in run.trust.sentences()]
    lines = ["\n".join(textwrap.wrap(one, 68, subsequent_indent="  ")) for one in told]
    right.text(
        0, 0.97, "\n".join(lines), va="top", linespacing=1.35, fontsize=9.5, color=INK, transform=right.transAxes
    )
    right.text(
        0, 0.0, "\n".join(textwrap.wrap(" ".join(trust), 72)), fontsize=9.5, color=INK, transform=right.transAxes
    )
    return figure


def save(figure: Figure, name: str) -> None:
    """Write a picture, small enough for a page."""
    OUT.mkdir(exist_ok=True)
    file = OUT / f"{name}.png"
    figure.savefig(file)
    Image.open(file).convert("RGB").quantize(COLOURS).save(file, optimize=True)
    print(file, f"{file.stat().st_size / 1000:.0f} kB")


PICTURES = {"answer": answer}


def main() -> None:
    """Make the pictures that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*PICTURES, []], help=", ".join(PICTURES))
    parser.add_argument("--work", type=Path, help="folder that is kept; what it has is not made again")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = given.work or Path(temporary)
        os.environ.setdefault("AQAKIT_CACHE", str(work / "cache"))
        for name in given.names or PICTURES:
            PICTURES[name](work)


if __name__ == "__main__":
    main()
