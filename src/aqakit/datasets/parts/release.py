"""Finding the files and the recordings of a release, which users keep in more than one layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aqakit.errors import DataError

ENDINGS = ("mp4", "avi", "mkv", "mov", "webm", "m4v")


def folder(root: Path | None, name: str, what: str) -> Path:
    """``root``, which must be a folder.

    Raises:
        DataError: there is none; ``what`` says what should be in it.
    """
    if root is None:
        raise DataError(f"{name} needs root: the folder with {what}")
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; root is the folder with {what}")
    return root


def file(root: Path, names: Sequence[str], where: str) -> Path:
    """The first of several files below ``root`` that is there.

    Raises:
        DataError: none is; ``where`` says how to get it.
    """
    found = optional(root, names)
    if found is None:
        others = f" (nor are {', '.join(names[1:])})" if names[1:] else ""
        raise DataError(f"{root / names[0]} is missing{others}; {where}")
    return found


def optional(root: Path, names: Sequence[str]) -> Path | None:
    """The first of several files below ``root`` that is there, if any."""
    return next((root / name for name in names if (root / name).is_file()), None)


def recording(folders: Sequence[Path], names: Sequence[str]) -> Path | None:
    """The first folder of frames or video file, of the first of several names, in the first of several folders."""
    for place in folders:
        for name in names:
            candidates = [place / name, *(place / f"{name}.{ending}" for ending in ENDINGS)]
            if candidates[0].is_dir():
                return candidates[0]
            if found := next((path for path in candidates[1:] if path.is_file()), None):
                return found
    return None


def places(root: Path, videos: Path | None) -> list[Path]:
    """Where recordings may be: where the user says, or else in ``root`` and its usual folders.

    Raises:
        DataError: the folder that the user names is not there.
    """
    if videos is None:
        return [root, root / "frames", root / "videos"]
    if not videos.is_dir():
        raise DataError(f"{videos} is not a folder; the option videos is the folder with the recordings")
    return [videos]
