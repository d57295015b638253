"""Jobs that are killed again and again, and must end as if they had not been.

``python -m tests.kills JOB FOLDER COUNT`` starts a job in child processes, kills COUNT of them with SIGKILL, in turn at
a random moment and before a random change of a file, and compares the end with an uninterrupted job: the same files
with the same bytes, and nothing else. The children are forked from a process that has imported everything, so that one
takes no longer than its work.
"""

import itertools
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aqakit
from aqakit.evaluation.benchmark import benchmark as run_benchmark
from aqakit.features.dataset import extract_dataset
from aqakit.report import tables
from aqakit.training import loop
from tests.forks import fork, wait
from tests.releases import write_manifest
from tests.training.test_run import BACKBONE, make_manifest

SMALL = "c3d_small:size=16:frames=4:clips=2:width=2"


def extract(data: Path, out: Path) -> None:
    """Features of twelve videos, packed at the end."""
    extract_dataset("manifest", root=data / "mine.csv", backbones=[SMALL], cache=out / "cache", pack=True)


def live(data: Path, out: Path) -> None:
    """A backbone trained from pixels."""
    _train(data / "mine.csv", out, SMALL, finetune=True, shift=1, flip=True, epochs=4)


def cached(data: Path, out: Path) -> None:
    """A single model on cached features."""
    _train(data / "my.csv", out, BACKBONE, validation=0.2, epochs=12)


def members(data: Path, out: Path) -> None:
    """A cross-fitted ensemble on cached features."""
    _train(data / "my.csv", out, BACKBONE, members=4, epochs=6)


def benchmark(data: Path, out: Path) -> None:
    """A benchmark of two methods, and its table."""
    words = {"backbones": [BACKBONE], "methods": ["regression", "dae"], "root": data / "my.csv"}
    table = run_benchmark("manifest", **words, cache=out / "cache", out=out / "runs", epochs=2)
    tables.write(table.rows, out / "table.json", "json")


_ALL = (extract, live, cached, members, benchmark)
JOBS: dict[str, Callable[[Path, Path], None]] = {one.__name__: one for one in _ALL}


def _train(root: Path, out: Path, backbone: str, **options: object) -> None:
    words = {"data": "manifest", "root": root, "backbone": backbone, "cache": out / "cache"}
    aqakit.train("dae", out=out / "run", dropout=0.3, **words, **options)


_CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir"}
_PER_FILE = 4
"""Changes for each file: it is made under another name, opened, renamed, and the other name is looked for."""


def start(job: Callable[[Path, Path], None], data: Path, out: Path, changes: int | None = None) -> int:
    """Fork a child that does the job, and return its process id; after ``changes`` of files it kills itself."""

    def work() -> None:
        if changes is not None:
            _die_after(changes, out)
        job(data, out)

    return fork(work)


def _die_after(changes: int, folder: Path) -> None:
    """Kill this process before the next change of what is in the folder."""
    left = itertools.count(changes, -1)

    def see(event: str, values: tuple[Any, ...]) -> None:
        writes = event == "open" and values[2] & (os.O_WRONLY | os.O_RDWR)
        if (writes or event in _CHANGES) and str(values[0]).startswith(str(folder)) and next(left) <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(see)


def finish(job: Callable[[Path, Path], None], data: Path, out: Path) -> dict[str, bytes]:
    """Do the job to its end, and return its files."""
    status = wait(start(job, data, out))
    assert status == 0, f"it ended with {status}"
    return {str(file.relative_to(out)): file.read_bytes() for file in sorted(out.rglob("*")) if file.is_file()}


def compare(found: dict[str, bytes], expected: dict[str, bytes]) -> None:
    """Name the files that differ."""
    assert found.keys() == expected.keys(), sorted(found.keys() ^ expected.keys())
    assert found == expected, [name for name, content in found.items() if content != expected[name]]


def main(name: str, folder: Path, count: int) -> None:
    """Kill ``count`` jobs; print how many were killed, and how often a job was finished in between."""
    loop._SECONDS_BETWEEN_CHECKPOINTS = -1.0
    data = folder / "data"
    data.mkdir(parents=True)
    make_manifest(data), write_manifest(data)
    job, chance, killed, ended = JOBS[name], random.Random(0), 0, 0
    began = time.monotonic()
    expected = finish(job, data, folder / "whole")
    seconds = time.monotonic() - began
    while killed < count:
        changes = chance.randrange(_PER_FILE * len(expected)) if killed % 2 else None
        child = start(job, data, folder / "cut", changes)
        if changes is None:
            time.sleep(chance.uniform(0, seconds))
            os.kill(child, signal.SIGKILL)
        status = wait(child)
        killed += status == -signal.SIGKILL
        if status != -signal.SIGKILL:
            assert status == 0, f"it ended with {status}"
            compare(finish(job, data, folder / "cut"), expected)
            shutil.rmtree(folder / "cut")
            ended += 1
    compare(finish(job, data, folder / "cut"), expected)
    print(json.dumps({"killed": killed, "ended": ended, "files": len(expected), "seconds": round(seconds, 2)}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
