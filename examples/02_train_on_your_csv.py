"""Train on your own recordings, listed in a CSV file with the columns id, path and score.

    python examples/02_train_on_your_csv.py

The same in the shell, once the file exists:

    aqakit check manifest my_recordings/my.csv
    aqakit train dae --data manifest --root my_recordings/my.csv --backbone kinematics:channels=3:windows=2 \
        --validation 0.2 -o runs/mine
"""

import argparse
from pathlib import Path

from recordings import record

import aqakit
from aqakit import datasets
from aqakit.datasets.parts import health
from aqakit.evaluation.finished_run import DETAILS, evaluate_run
from aqakit.report import tables

parser = argparse.ArgumentParser()
parser.add_argument("--folder", type=Path, default=Path("my_recordings"), help="folder for the recordings")
parser.add_argument("--out", type=Path, default=Path("runs/mine"), help="folder of the run")
parser.add_argument("--epochs", type=int, default=30)
given = parser.parse_args()

manifest = record(given.folder)

# Check the data before training: is anything missing, duplicated, off the scale, or on both sides of the split?
report = health.check(datasets.load("manifest", manifest))
tables.show(report.rows(), title="health", notes=[f"{severity}: {what}" for severity, what in report.findings])

# The columns x, y and z are measured in each half of a recording. A fifth of the recordings is the test set; a fifth of
# the rest is the validation set, used to recalibrate the intervals.
run = aqakit.train(
    "dae",
    data="manifest:low=0:high=10",
    root=manifest,
    backbone="kinematics:channels=3:windows=2",
    validation=0.2,
    epochs=given.epochs,
    out=given.out,
)
rows, notes = evaluate_run(run)
tables.show(rows, title=f"dae on {manifest}", notes=notes, hide=DETAILS)

# A new recording is scored from its file alone.
answer = aqakit.load(given.out).predict(given.folder / "reach-000.txt")
print(f"reach-000: {answer.mean:.1f} ± {answer.std:.1f}")
