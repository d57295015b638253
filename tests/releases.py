"""Tiny data sets on disk, in the layout of the real ones."""

import gzip
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

TRIALS = {
    "Suturing": ("B001", "B002", "C001", "C002", "D003", "D004"),
    "Knot_Tying": ("B001", "B002", "C001", "C002", "D001"),
}


def write_video(path: Path, frames: int = 4, seed: int = 0) -> Path:
    """A 32 × 32 video of noise, which differs from seed to seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (frames, 32, 32, 3), dtype=np.uint8)
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(30))
        stream.width = stream.height = 32
        for picture in pixels:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def write_kinematics(path: Path, rows: int = 40, seed: int = 0) -> Path:
    """76 columns at 30 Hz; gzipped if the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = np.random.default_rng(seed).normal(size=(rows, 76))
    text = "\n".join(" ".join(f"{value: .6f}" for value in row) for row in table) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def write_jigsaws(root: Path, ending: str = ".txt") -> Path:
    """Two tasks with kinematics and no video; scores grow with the repetition."""
    for task, trials in TRIALS.items():
        lines = []
        for seed, trial in enumerate(trials):
            write_kinematics(root / task / "kinematics" / "AllGestures" / f"{task}_{trial}{ending}", seed=seed)
            items = [1, 2, 3, 3, 2, int(trial[-1])]
            lines.append("\t\t".join([f"{task}_{trial}", "NIE"[seed % 3], str(sum(items))]))
            lines[-1] += "\t\t" + "\t".join(map(str, items)) + "\t\r\n"
        (root / task / f"meta_file_{task}.txt").write_bytes("".join([*lines, "\r\n"]).encode())
    return root


def write_manifest(folder: Path, rows: int = 12) -> Path:
    """Videos of three groups, marked by two judges and multiplied by a difficulty."""
    lines = ["id,path,score,difficulty,judge_1,judge_2,group,somersaults,caption"]
    for k in range(rows):
        write_video(folder / f"{k}.avi", seed=k)
        marks = (k % 5 + 1.5, k % 3 + 2.0)
        lines.append(f'v{k},{k}.avi,{2 * sum(marks)},2,{marks[0]},{marks[1]},event {k % 3},{k % 4},"a dive, fine"')
    file = folder / "mine.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file
