"""Squats as skeletons, in closed form: files, and a run that has learnt their depth."""

from pathlib import Path

import numpy as np

import aqakit
from aqakit.recordings.skeletons import LAYOUTS
from tests import walkers

LAYOUT = LAYOUTS["kinect25"]
RATE = 25.0
BACKBONE = "movement:features=few"


def joints(depth: float, seconds: float = 2.0) -> np.ndarray:
    """(T, 25, 3) metres, y up, of one squat whose hips sink by ``depth`` metres."""
    standing = walkers.metres(LAYOUT.name)[0]
    down = depth * np.sin(np.pi * np.linspace(0, 1, round(seconds * RATE))) ** 2
    found = np.repeat(standing[None], len(down), 0)
    for number, name in enumerate(LAYOUT.joints):
        if "knee" in name:
            found[:, number] += down[:, None] * [0.0, -0.15, 0.7]
        elif standing[number, 1] > 0.6:
            found[:, number] += down[:, None] * [0.0, -1.0, -0.3]
    return found


def write(path: Path, depth: float, seconds: float = 2.0) -> Path:
    """Write a squat as a table with named columns."""
    values = joints(depth, seconds)
    head = ["time_s", *(f"{name}_{axis}" for name in LAYOUT.joints for axis in "xyz")]
    table = np.column_stack([np.arange(len(values)) / RATE, values.reshape(len(values), -1)])
    np.savetxt(path, table, delimiter=",", header=",".join(head), comments="", fmt="%.5f")
    return path


def train(folder: Path, count: int = 12):
    """Train a run on squats whose score is their depth in centimetres."""
    depths = np.linspace(0.1, 0.55, count)
    lines = ["id,skeleton,score,group"]
    for k, depth in enumerate(depths):
        write(folder / f"squat{k}.csv", depth, 1.5 + 0.1 * k)
        lines.append(f"s{k},squat{k}.csv,{100 * depth:.1f},g{k % 4}")
    (folder / "squats.csv").write_text("\n".join(lines) + "\n")
    options = {"epochs": 2, "members": 2, "protocol": "all", "cache": folder / "cache", "root": folder / "squats.csv"}
    return aqakit.train("regression", data="manifest", backbone=BACKBONE, out=folder / "run", **options)
