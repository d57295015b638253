"""Score a video: train on rendered dives, then predict the score of one MP4 file.

python examples/01_score_a_video.py                      # trains for about two minutes, scores a rendered dive
python examples/01_score_a_video.py my_dive.mp4 --difficulty 3.2
"""

import argparse
from pathlib import Path

import aqakit
from aqakit import datasets
from aqakit.report.demo import SETTINGS

parser = argparse.ArgumentParser()
parser.add_argument("video", nargs="?", type=Path, help="video to score (default: a held-out rendered dive)")
parser.add_argument("--difficulty", type=float, help="declared difficulty of the dive")
parser.add_argument("--out", type=Path, default=Path("runs/dives"), help="folder of the run")
parser.add_argument("--dives", type=int, default=640, help="number of dives to render")
parser.add_argument("--epochs", type=int, default=SETTINGS["epochs"])
given = parser.parse_args()

# DAE and a small 3D network, trained end to end from pixels. They predict the judges' total, which is multiplied by the
# declared difficulty to get the score. If the folder already holds this run, it is loaded instead of trained again.
settings = SETTINGS | {"data": f"synthetic_dives:count={given.dives}", "epochs": given.epochs}
run = aqakit.train("dae", **settings, out=given.out)

video, difficulty = given.video, given.difficulty
if video is None:
    unseen = run.ids("test")[0]
    dive = next(s for s in datasets.load("synthetic_dives", count=given.dives).samples if s.id == unseen)
    video, difficulty = dive.sources["video"], dive.difficulty
    print(f"{dive.caption} The judges gave {dive.score:.1f}.")

# The prediction is a distribution of scores, not a single number.
answer = run.predict(video, difficulty=difficulty)
low, high = answer.interval(0.9)
print(f"{video}: {answer.mean:.1f} ± {answer.std:.1f} {run.labels.scale.unit}")
print(f"90 % interval: between {low:.1f} and {high:.1f}")
print(f"more than 60 points with probability {1 - answer.cdf(60):.2f}")
