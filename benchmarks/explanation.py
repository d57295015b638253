"""Whether the clip that holds the entry carries most of the score's change when only the entry's execution is changed.

Pairs of dives are rendered that differ in nothing but the entry, poor or flawless in its angle and its splash; a run
scores and explains both. ``share`` is that of the pairs in which the contribution of the clip that has most of the
entry changed more than that of any other clip. The run needs several clips a video, as of
``aqakit train dae --data synthetic_dives:count=680 --backbone c3d_small:clips=4:frames=8 --target total --finetune``.
The more clips, the later the splash is to be seen than the entry: with six it is in the clip after it.
Run ``python benchmarks/explanation.py RUN [--pairs 50] [--json FILE]``.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

import aqakit
from aqakit.datasets.synthetic_dives import Dive, dives, render
from aqakit.explanation import Explanation, explain
from aqakit.runs import Run

FPS = 30
ENTRY = 0.2  # seconds from the touch of the hands until the body is under water
PARTS = ("entry", "splash")  # the angle of the body as it enters, and the splash
POOR, FLAWLESS = 0.1, 1.0
UNSEEN = 12_345  # the seed of dives that no run has learnt from
DIFFICULTY = 3.0  # the same for all: it scales every contribution alike


def explained(run: Run, dive: Dive, entry: float, folder: Path) -> Explanation:
    file = folder / "dive.mp4"
    render(replace(dive, execution=replace(dive.execution, **dict.fromkeys(PARTS, entry))), file)
    return explain(run, file, difficulty=DIFFICULTY)


def entry_clip(found: Explanation, touch: float) -> int:
    """The clip that has most of the entry, from the frame at which the hands touch the water."""
    shared = [min(clip.last + 1, touch + ENTRY * FPS) - max(clip.first, touch) for clip in found.clips]
    return int(np.argmax(shared))


def compare(run: Run, dive: Dive, folder: Path) -> dict:
    poor, flawless = (explained(run, dive, entry, folder) for entry in (POOR, FLAWLESS))
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
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    run = aqakit.load(given.run)
    with tempfile.TemporaryDirectory() as folder:
        rows = [compare(run, dive, Path(folder)) for dive in dives(given.pairs, seed=UNSEEN)]
    for row in rows:
        print(f"{row['dive']:>6}  {row['change']:+7.2f}  clip {row['clip']}  {row['by_clip']}  {row['carried']}")
    share = np.mean([row["carried"] for row in rows])
    print(f"the clip that holds the entry carries most of the change in {share:.0%} of {len(rows)} pairs")
    if given.json:
        given.json.write_text(json.dumps({"share": share, "pairs": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
