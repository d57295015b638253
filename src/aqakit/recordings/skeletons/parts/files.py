"""The files that one recording of joints consists of."""

from __future__ import annotations

import re
from pathlib import Path

from aqakit.errors import DataError

_POSITIONS = re.compile(r"positions?", re.IGNORECASE)
_TEXT = re.compile(r".*\.txt(\.gz)?", re.IGNORECASE)
_PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
_JSON = re.compile(r"[^.].*\.json(\.gz)?", re.IGNORECASE)


def files_of(path: Path) -> list[Path]:
    """Return the files whose contents make a recording, in order: all JSON of a folder; positions and their angles.

    Raises:
        DataError: a folder cannot be listed.
    """
    if path.is_dir():
        return frames_in(path)
    beside = angles_of(path)
    return [path] if beside is None else [path, beside]


def frames_in(folder: Path) -> list[Path]:
    """Return the files of JSON in a folder, in the order of the numbers in their names.

    Raises:
        DataError: the folder cannot be listed.
    """
    try:
        found = [file for file in folder.iterdir() if _JSON.fullmatch(file.name) and file.is_file()]
    except OSError as error:
        raise DataError(f"{folder}: {error.strerror or error}") from None
    return sorted(found, key=lambda file: (number_in(file.name), file.name))


def is_folder(path: Path) -> bool:
    """Whether a path is a folder of JSON, and of no pictures."""
    if not path.is_dir():
        return False
    names = [file.name.lower() for file in path.iterdir()]
    return any(map(_JSON.fullmatch, names)) and not any(name.endswith(_PICTURES) for name in names)


def number_in(name: str) -> int:
    """Return the last number in the name of a frame's file; -1 if it has none.

    >>> number_in("golf2_000000000012_keypoints.json"), number_in("pose.json")
    (12, -1)
    """
    found = re.findall(r"[0-9]+", re.sub(r"\.json(\.gz)?$", "", name, flags=re.IGNORECASE))
    return int(found[-1]) if found else -1


def angles_of(path: Path) -> Path | None:
    """Return the angles beside a ``.txt`` of positions, or in a folder Angles beside Positions; None if none."""
    if not _TEXT.fullmatch(path.name) or not _POSITIONS.search(path.name):
        return None
    name = _swapped(path.name)
    here = path.absolute().parent
    for folder in (path.parent, here.with_name(_swapped(here.name)) if here.name else here):
        for ending in (name, name.removesuffix(".gz"), name + ".gz"):
            if (folder / ending).is_file():
                return folder / ending
    return None


def _swapped(name: str) -> str:
    """Replace the last ``Positions`` by ``Angles``, in the same case."""
    found = list(_POSITIONS.finditer(name))
    if not found:
        return name
    word = found[-1][0]
    other = "angles" if word.endswith(("s", "S")) else "angle"
    other = other.upper() if word.isupper() else other.capitalize() if word[0].isupper() else other
    return name[: found[-1].start()] + other + name[found[-1].end() :]
