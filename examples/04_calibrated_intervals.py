"""Calibrated intervals: recalibrate on validation samples, and measure coverage on test samples.

python examples/04_calibrated_intervals.py
"""

import argparse
from pathlib import Path

import torch
from recordings import record

import aqakit
from aqakit.metrics.calibration import coverage, width
from aqakit.report import tables
from aqakit.scores.recalibration import Conformal, Isotonic

parser = argparse.ArgumentParser()
parser.add_argument("--folder", type=Path, default=Path("my_recordings"), help="folder for the recordings")
parser.add_argument("--out", type=Path, default=Path("runs/calibrated"), help="folder of the run")
parser.add_argument("--epochs", type=int, default=30)
given = parser.parse_args()

# A network trained to convergence is overconfident on unseen samples. The validation samples are not trained on, so
# they show how overconfident it is.
run = aqakit.train(
    "usdl",
    data="manifest:low=0:high=10",
    root=record(given.folder, count=400),
    backbone="kinematics:channels=3:windows=2",
    validation=0.3,
    epochs=given.epochs,
    out=given.out,
)
predicted, held_out = run.prediction("test"), run.prediction("validation")
true, known = run.truth("test"), torch.from_numpy(run.truth("validation"))

# Conformal keeps the mean and stretches the spread; isotonic keeps the predicted shape. run.predict() applies the first
# by default, because this run has validation samples.
answers = {
    "as predicted": predicted,
    "conformal": Conformal.fit(held_out, known).apply(predicted),
    "isotonic": Isotonic.fit(held_out, known).apply(predicted),
}
rows = [
    {
        "intervals": name,
        **{f"inside {level:.0%}": coverage(answer, true, level) for level in (0.5, 0.8, 0.9)},
        "width of 90%": width(answer, 0.9),
    }
    for name, answer in answers.items()
]
notes = ["Each column should show the share that it is named after, with intervals as narrow as possible."]
tables.show(rows, title=f"{len(true)} unseen recordings", notes=notes)
