"""Training on features in a file beside training on features in memory: rate, and peak memory of the process.

    python benchmarks/larger_than_memory.py [--videos 20000] [--clips 10] [--width 1024] [--method regression]
        [--members 1] [--epochs 3] [--threads 1] [--folder FOLDER] [--only {in memory,in a file}] [--json FILE]

Features are numbers in half precision, as backbones give them. They are written to files first, and then a whole run
is made by ``aqakit.train`` in a process of its own, once with room for all features and once with room for none: it
reads the files, caches and collects their features, trains on four fifths, predicts one fifth after each epoch, and
writes the run. The rate is that of the fastest epoch but the first. Both runs must give the same predictions. With
``--folder``, the files are left there and found again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import aqakit
from aqakit.report import tables

ROOM = {"in memory": "1000000", "in a file": "0"}
"""MiB for features."""


def write(folder: Path, videos: int, clips: int, width: int) -> Path:
    """Write features and scores, unless they are there; returns the manifest."""
    table = folder / "videos.csv"
    if table.exists():
        return table
    random, lines = np.random.default_rng(0), ["id,features,score"]
    (folder / "features").mkdir(parents=True, exist_ok=True)
    for number in range(videos):
        score = random.uniform(0, 100)
        values = random.standard_normal((clips, width), np.float32) + np.float32(score / 100)
        np.save(folder / "features" / f"{number}.npy", values.astype(np.float16))
        lines.append(f"v{number},features/{number}.npy,{score:.2f}")
    table.write_text("\n".join(lines) + "\n")
    return table


def child(told: dict[str, Any]) -> None:
    """Make one run and print what it took."""
    ends: list[tuple[float, float]] = []
    began = time.monotonic()
    clocks = lambda *_: ends.append((time.monotonic(), time.process_time()))  # noqa: E731
    aqakit.train(**told, select="last", protocol="five-fold", report=clocks)
    epoch, busy = (min(b - a for a, b in itertools.pairwise(clock)) for clock in zip(*ends))
    whole = time.monotonic() - began
    print(json.dumps({"s/epoch": epoch, "processor s/epoch": busy, "peak MiB": peak(), "whole s": whole}))


def peak() -> float:
    """Most memory that this process has had, in MiB."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in (("videos", 20_000), ("clips", 10), ("width", 1024), ("members", 1), ("epochs", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--method", default="regression")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", choices=ROOM)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", type=json.loads)
    given = parser.parse_args()
    if given.child:
        child(given.child)
        return
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as own:
        folder = given.folder or Path(own)
        table = write(folder, given.videos, given.clips, given.width)
        told = {"method": given.method, "data": "manifest", "root": str(table), "cache": str(folder / "cache")}
        told |= {"backbone": f"precomputed:width={given.width}", "epochs": given.epochs, "members": given.members}
        for kind in [given.only] if given.only else ROOM:
            words = [sys.executable, __file__, "--child", json.dumps({**told, "out": f"{own}/{kind}"})]
            room = {"AQAKIT_FEATURE_MEMORY": ROOM[kind], "OMP_NUM_THREADS": str(given.threads)}
            done = subprocess.run(words, env=os.environ | room, stdout=subprocess.PIPE, text=True, check=True)
            found = json.loads(done.stdout.splitlines()[-1])
            rows.append({"features": kind, "videos/s": given.videos / found["s/epoch"], **found})
        answers = {file.read_bytes() for file in Path(own).glob("*/predictions.csv")}
    if len(answers) != 1:
        raise SystemExit("the predictions differ")
    for row in rows:
        row["rate ÷ in memory"] = row["videos/s"] / rows[0]["videos/s"]
    size = f"{given.videos} videos × {given.clips} clips × {given.width}"
    with tables.beside(given.json):
        tables.show(rows, title=f"{size}, {given.method}, {given.members} members, {given.threads} threads")
    tables.write(rows, given.json, "json")


if __name__ == "__main__":
    main()
