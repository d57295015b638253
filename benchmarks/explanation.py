"""Check that changing only a dive's entry changes mainly the contribution of the clip that holds the entry.

The two dives of a pair differ only in ``--parts``, which are poor or flawless: ``entry`` is the body's deviation from
vertical, ``splash`` is what the water does after it. A run scores and explains both. ``share`` is the share of pairs in
which the contribution of the clip with most of the entry changed more than that of any other clip. The error in
rotation grows as the body turns, so a poor entry shows before the hands touch the water; a splash shows after.

The run needs several clips per video. With three, the last holds the entry and what is seen of the body after it;
shorter clips divide what shows before and after. With the pose estimator of ``benchmarks/pose_estimator.py``:

    aqakit train regression --data synthetic_dives:count=680 --target total --standardise yes --validation 0.15 \\
        --backbone pose:model=diver.xml:size=128:plan=uniform/count=3/frames=16/stride=2 --dropout 0.3 \\
        --epochs 60 --batch-size 32 --weight-decay 0.001 --schedule one-cycle --out RUN

A run that reads stored joints (backbone ``skeleton``) gets those, and nothing is rendered. Run
``python benchmarks/explanation.py RUN [--parts entry,splash] [--pairs 50] [--seed 12345] [--json FILE]``.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

import aqakit
from aqakit.datasets.parts.dives.render import frames
from aqakit.datasets.synthetic_dives import Dive, Execution, dives, render
from aqakit.explanation.contributions import Explanation, explain
from aqakit.report import tables
from aqakit.system.output import write_output
from aqakit.training.run import Run

FPS, SIZE = 30, 128
ENTRY = 0.2  # seconds from the hands touching the water until the body is under water
POOR, FLAWLESS = 0.1, 1.0
UNSEEN = 12_345  # seed of dives that no run was trained on
DIFFICULTY = 3.0  # the same for all: it scales all contributions equally


def explained(run: Run, dive: Dive, changed: dict[str, float], folder: Path) -> Explanation:
    dive = replace(dive, execution=replace(dive.execution, **changed))
    if run.only_input() == "skeleton":
        file = folder / "dive.npy"
        np.save(file, frames(dive, SIZE)[1])
    else:
        file = folder / "dive.mp4"
        render(dive, file)
    return explain(run, file, difficulty=DIFFICULTY)


def entry_clip(found: Explanation, touch: float) -> int:
    """Return the clip with most of the entry, given the frame at which the hands touch the water."""
    shared = [min(clip.last + 1, touch + ENTRY * FPS) - max(clip.first, touch) for clip in found.clips]
    return int(np.argmax(shared))


def compare(run: Run, dive: Dive, parts: Sequence[str], folder: Path) -> dict:
    poor, flawless = (explained(run, dive, dict.fromkeys(parts, how), folder) for how in (POOR, FLAWLESS))
    change = np.array([b.points - a.points for a, b in zip(poor.clips, flawless.clips, strict=True)])
    clip = entry_clip(poor, dive.timing.touch * FPS)
    return {
        "dive": dive.number,
        "change": round(flawless.prediction - poor.prediction, 2),
        "clip": clip,
        "by_clip": change.round(2).tolist(),
        "carried": bool(np.abs(change).argmax() == clip),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--parts", default="entry", help=f"some of {', '.join(f.name for f in fields(Execution))}")
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=UNSEEN, help="seed of the dives; choose the plan on another")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    run, parts = aqakit.load(given.run), given.parts.split(",")
    with tempfile.TemporaryDirectory() as folder:
        rows = [compare(run, dive, parts, Path(folder)) for dive in dives(given.pairs, seed=given.seed)]
    share = float(np.mean([row["carried"] for row in rows]))
    with tables.beside(given.json):
        for row in rows:
            print(f"{row['dive']:>6}  {row['change']:+7.2f}  clip {row['clip']}  {row['by_clip']}  {row['carried']}")
        print(f"{given.parts}: the clip that holds the entry changes most in {share:.0%} of {len(rows)} pairs")
    if given.json:
        found = {"parts": parts, "seed": given.seed, "share": share, "pairs": rows}
        write_output(given.json, json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
