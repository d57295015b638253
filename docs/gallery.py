"""Make the pictures of the README and of docs/gallery.md, all from runs on rendered dives.

    python docs/gallery.py [NAME ...] [--work FOLDER]

Run it by hand when what is drawn looks different, and look at each picture; nothing else calls it. The commands are
those of the page. It needs Chromium and the extras ``dev`` for the report, and some minutes.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from playwright.sync_api import sync_playwright

import aqakit
from aqakit import datasets, explanation
from aqakit.explanation.whole import Whole
from aqakit.recordings import video
from aqakit.report import figures, one_page, score_sheet
from aqakit.scores import drawing
from aqakit.scores.drawing import INK
from aqakit.training.run import Run
from aqakit.types import Sample

DOCS = Path(__file__).parent
OUT = DOCS / "gallery"
SHOWN = "dive-00042"
"""The unseen dive that is shown."""

COLOURS = 256
"""Of a picture: enough for a page, and half of the bytes."""

WIDTH, HEIGHT = 1000, 1300
"""Most of a picture, in pixels."""

BROWSER = (1200, 1250)
"""Of a page in the browser, in pixels."""


def commands() -> dict[str, list[str]]:
    """The commands of each section of the page, by the name of its first picture."""
    found = {}
    for section in (DOCS / "gallery.md").read_text(encoding="utf-8").split("\n## ")[1:]:
        block = "".join(re.findall(r"```console\n(.*?)```", section, re.DOTALL))
        (name, *_) = re.findall(r"\(gallery/([\w-]+)\.\w+\)", section)
        found[name] = [line.removeprefix("$ ") for line in block.splitlines()]
    return found


def call(name: str) -> None:
    """Run the commands of a section, but what earlier sections have run; a finished run is only opened."""
    for line in commands()[name]:
        words = shlex.split(line)
        named = [sorted(map(str, Path().glob(word))) if "*" in word else [word] for word in words[1:]]
        subprocess.run([sys.executable, "-m", *words[:1], *(word for some in named for word in some)], check=True)


def opened() -> tuple[Run, Sample, Whole]:
    """The run on the joints of dives, the dive that is shown, and all that the run says of it."""
    run = aqakit.load("runs/first")
    dive = next(s for s in datasets.load("synthetic_dives", Path("dives"), count=300).samples if s.id == SHOWN)
    assert SHOWN in run.ids("test")
    whole = explanation.whole.explain(run, dive.sources["skeleton"], difficulty=dive.difficulty, kind=dive.kind)
    return run, dive, whole


def answer() -> None:
    """Draw what a run says of one unseen dive: frames, the score with its intervals, words and trust."""
    call("answer")
    run, dive, whole = opened()
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
    lines = "\n".join("\n".join(textwrap.wrap(one, 68, subsequent_indent="  ")) for one in told)
    style = {"fontsize": 9.5, "color": INK, "transform": right.transAxes}
    right.text(0, 0.97, lines, va="top", linespacing=1.35, **style)
    right.text(0, 0.0, "\n".join(textwrap.wrap(" ".join(trust), 72)), **style)
    save(figure, "answer")


def demo() -> None:
    """Keep the picture of the demo."""
    call("demo")
    reduce(Path("demo/demo.png"), "demo")


def page() -> None:
    """Draw the page that ``aqakit explain --pdf`` writes of the sample of the demo."""
    call("page")
    (line,) = commands()["page"]
    _, _, run, file, _, difficulty, *_ = shlex.split(line)
    loaded = aqakit.load(run)
    whole = explanation.whole.explain(loaded, file, difficulty=float(difficulty))
    sheet = one_page.draw_page(score_sheet.of(loaded, whole))
    sheet.set_dpi(96)
    save(sheet, "page")


def several() -> None:
    """Draw the answers to several dives, as ``run.predict([…]).plot()`` does."""
    run = aqakit.load("runs/first")
    files = sorted(Path("dives").glob("*/*.npy"))
    dives = {s.id: s for s in datasets.load("synthetic_dives", Path("dives"), count=300).samples}
    chosen = [file for file in files if file.stem in run.ids("test")[:8]]
    answers = run.predict(chosen, difficulty=[dives[file.stem].difficulty for file in chosen])
    figure = answers.plot()
    figure.axes[0].set_yticks(range(len(chosen)), [file.name for file in chosen])
    figure.savefig(OUT / "several.svg")


def report() -> None:
    """Photograph the beginning of a report, and keep figures that it writes."""
    call("report")
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": BROWSER[0], "height": BROWSER[1]})
        shown.goto(Path("report.html").resolve().as_uri())
        shown.screenshot(path="report.png")
    reduce(Path("report.png"), "report")
    written = Path("figures")
    for name in ("predicted-against-true-svr", "reliability", "risk-coverage", "learning-curve-regression"):
        shutil.copyfile(written / f"synthetic-dives-{name}.svg", OUT / f"{name}.svg")


def labels() -> None:
    """Keep the figure of few labels."""
    call("labels")
    (file,) = Path("few").glob("*labels*.svg")
    shutil.copyfile(file, OUT / "labels.svg")


def compare() -> None:
    """Keep the figure of two dives side by side."""
    call("compare")
    shutil.copyfile("compare.svg", OUT / "compare.svg")


def save(figure: Figure, name: str) -> None:
    """Write a picture, small enough for a page."""
    figure.savefig(f"{name}.png")
    reduce(Path(f"{name}.png"), name)


def reduce(file: Path, name: str) -> None:
    """Copy a picture with fewer colours."""
    small = OUT / f"{name}.png"
    picture = Image.open(file).convert("RGB")
    picture.thumbnail((WIDTH, HEIGHT))
    picture.quantize(COLOURS).save(small, optimize=True)
    print(small, f"{small.stat().st_size / 1000:.0f} kB")


PICTURES: dict[str, Callable[[], None]] = {
    one.__name__: one for one in (answer, demo, page, several, report, labels, compare)
}


def main() -> None:
    """Make the pictures that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PICTURES))
    parser.add_argument("--work", type=Path, help="folder that is kept; what it has is not made again")
    given = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        work = (given.work or Path(temporary)).resolve()
        os.environ.setdefault("AQAKIT_CACHE", str(work / "cache"))
        os.chdir(work)
        for name in given.names or PICTURES:
            PICTURES[name]()


if __name__ == "__main__":
    main()
