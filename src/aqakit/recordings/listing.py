"""Find the recordings that a person means by a folder or by a pattern such as ``videos/*.mp4``.

A folder may be one recording itself: numbered pictures, or joints with a file of JSON for each frame. Any other folder
stands for the recordings in it and in the folders below it.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from aqakit.errors import AqakitError, DataError
from aqakit.recordings import skeletons
from aqakit.recordings.skeletons.parts.files import frames_in
from aqakit.recordings.video.folders import ENDINGS as PICTURES
from aqakit.system.files import user_path

ENDINGS: Mapping[str, re.Pattern[str]] = {
    "video": re.compile(r".*\.(mp4|m4v|mov|avi|mkv|webm|gif|mpe?g|ts|wmv|flv|3gp)", re.IGNORECASE),
    "signal": re.compile(r".*\.(txt(\.gz)?|csv(\.gz)?|npy|npz)", re.IGNORECASE),
    "skeleton": re.compile(r".*\.((bvh|trc|skeleton|json|txt|csv|npy)(\.gz)?|npz)", re.IGNORECASE),
    "features": re.compile(r".*\.(pt|safetensors|npy|npz)", re.IGNORECASE),
}
"""Names of the files that may be recordings of each kind."""

SHOWN: Mapping[str, str] = {
    "video": "a video (MP4, MOV, AVI, MKV, WebM, GIF …) or a folder of numbered pictures",
    "signal": "a table (CSV, TXT, NPY, NPZ)",
    "skeleton": "joints (CSV, JSON, BVH, TRC, SKELETON, TXT, NPY, NPZ)",
    "features": "features (PT, SAFETENSORS, NPY, NPZ)",
}
"""What a person is told of each kind."""

_PATTERN = re.compile(r"[*?]")
_OURS = ("run.json", "manifest.csv", "manifest.xlsx")
"""Files by which a folder of a run, and lists of recordings, are known."""


def expand(given: Iterable[Path | str], kind: str, faults: list[str] | None = None) -> list[Path]:
    """Return recordings in the order in which they were given, each once.

    Args:
        given: recordings, folders of them, and patterns with ``*``, ``?`` or ``**``, and maybe ``[…]`` beside these,
            which a shell expands only outside quotes. What is neither a folder nor a pattern is returned even if it is
            not there.
        kind: what is looked for in folders, a key of :data:`ENDINGS`.
        faults: is extended by a sentence for each folder without such a recording, and each pattern without a match.

    Raises:
        DataError: there is such a folder or pattern, and nobody takes its sentence.
    """
    found: list[Path] = []
    for one in given:
        try:
            found += _expanded(user_path(one), kind)
        except DataError as error:
            if faults is None:
                raise
            faults.append(str(error))
    return list(dict.fromkeys(found))


def _expanded(path: Path, kind: str) -> list[Path]:
    if not path.exists() and _PATTERN.search(str(path)):
        return [one for match in _matches(path) for one in _expanded(match, kind)]
    if not path.is_dir() or is_one(path, kind):
        return [path]
    if inside := [one for one in walk(path) if may_be(one, kind)]:
        return inside
    raise DataError(f"{path} is a folder without {SHOWN[kind]}; give the folder that holds the recordings")


def _matches(pattern: Path) -> list[Path]:
    """Return what matches a pattern: with brackets as letters of a name, as in those of downloads, else as a choice."""
    literal = re.sub(r"\[", "[[]", str(pattern))
    found = glob.glob(literal, recursive=True) or glob.glob(str(pattern), recursive=True)  # noqa: PTH207  not of a folder
    if not found:
        raise DataError(f"{pattern}: no file matches this pattern; is it right, seen from {Path.cwd()}?")
    return sorted(map(Path, found), key=natural)


def walk(folder: Path, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """Yield what may be a recording in a folder and in those below it, by name, numbers in the order of counting.

    Hidden files, folders of runs and lists of recordings are left out; ``above`` are folders that are listed already.
    """
    here = above | {folder.resolve()}
    for path in sorted(_listed(folder), key=natural):
        if not path.is_dir():
            if path.name not in _OURS and kinds(path):
                yield path
        elif kinds(path):
            yield path
        elif path.resolve() not in here and not (path / _OURS[0]).exists():
            yield from walk(path, here)


def kinds(path: Path) -> tuple[str, ...]:
    """Return the kinds of recording that a path may be, by its name or by what lies in the folder."""
    return tuple(kind for kind in ENDINGS if may_be(path, kind))


def may_be(path: Path, kind: str) -> bool:
    """Whether a path may be one recording of a kind, by its name or by what lies in the folder."""
    return is_one(path, kind) if path.is_dir() else bool(ENDINGS[kind].fullmatch(path.name))


def is_one(folder: Path, kind: str) -> bool:
    """Whether a folder is one recording of a kind, not a folder of recordings.

    A single picture beside folders, pictures beside videos, or the folder of a run are no recording.
    """
    if (folder / _OURS[0]).exists():
        return False
    if kind == "video":
        inside = _listed(folder)
        pictures = sum(one.name.lower().endswith(PICTURES) for one in inside)
        films = any(ENDINGS["video"].fullmatch(one.name) for one in inside)
        return not films and (pictures > 1 or (pictures == 1 and not any(one.is_dir() for one in inside)))
    return kind == "skeleton" and skeletons.is_folder(folder) and _is_frame(frames_in(folder))


def _is_frame(files: list[Path]) -> bool:
    """Whether files of JSON are frames of one recording: there are several, and the first holds one moment."""
    try:
        return len(files) > 1 and len(skeletons.read(files[0]).joints) == 1
    except AqakitError:  # a frame without a body
        return True


def _listed(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise DataError(f"{folder}: {error.strerror or error}") from None


def natural(path: Path) -> list[tuple[bool, int, str]]:
    """Return a key by which numbers in names are sorted as numbers.

    >>> sorted([Path("dive-10.mp4"), Path("dive-9.mp4")], key=natural)[0].name
    'dive-9.mp4'
    """
    parts = re.split(r"([0-9]+)", os.fspath(path))
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]
