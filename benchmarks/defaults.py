"""How methods do at their defaults, beside the floors, on data sets that differ in kind and size.

    python benchmarks/defaults.py DATA [--methods dae,usdl,regression,core] [--sets knot,kimore] [--json FILE]

DATA is a folder with `jigsaws/`, `kimore/`, `ui-prmd/` and `unlv-dive/`; what is not there is left out. Synthetic dives
need nothing. Every set is judged by its own honest protocol: the published four folds of JIGSAWS, five folds by subject
for KIMORE and UI-PRMD (right and wrong repetitions as 1 and 0), the official split of UNLV-Dive. Choose a default on
some of the sets and report it on the others.
"""

from __future__ import annotations

import argparse
import csv
import gzip
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import aqakit
from aqakit.report import tables
from aqakit.system.files import default_cache

COLUMNS = ("spearman", "mae", "crps", "coverage_90", "width_90")
METHODS = "dae,usdl,regression,core"


@dataclass(frozen=True)
class Set:
    """A data set with its backbone: arguments of :func:`aqakit.benchmark`."""

    dataset: str
    backbone: str
    root: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def sets(data: Path, work: Path) -> Iterator[tuple[str, Set]]:
    """The sets whose files are there, by name."""
    jigsaws = data / "jigsaws"
    if jigsaws.is_dir():
        for name, task in (("suturing", "Suturing"), ("knot", "Knot_Tying")):
            yield name, Set("jigsaws", "kinematics", jigsaws, {"task": task, "protocol": "four-fold"})
    if (data / "kimore").is_dir():
        yield "kimore", Set("manifest:low=0:high=50", "kinematics:channels=11", kimore(data / "kimore", work))
    if (data / "ui-prmd").is_dir():
        for movement in range(1, 6):
            file = ui_prmd(data / "ui-prmd", f"m{movement:02d}", work)
            yield f"ui-prmd-m{movement:02d}", Set("manifest:low=0:high=1", "kinematics:channels=66", file)
    if (data / "unlv-dive").is_dir():
        yield "unlv", Set("unlv_dive", "precomputed:width=2048", data / "unlv-dive")
    yield "dives-joints", Set("synthetic_dives:count=900", "skeleton")
    yield "dives-40", Set("synthetic_dives:count=40:seed=3", "skeleton")


def kimore(folder: Path, work: Path) -> Path:
    """A manifest of KIMORE's first exercise, its tables as arrays."""
    rows = list(csv.DictReader((folder / "scores.csv").open()))
    signals = [(row["id"], read_csv(folder / row["path"]), row["score"], row["group"]) for row in rows]
    return write_manifest(work / "kimore", signals)


def ui_prmd(folder: Path, movement: str, work: Path) -> Path:
    """A manifest of one movement of UI-PRMD: the Kinect's angles, right repetitions 1, wrong ones 0."""
    signals = []
    for part, score, ending in (("Segmented Movements", "1", ""), ("Incorrect Segmented Movements", "0", "_inc")):
        for file in sorted((folder / part / "Kinect" / "Angles").glob(f"{movement}_*_angles{ending}.txt.gz")):
            name = file.name.removesuffix(".txt.gz").replace("_angles", "")
            signals.append((name, read_csv(file), score, file.name.split("_")[1]))
    return write_manifest(work / movement, signals)


def read_csv(file: Path) -> np.ndarray:
    """(T, columns) numbers; rows that are not complete are left out."""
    with gzip.open(file, "rt") as lines:
        rows = [[float(cell) for cell in line.split(",") if cell.strip()] for line in lines]
    width = max(map(len, rows))
    return np.array([row for row in rows if len(row) == width], dtype=np.float32)


def write_manifest(folder: Path, signals: Sequence[tuple[str, np.ndarray, str, str]]) -> Path:
    """Arrays beside a manifest that lists them with score and group."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "manifest.csv"
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["id", "signal", "score", "group"])
        for name, signal, score, group in signals:
            np.save(folder / f"{name}.npy", signal)
            writer.writerow([name, f"{name}.npy", score, group])
    return file


def judge(name: str, one: Set, methods: Sequence[str], seeds: int) -> list[dict[str, Any]]:
    """A row for each method and floor on one set."""
    table = aqakit.benchmark(
        one.dataset, backbones=[one.backbone], methods=methods, root=one.root, seeds=seeds, **one.options
    )
    return [{"set": name, "method": row["method"], **{column: row[column] for column in COLUMNS}} for row in table.rows]


def means(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Mean Spearman of each method that is on all sets, and by how much it is below the SVR floor where it is worst."""
    names = list(dict.fromkeys(row["set"] for row in rows))
    rank = {(row["set"], row["method"]): row["spearman"] for row in rows}
    floor = "floor: SVR on mean features"
    found = []
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [rank.get((name, method)) for name in names]
        if None not in own:
            below = [rank[name, floor] - value for name, value in zip(names, own) if (name, floor) in rank]
            found.append(
                {"method": method, "mean spearman": float(np.mean(own)), "most below SVR": max(below, default=None)}
            )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--sets", help="names, with commas (all)")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name, one in sets(given.data, default_cache() / "defaults"):
        if given.sets and name not in given.sets.split(","):
            continue
        own = judge(name, one, given.methods.split(","), given.seeds)
        with tables.beside(given.json):
            tables.show(own, title=name)
        rows += own
        tables.write(rows, given.json, "json")
    with tables.beside(given.json):
        tables.show(means(rows), title="mean over sets")


if __name__ == "__main__":
    main()
