"""A folder of rendered dives: an index, and a video and joints for every dive; missing files are rendered.

``index.json`` describes every dive, including its ground truth, and is written first. Each file is written
atomically, so an interrupted rendering continues where it stopped. Run as a module, this file is a rendering worker:
it reads ids from standard input and prints each id as soon as its files exist.
"""

from __future__ import annotations

import json
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

from aqakit.datasets.parts.dives.execution import Execution
from aqakit.datasets.parts.dives.render import Dive, encode, frames
from aqakit.errors import DataError
from aqakit.system.files import atomic_path, write_text
from aqakit.system.processes import cores
from aqakit.system.progress import track

INDEX = "index.json"
Row = dict[str, Any]
_WORTH_A_PROCESS = 12  # dives per process; fewer take less time to render than a process takes to start


def video(folder: Path, name: str) -> Path:
    """Return the path of the video of a dive."""
    return folder / f"{name}.mp4"


def skeleton(folder: Path, name: str) -> Path:
    """Return the path of the joints of a dive."""
    return folder / f"{name}.npy"


def render(dive: Dive, path: Path | str, *, size: int = 128) -> np.ndarray:
    """Render one dive to an MP4 file.

    Two dives can differ in one component of their execution and in nothing else:

        better = dataclasses.replace(dive, execution=dataclasses.replace(dive.execution, entry=1.0))

    Args:
        dive: the dive to draw, such as one of :func:`aqakit.datasets.synthetic_dives.dives`.
        path: path of the video; an existing file is replaced.
        size: width and height in pixels; must be even.

    Returns:
        (T, 17, 2) float32 joints in every frame, in pixels.
    """
    pictures, joints = frames(dive, size)
    encode(pictures, Path(path), size)
    return joints


@lru_cache(maxsize=8)
def read_index(folder: Path) -> dict[str, Row]:
    """Return the rows of the index by id.

    Raises:
        DataError: the file is not an index.
    """
    file = folder / INDEX
    try:
        return {row["id"]: row for row in json.loads(file.read_text(encoding="utf-8"))["dives"]}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is damaged ({error}); delete it and run again; the videos are kept") from error


def write_index(folder: Path, about: Row, rows: Sequence[Row]) -> None:
    """Write the index atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / INDEX, json.dumps({**about, "dives": rows}, indent=1))


def complete(folder: Path, size: int) -> None:
    """Render the dives of the index whose files are missing, on all processors.

    Raises:
        DataError: a rendering process ended early, for example because the disk is full.
    """
    there = {path.name for path in folder.iterdir()}
    rows = sorted(read_index(folder).values(), key=lambda row: int(row["event"]))  # dives of an event share a backdrop
    missing = [row["id"] for row in rows if not {f"{row['id']}.mp4", f"{row['id']}.npy"} <= there]
    processes = min(cores(), len(missing) // _WORTH_A_PROCESS)
    done = _by_processes(folder, missing, size, processes) if processes > 1 else _here(folder, missing, size)
    for _ in track(missing, "rendering dives") if missing else ():
        next(done)


def _here(folder: Path, names: Sequence[str], size: int) -> Iterator[str]:
    for name in names:
        row = read_index(folder)[name]
        dive = Dive(row["number"], Execution(**row["execution"]), row["event"], tuple(row["seed"]))
        joints = render(dive, video(folder, name), size=size)
        with atomic_path(skeleton(folder, name)) as temporary, temporary.open("wb") as file:
            np.save(file, joints)
        yield name


def _by_processes(folder: Path, names: Sequence[str], size: int, count: int) -> Iterator[str]:
    """Render in new interpreters rather than ``multiprocessing``, which would rerun an unguarded user script."""
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
    except OSError:  # the process has ended
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
