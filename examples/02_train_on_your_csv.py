"""Train on recordings of your own, listed in a CSV file with the columns id, path and score.

    python examples/02_train_on_your_csv.py

The same in the shell, once the file is there:

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
parser.add_argument("--folder", type=Path, default=Path("my_recordings"), help="where the recordings go")
parser.add_argument("--out", type=Path, default=Path("runs/mine"), help="folder of the run")
parser.add_argument("--epochs", type=int, default=30)
given = parser.parse_args()

manifest = record(given.folder)

# Look before you train: what is missing, twice there, off the scale, or on both sides of the split?
report = health.check(datasets.load("manifest", manifest))
tables.show(report.rows(), title="health", notes=[f"{severity}: {what}" for severity, what in report.findings])

# Three columns, x, y and z, each measured in two halves of the recording. A fifth of the recordings is tested on;
# of the rest a fifth is held out, so that the intervals can be set right.
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

# Anything recorded later is scored by its file alone.
answer = aqakit.load(given.out).predict(given.folder / "reach-000.txt")
print(f"reach-000: {answer.mean:.1f} ± {answer.std:.1f}")
