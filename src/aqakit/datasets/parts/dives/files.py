"""A folder of rendered dives: one index, and for every dive a video and the joints; what is missing is rendered.

``index.json`` says everything about every dive, truth included, and is written first; each file appears whole
under its name, so that an interrupted rendering goes on where it stopped. Run as a module, this renders on its own:
it reads ids from standard input and answers with each as soon as its files are there.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from queue import SimpleQueue
from subprocess import PIPE, Popen
from typing import Any

import numpy as np

from aqakit.datasets.parts.dives.judging import Execution
from aqakit.datasets.parts.dives.render import Dive, encode, frames
from aqakit.errors import DataError
from aqakit.system.files import replacing, write_text
from aqakit.system.progress import track

INDEX = "index.json"
Row = dict[str, Any]
_WORTH_A_PROCESS = 12  # dives: less time to render than a process takes to start


def video(folder: Path, name: str) -> Path:
    """Where the video of a dive is."""
    return folder / f"{name}.mp4"


def skeleton(folder: Path, name: str) -> Path:
    """Where the joints of a dive are."""
    return folder / f"{name}.npy"


def render(dive: Dive, path: Path | str, *, size: int = 128) -> np.ndarray:
    """Render one dive to an MP4 file.

    Two dives that differ in one component of their execution differ in nothing else:

        better = dataclasses.replace(dive, execution=dataclasses.replace(dive.execution, entry=1.0))

    Args:
        dive: what to draw; :func:`aqakit.datasets.synthetic_dives.dives` makes them.
        path: of the video; it is replaced.
        size: width and height in pixels, even.

    Returns:
        (T, 17, 2) float32 joints in pixels of every frame.
    """
    pictures, joints = frames(dive, size)
    encode(pictures, Path(path), size)
    return joints


@lru_cache(maxsize=8)
def read_index(folder: Path) -> dict[str, Row]:
    """The rows of the index by id.

    Raises:
        DataError: it is not an index.
    """
    file = folder / INDEX
    try:
        return {row["id"]: row for row in json.loads(file.read_text(encoding="utf-8"))["dives"]}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is damaged ({error}); delete it and run again, the videos are kept") from error


def write_index(folder: Path, about: Row, rows: Sequence[Row]) -> None:
    """Write the index atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / INDEX, json.dumps({**about, "dives": rows}, indent=1))


def complete(folder: Path, size: int) -> None:
    """Render the dives of the index whose files are missing, on all processors.

    Raises:
        DataError: a rendering process ended early, as where the disk is full.
    """
    there = {path.name for path in folder.iterdir()}
    rows = sorted(read_index(folder).values(), key=lambda row: int(row["event"]))  # they share a backdrop
    missing = [row["id"] for row in rows if not {f"{row['id']}.mp4", f"{row['id']}.npy"} <= there]
    processes = min(_processors(), len(missing) // _WORTH_A_PROCESS)
    done = _by_processes(folder, missing, size, processes) if processes > 1 else _here(folder, missing, size)
    for _ in track(missing, "rendering dives") if missing else ():
        next(done)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _here(folder: Path, names: Sequence[str], size: int) -> Iterator[str]:
    for name in names:
        row = read_index(folder)[name]
        dive = Dive(row["number"], Execution(**row["execution"]), row["event"], tuple(row["seed"]))
        joints = render(dive, video(folder, name), size=size)
        with replacing(skeleton(folder, name)) as temporary, temporary.open("wb") as file:
            np.save(file, joints)
        yield name


def _by_processes(folder: Path, names: Sequence[str], size: int, count: int) -> Iterator[str]:
    """Fresh interpreters rather than ``multiprocessing``, which would run an unguarded user script once more."""
    command = [sys.executable, "-m", "aqakit.datasets.parts.dives.files", str(folder), str(size)]
    idle: SimpleQueue[Popen[bytes]] = SimpleQueue()
    with ExitStack() as stack, ThreadPoolExecutor(count) as threads:
        for _ in range(count):
            idle.put(stack.enter_context(Popen(command, stdin=PIPE, stdout=PIPE, bufsize=0)))
        yield from threads.map(lambda name: _ask(idle, folder, name), names)


def _ask(idle: SimpleQueue[Popen[bytes]], folder: Path, name: str) -> str:
    process = idle.get()
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(f"{name}\n".encode())
        answer = process.stdout.readline().decode().strip()
    except OSError:  # it is gone
        answer = ""
    finally:
        idle.put(process)
    if answer != name:
        raise DataError(
            f"rendering {video(folder, name)} stopped; see the message above, make room on the disk if it is "
            "full, and run again: the dives already there are kept"
        )
    return name


def _serve(folder: Path, size: int) -> None:
    for line in sys.stdin:
        for name in _here(folder, [line.strip()], size):
            print(name, flush=True)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(sys.argv[2]))
