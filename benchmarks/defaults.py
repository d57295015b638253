"""How methods do at their defaults, beside the floors, on data sets that differ in kind and size.

    python benchmarks/defaults.py DATA [--weights FOLDER] [--methods dae,usdl,regression,core] [--sets knot,kimore]
        [--candidate dropout=0.3] [--seeds 1] [--json FILE]

DATA is a folder with `jigsaws/`, `kimore/`, `ui-prmd/` and `unlv-dive/`; what is not there is left out. Synthetic dives
need nothing. Videos are read by a frozen image network, if its folder in Hugging Face layout is given. Every set is
judged by its own honest protocol: the published four folds of JIGSAWS, five folds by subject for KIMORE and UI-PRMD
(right and wrong repetitions as 1 and 0), the official split of UNLV-Dive.

Other settings are compared with the defaults by `--candidate`, as often as needed. Which one is best is then chosen for
each set on the *other* sets, so that a default is never judged on what it was chosen on.
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
from aqakit import discovery
from aqakit.report import tables
from aqakit.system import configuration
from aqakit.system.files import default_cache

COLUMNS = ("spearman", "mae", "crps", "coverage_90", "width_90")
METHODS = "dae,usdl,regression,core"
SVR = "floor: SVR on mean features"
FAMILIES = {"ui-prmd-m0": "ui-prmd", "dives": "dives"}
"""Sets whose names begin alike are left out together when a candidate is chosen."""


@dataclass(frozen=True)
class Set:
    """A data set with its backbone: arguments of :func:`aqakit.benchmark`."""

    dataset: str
    backbone: str
    root: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def sets(data: Path, work: Path, weights: Path | None = None) -> Iterator[tuple[str, Set]]:
    """The sets whose files are there, by name."""
    network = f"huggingface:weights={weights}" if weights else None
    yield from jigsaws_sets(data / "jigsaws", network)
    if (data / "kimore").is_dir():
        yield "kimore", Set("manifest:low=0:high=50", "kinematics:channels=11", kimore(data / "kimore", work))
    if (data / "ui-prmd").is_dir():
        for movement in range(1, 6):
            file = ui_prmd(data / "ui-prmd", f"m{movement:02d}", work)
            yield f"ui-prmd-m{movement:02d}", Set("manifest:low=0:high=1", "kinematics:channels=66", file)
    if (data / "unlv-dive").is_dir():
        yield "unlv", Set("unlv_dive", "precomputed:width=2048", data / "unlv-dive")
    yield "dives-joints", Set("synthetic_dives:count=900", "skeleton")
    if network:
        yield "dives-pixels", Set("synthetic_dives:count=900", f"{network}:every=4")
    yield "dives-40", Set("synthetic_dives:count=40:seed=3", "skeleton")


def jigsaws_sets(folder: Path, network: str | None) -> Iterator[tuple[str, Set]]:
    """Both tasks of JIGSAWS, from kinematics and from video."""
    for name, task in (("suturing", "Suturing"), ("knot", "Knot_Tying")):
        options = {"task": task, "protocol": "four-fold"}
        if folder.is_dir():
            yield name, Set("jigsaws", "kinematics", folder, options)
        if network and (folder / task / "video").is_dir():
            yield f"{name}-video", Set("jigsaws", f"{network}:every=10", folder, options)


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


def judge(name: str, one: Set, methods: Sequence[str], candidate: str, seeds: int) -> list[dict[str, Any]]:
    """A row for each method with a candidate's settings, and for each floor, on one set."""
    given = dict(pair.split("=", 1) for pair in candidate.split(",") if pair)
    specs, options = {}, dict(given)
    for method in methods:
        own = {o.name for o in configuration.options(discovery.find("methods", method).build)} & set(given)
        specs[":".join([method, *(f"{n}={given[n]}" for n in sorted(own))])] = method
        options = {n: value for n, value in options.items() if n not in own}
    table = aqakit.benchmark(
        one.dataset, backbones=[one.backbone], methods=list(specs), root=one.root, seeds=seeds, **one.options, **options
    )
    return [
        {
            "set": name,
            "candidate": candidate or "defaults",
            "method": specs.get(row["method"], row["method"]),
            **{column: row[column] for column in COLUMNS},
        }
        for row in table.rows
    ]


def means(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Mean Spearman of each method that is on all sets, and by how much it is below the SVR floor where it is worst."""
    names = list(dict.fromkeys(row["set"] for row in rows))
    rank = {(row["set"], row["candidate"], row["method"]): row["spearman"] for row in rows}
    found = []
    for candidate, method in dict.fromkeys((row["candidate"], row["method"]) for row in rows):
        own = [rank.get((name, candidate, method)) for name in names]
        if None not in own:
            below = [rank[name, candidate, SVR] - value for name, value in zip(names, own)]
            found.append(
                {
                    "candidate": candidate,
                    "method": method,
                    "mean spearman": float(np.mean(own)),
                    "most below SVR": max(below),
                }
            )
    return found


def rotated(rows: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> list[dict[str, Any]]:
    """For each family of sets, the candidate that is best on all others, and what it gives there."""

    def family(name: str) -> str:
        return next((whole for start, whole in FAMILIES.items() if name.startswith(start)), name)

    chosen = [row for row in rows if row["method"] in methods]
    candidates = list(dict.fromkeys(row["candidate"] for row in chosen))

    def mean(candidate: str, inside: str, *, without: bool) -> float:
        own = [r for r in chosen if r["candidate"] == candidate and (family(r["set"]) == inside) is not without]
        return float(np.mean([r["spearman"] for r in own]))

    found = []
    for left_out in dict.fromkeys(family(row["set"]) for row in chosen):
        best = max(candidates, key=lambda candidate: mean(candidate, left_out, without=True))
        every = {candidate: mean(candidate, left_out, without=False) for candidate in candidates}
        found.append({"left out": left_out, "chosen on the others": best, "spearman": every[best], **every})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", type=Path, help="folder of a pretrained image network, for the sets of videos")
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--sets", help="names, with commas (all)")
    parser.add_argument("--candidate", action="append", default=[], help="settings, as dropout=0.3,epochs=50")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    methods = given.methods.split(",")
    for name, one in sets(given.data, default_cache() / "defaults", given.weights):
        if given.sets and name not in given.sets.split(","):
            continue
        own = [row for one_of in ["", *given.candidate] for row in judge(name, one, methods, one_of, given.seeds)]
        with tables.beside(given.json):
            tables.show(own, title=name)
        rows += own
        tables.write(rows, given.json, "json")
    with tables.beside(given.json):
        tables.show(means(rows), title="mean over sets")
        if given.candidate:
            tables.show(rotated(rows, methods), title="settings chosen on the other sets")


if __name__ == "__main__":
    main()
