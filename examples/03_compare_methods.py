"""Compare methods honestly: all folds, several seeds, floors, and the papers' rule beside the honest one.

    python examples/03_compare_methods.py

The same in the shell: aqakit benchmark manifest --root my_recordings/my.csv --backbone kinematics:channels=3:windows=2
--methods regression,usdl,dae --rules last,best-test --seeds 2 --epochs 30
"""

import argparse
from pathlib import Path

from recordings import record

import aqakit
from aqakit.report import tables

parser = argparse.ArgumentParser()
parser.add_argument("--folder", type=Path, default=Path("my_recordings"), help="where the recordings go")
parser.add_argument("--json", type=Path, help="write the table here too")
parser.add_argument("--epochs", type=int, default=30)
given = parser.parse_args()

# A floor that looks at nothing but the length of a recording is beaten before anything was learnt of quality.
# "best-test" takes the epoch that happens to suit the test samples, as published tables do; what it gains over
# "last" is the price of having looked, and it says "optimistic" wherever it appears.
table = aqakit.benchmark(
    "manifest:low=0:high=10",
    root=record(given.folder),
    backbones=["kinematics:channels=3:windows=2"],
    methods=["regression", "usdl", "dae"],
    rules=["last", "best-test"],
    seeds=2,
    epochs=given.epochs,
)
tables.show(table.rows, title=table.title, notes=table.notes, hide=table.details)
tables.write(table.rows, given.json, "json")

honest = {row["method"]: row["spearman"] for row in table.rows if row["rule"] == "last"}
looked = {row["method"]: row["spearman"] for row in table.rows if row["optimistic"]}
for method, value in honest.items():
    print(f"{method}: {value:.3f}; with the test scores looked at {looked[method]:.3f}")
