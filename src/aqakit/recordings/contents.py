"""Inspection of the files of a data set, which continues after a file that cannot be read."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from aqakit.errors import AqakitError
from aqakit.recordings import signals, video
from aqakit.system.progress import track
from aqakit.types import Sample

MISSING = "missing"


@dataclass(frozen=True)
class Recording:
    """One file, or one folder of frames.

    Attributes:
        kind: ``video``, ``signal``, ``skeleton`` or ``features``.
        path: path of the file or folder.
        length: number of frames of a video, or of rows of anything else; None if it cannot be read.
        promised: length according to the file's header; more than ``length`` if the file is truncated.
        size: in bytes.
        problem: why it cannot be read, for example :data:`MISSING`; empty if it can.
    """

    kind: str
    path: Path
    length: int | None = None
    promised: int = 0
    size: int = 0
    problem: str = ""


def inspect(samples: Sequence[Sample]) -> dict[Path, Recording]:
    """Open every recording once, however many samples it contains."""
    files = list({path: kind for sample in samples for kind, path in sample.sources.items()}.items())
    # FFmpeg and zlib release the GIL, so threads help.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        found = pool.map(_inspect, files)
        return {path: recording for (path, _), recording in zip(track(files, "checking"), found, strict=True)}


def digests(recordings: Iterable[Recording]) -> dict[Path, str]:
    """Return content hashes of recordings of equal size; others cannot have duplicates and are not read."""
    twins = defaultdict(list)
    for recording in recordings:
        if not recording.problem:
            twins[recording.size].append(recording.path)
    return {path: _digest(path) for paths in twins.values() if len(paths) > 1 for path in paths}


def _inspect(file: tuple[Path, str]) -> Recording:
    path, kind = file
    try:
        if not path.exists():
            return Recording(kind, path, problem=MISSING)
        length, promised = _measure(kind, path)
        return Recording(kind, path, length, promised, sum(file.stat().st_size for file in _files(path)))
    except (AqakitError, OSError) as error:
        return Recording(kind, path, problem=str(error))


def _measure(kind: str, path: Path) -> tuple[int, int]:
    if kind == "video":
        info = video.probe(path)
        return info.frames, info.promised
    length = len(signals.READERS[kind](path))
    return length, length


def _digest(path: Path) -> str:
    combined = hashlib.blake2b()
    for file in _files(path):
        with file.open("rb") as stream:
            combined.update(hashlib.file_digest(stream, hashlib.blake2b).digest())
    return combined.hexdigest()


def _files(path: Path) -> list[Path]:
    return sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
