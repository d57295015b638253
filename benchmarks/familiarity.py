"""Which recordings a run takes for unlike anything it has learnt from, on recordings that no rule was chosen on.

    python benchmarks/familiarity.py [VIDEO ...] [--demo FOLDER] [--jigsaws FOLDER] [--json FILE]

The run of `aqakit demo` (trained into the folder unless it is there) is asked about noise of eight kinds, rendered
dives of other seeds, in pools that it has not seen, and any videos given. With JIGSAWS at hand, a run on the kinematics
of Suturing is asked about Knot_Tying and about the Suturing trials that it was not trained on; and the other way round.
The rule was chosen on `white`, `still`, `grey` and `gradient`, on dives of seed 1 and on the run on Suturing; the rest
tells how it does elsewhere.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

import aqakit
from aqakit.datasets import synthetic_dives
from aqakit.datasets.parts.dives.render import encode
from aqakit.datasets.parts.loading import load
from aqakit.report import demo, tables
from aqakit.training.run import Run
from aqakit.types import Sample

SIZE = 128
DEGREE = 3.0  # declared difficulty of what is no dive

Generator = np.random.Generator
Noise = Callable[[Generator, int], np.ndarray]
"""Make n frames (n, SIZE, SIZE, 3) uint8."""


def white(rng: Generator, n: int) -> np.ndarray:
    """New noise in every frame."""
    return rng.integers(0, 256, (n, SIZE, SIZE, 3), dtype=np.uint8)


def still(rng: Generator, n: int) -> np.ndarray:
    """The same noise in every frame."""
    return white(rng, 1).repeat(n, 0)


def grey(rng: Generator, n: int) -> np.ndarray:
    """One grey."""
    return np.full((n, SIZE, SIZE, 3), rng.integers(0, 256), np.uint8)


def gradient(rng: Generator, n: int) -> np.ndarray:
    """Moving waves of colour."""
    y, x = (axis[None, ..., None] / SIZE for axis in np.mgrid[:SIZE, :SIZE])
    (down, right), phase, pace = rng.uniform(-2, 2, (2, 3)), rng.uniform(0, 2 * np.pi, 3), rng.uniform(-0.3, 0.3)
    moved = 2 * np.pi * (down * y + right * x) + phase + pace * np.arange(n)[:, None, None, None]
    return (127.5 + 127 * np.sin(moved)).astype(np.uint8)


def blurred(rng: Generator, n: int) -> np.ndarray:
    """Coloured clouds that change slowly."""
    reach = (rng.uniform(0.5, 5), *[rng.uniform(1, 8)] * 2, 0)
    clouds = gaussian_filter(rng.normal(size=(n, SIZE, SIZE, 3)), reach)
    return np.clip(rng.uniform(80, 170) + 45 * clouds / clouds.std(), 0, 255).astype(np.uint8)


def flicker(rng: Generator, n: int) -> np.ndarray:
    """One colour in each frame."""
    return rng.integers(0, 256, (n, 1, 1, 3), dtype=np.uint8).repeat(SIZE, 1).repeat(SIZE, 2)


def blocks(rng: Generator, n: int) -> np.ndarray:
    """Coloured squares that change together."""
    side, hold = int(rng.choice([4, 8, 16, 32])), int(rng.choice([1, 4, 16, n]))
    few = rng.integers(0, 256, (-(-n // hold), SIZE // side, SIZE // side, 3), dtype=np.uint8)
    return few.repeat(hold, 0)[:n].repeat(side, 1).repeat(side, 2)


def bars(rng: Generator, n: int) -> np.ndarray:
    """Coloured bars that move over one colour."""
    frames = np.zeros((n, SIZE, SIZE, 3), np.uint8) + rng.integers(0, 256, 3, dtype=np.uint8)
    for bar in range(6):
        colour, width = rng.integers(0, 256, 3), rng.integers(4, 30)
        start, pace = rng.uniform(0, SIZE), rng.uniform(-3, 3)
        for k, frame in enumerate(frames):
            at = int(start + pace * k) % SIZE
            (frame if bar % 2 else frame.swapaxes(0, 1))[at : at + width] = colour
    return frames


NOISE: tuple[Noise, ...] = (white, still, grey, gradient, blurred, flicker, blocks, bars)


def noise(folder: Path, count: int) -> Iterator[tuple[str, list[Path]]]:
    """Write videos of every kind, ``count`` together, and yield them by kind."""
    for kind, make in enumerate(NOISE):
        files = []
        for k in range(kind, count, len(NOISE)):
            rng = np.random.default_rng([11, k])
            files.append(folder / f"{make.__name__}-{k}.mp4")
            encode(map(Image.fromarray, make(rng, int(rng.integers(60, 130)))), files[-1], SIZE)
        if files:
            yield f"noise: {make.__name__}", files


def row(run: Run, name: str, samples: Sequence[Sample]) -> dict[str, Any]:
    """How many samples a run takes for unlike anything it has learnt from."""
    flags = [run.provenance(sample, run.embed([sample])).unfamiliar for sample in samples]
    return {"recordings": name, "samples": len(flags), "flagged": sum(flags), "share": float(np.mean(flags))}


def dives(run: Run, videos: Sequence[Path], work: Path, *, count: int, noisy: int, seeds: Sequence[int]) -> list[Any]:
    """Rows of a run that reads dives."""
    rows = [row(run, path.name, [run.sample(path, DEGREE)]) for path in videos]
    for kind, files in noise(work, noisy):
        rows.append(row(run, kind, [run.sample(path, DEGREE) for path in files]))
    for seed in seeds:
        unseen = synthetic_dives.samples(None, count=count, seed=seed)
        rows.append(row(run, f"{count} dives of seed {seed}", unseen))
    return rows


def jigsaws(root: Path, work: Path, task: str, other: str) -> list[Any]:
    """Rows of a run on the kinematics of one task."""
    run = aqakit.train("dae", data="jigsaws", root=root, task=task, backbone="kinematics", epochs=2, out=work / task)
    known, rows = set(run.training_summary.ids), []
    for name in (other, task):
        new = [s for s in load("jigsaws", root).task(name).samples if "signal" in s.sources and s.id not in known]
        rows.append(row(run, f"{name}, by a run on {task}", new))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", nargs="*", type=Path, help="videos to ask about")
    parser.add_argument("--demo", type=Path, help="folder of aqakit demo (a new one)")
    parser.add_argument("--run", type=Path, help="a run on videos, instead of the demo's")
    parser.add_argument("--jigsaws", type=Path, help="folder of JIGSAWS")
    parser.add_argument("--noise", type=int, default=100, help="videos of noise (100)")
    parser.add_argument("--dives", type=int, default=200, help="unseen dives of each seed (200)")
    parser.add_argument("--seeds", default="1,2,3", help="seeds of unseen dives, with commas (1,2,3)")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        if given.run is None:
            demo.demo(given.demo or work / "demo", lambda epoch, losses: print(f"epoch {epoch}", flush=True))
        run = aqakit.load(given.run or (given.demo or work / "demo") / "run")
        seeds = [int(seed) for seed in given.seeds.split(",")]
        rows = dives(run, given.videos, work, count=given.dives, noisy=given.noise, seeds=seeds)
        if given.jigsaws:
            rows += jigsaws(given.jigsaws, work, "Suturing", "Knot_Tying")
            rows += jigsaws(given.jigsaws, work, "Knot_Tying", "Suturing")
    with tables.beside(given.json):
        tables.show(rows, title="taken for unlike anything the run has learnt from")
    tables.write(rows, given.json, "json")


if __name__ == "__main__":
    main()
