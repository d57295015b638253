"""Inspection of the files of a data set, which continues after a file that cannot be read."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from aqakit.errors import AqakitError
from aqakit.recordings import signals, skeletons, video
from aqakit.recordings.hashing import content_hash
from aqakit.recordings.skeletons.parts.files import files_of
from aqakit.recordings.video import Report
from aqakit.system.progress import track
from aqakit.types import Sample

MISSING = "missing"

_FAR = 200  # frames between two windows that are not decoded


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
        reading: of a video, how well the frames that samples need can be read.
        notes: sentences on what was assumed or filled in, of a skeleton.
    """

    kind: str
    path: Path
    length: int | None = None
    promised: int = 0
    size: int = 0
    problem: str = ""
    reading: Report = field(default_factory=Report)
    notes: tuple[str, ...] = ()


def inspect(samples: Sequence[Sample]) -> dict[Path, Recording]:
    """Read every recording once, however many samples it contains; of a video, only the frames that these need."""
    uses: dict[Path, list[tuple[str, Sample]]] = defaultdict(list)
    for sample in samples:
        for kind, path in sample.sources.items():
            uses[path].append((kind, sample))
    files = list(uses.items())
    # FFmpeg and zlib release the GIL, so threads help.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        found = pool.map(_inspect, files)
        return {path: recording for (path, _), recording in zip(track(files, "checking"), found, strict=True)}


def digests(recordings: Iterable[Recording]) -> dict[Path, str]:
    """Return content hashes of recordings of equal size; others cannot have duplicates and are not read."""
    twins = defaultdict(list)
    for recording in recordings:
        if not recording.problem:
            twins[recording.size].append(recording)
    found = (one for some in twins.values() if len(some) > 1 for one in some)
    return {one.path: content_hash(one.path, named=False, kind=one.kind) for one in found}


def _inspect(file: tuple[Path, list[tuple[str, Sample]]]) -> Recording:
    path, uses = file
    kind, samples = uses[-1][0], [sample for _, sample in uses]
    try:
        if not path.exists():
            return Recording(kind, path, problem=MISSING)
        size = sum(file.stat().st_size for file in _files(path, kind))
        if kind == "skeleton":
            body = skeletons.read(path)
            return Recording(kind, path, len(body.joints), len(body.joints), size, notes=body.notes)
        if kind != "video":
            length = len(signals.READERS[kind](path))
            return Recording(kind, path, length, length, size)
        info = video.probe(path, samples[0].rate)
        reading = video.verify(path, _parts(samples, info.frames), samples[0].rate)
        reading.uneven = int(info.varies and any(s.window for s in samples))
        return Recording(kind, path, info.frames, info.promised, size, reading=reading)
    except (AqakitError, OSError) as error:
        return Recording(kind, path, problem=str(error))


def _parts(samples: Sequence[Sample], length: int) -> list[list[int]] | None:
    """Return the frames in the windows of samples, in parts between which it is better to jump; None for all frames."""
    needed: set[int] = set()
    for sample in samples:
        if sample.window is None:
            return None
        needed |= set(range(max(sample.window[0], 0), min(sample.window[1] + 1, length)))
    parts: list[list[int]] = []
    for number in sorted(needed):
        if not parts or number - parts[-1][-1] > _FAR:
            parts.append([])
        parts[-1].append(number)
    return parts


def _files(path: Path, kind: str = "video") -> list[Path]:
    if kind == "skeleton":
        return files_of(path)
    if kind != "video" or not path.is_dir():
        return [path]
    return [path / name for name in video.folder_of(path).names]
