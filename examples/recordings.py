"""Simulated recordings, in place of your own: the motion of a hand that reaches for a target, well or badly.

A good reach goes straight to the target. A bad one trembles and drifts off the path, and its score is noisier. Examples
02 to 05 train on these.
"""

import csv
from pathlib import Path

import numpy as np


def record(folder: Path, count: int = 150) -> Path:
    """Write ``count`` signals (rows of x, y, z at 30 Hz) and a CSV file that lists them; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    rows = []
    for number in range(count):
        skill = rng.uniform(0, 1)
        np.savetxt(folder / f"reach-{number:03d}.txt", reach(skill, rng), fmt="%.5f")
        score = 10 * skill + rng.normal(scale=0.3 + 1.2 * (1 - skill))
        rows.append([f"reach-{number:03d}", f"reach-{number:03d}.txt", round(float(np.clip(score, 0, 10)), 2)])
    file = folder / "my.csv"
    with file.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([["id", "path", "score"], *rows])
    return file


def reach(skill: float, rng: np.random.Generator) -> np.ndarray:
    """Simulate positions (T, 3) in metres, for 3 to 6 seconds."""
    time = np.linspace(0, 1, int(rng.integers(90, 180)))[:, None]
    straight = time**3 * (10 - 15 * time + 6 * time**2) * rng.uniform(0.2, 0.4, size=3)  # minimum jerk
    waves = sum(np.sin(2 * np.pi * (k * time + rng.uniform(size=3))) / k for k in range(2, 6))
    tremor = rng.normal(size=(len(time), 3))
    clumsiness = (1 - skill) * rng.uniform(0.6, 1.4)
    return straight + clumsiness * (0.02 * np.sin(np.pi * time) * waves + 0.001 * tremor)
