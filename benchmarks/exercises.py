"""How rehabilitation exercises are judged: UI-PRMD right or wrong, KIMORE by the clinicians' total, by people unseen.

    python benchmarks/exercises.py DATA [--movements m01,m02] [--seeds 3] [--json FILE]

DATA is a folder with `ui-prmd/` and `kimore/`. One setting is used for all movements of UI-PRMD, with five folds by
subject and one seed; KIMORE has five folds by person and three seeds. The settings were chosen by cross-validation
inside the training people of single folds, on m01 to m05 and exercise 1.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import aqakit
from aqakit.datasets.ui_prmd import MOVEMENTS
from aqakit.report import tables

UI_PRMD = {"rocket": "movement:features=places", "trees": "movement"}
KIMORE = {"trees:leaf=3": "kinematics:channels=11:features=exercise:windows=1"}
COLUMNS = ("task", "method", "samples", "accuracy", "auc", "spearman", "low", "high", "coverage_90", "mae")


def rows_of(dataset: str, root: Path, settings: dict[str, str], seeds: int) -> list[dict[str, Any]]:
    """A row for each method of a data set, and for its floors."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for method, backbone in settings.items():
        table = aqakit.benchmark(dataset, backbones=[backbone], methods=[method], root=root, seeds=seeds, task="all")
        for row in table.rows:
            name = f"{row['method']} ({backbone})" if row["method"] in (method, "floor: SVR on mean features") else ""
            kept = {column: row.get(column) for column in COLUMNS}
            found.setdefault((row["task"], name or row["method"]), kept | {"method": name or row["method"]})
    return list(found.values())


def mean(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and lowest accuracy and mean AUC of each method over movements."""
    found = []
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method and row["accuracy"] is not None]
        accuracy, auc = ([row[name] for row in own] for name in ("accuracy", "auc"))
        found.append(
            {
                "method": method,
                "movements": len(own),
                "mean accuracy": float(np.mean(accuracy)),
                "lowest": min(accuracy),
                "mean auc": float(np.mean(auc)),
            }
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--movements", help="of UI-PRMD, with commas (all that are there)")
    parser.add_argument("--seeds", type=int, default=3, help="of KIMORE")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    chosen = given.movements.split(",") if given.movements else ["all"]
    if unknown := set(chosen) - {"all", *MOVEMENTS}:
        parser.error(f"there is no movement {' or '.join(sorted(unknown))}; UI-PRMD has m01 to m10")
    rows: list[dict[str, Any]] = []
    if (given.data / "ui-prmd").is_dir():
        for one in chosen:
            rows += rows_of(f"ui_prmd:movement={one}", given.data / "ui-prmd", UI_PRMD, seeds=1)
        with tables.beside(given.json):
            tables.show(rows, title="UI-PRMD, five folds by subject")
            tables.show(mean(rows), title="mean over movements")
    if (given.data / "kimore").is_dir():
        other = rows_of("kimore", given.data / "kimore", KIMORE, given.seeds)
        with tables.beside(given.json):
            tables.show(other, title=f"KIMORE, five folds by person, {given.seeds} seeds")
        rows += other
    tables.write(rows, given.json, "json")


if __name__ == "__main__":
    main()
