"""Find the files and recordings of a release, which users store in several layouts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aqakit.errors import DataError

ENDINGS = ("mp4", "avi", "mkv", "mov", "webm", "m4v")


def folder(root: Path | None, name: str, what: str) -> Path:
    """Return ``root`` after checking that it is a folder.

    Raises:
        DataError: it is not a folder; ``what`` says in the message what should be in it.
    """
    if root is None:
        raise DataError(f"{name} needs root: the folder with {what}")
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; root should be the folder with {what}")
    return root


def file(root: Path, names: Sequence[str], where: str) -> Path:
    """Return the first of several files in ``root`` that exists.

    Raises:
        DataError: none exists; ``where`` says in the message how to get it.
    """
    found = optional(root, names)
    if found is None:
        others = f" (also missing: {', '.join(names[1:])})" if names[1:] else ""
        raise DataError(f"{root / names[0]} is missing{others}; {where}")
    return found


def optional(root: Path, names: Sequence[str]) -> Path | None:
    """Return the first of several files in ``root`` that exists, or None."""
    return next((root / name for name in names if (root / name).is_file()), None)


def recording(folders: Sequence[Path], names: Sequence[str]) -> Path | None:
    """Return the first folder of frames or video file found, searching the folders, then the names, in order."""
    for place in folders:
        for name in names:
            candidates = [place / name, *(place / f"{name}.{ending}" for ending in ENDINGS)]
            if candidates[0].is_dir():
                return candidates[0]
            if found := next((path for path in candidates[1:] if path.is_file()), None):
                return found
    return None


def places(root: Path, videos: Path | None) -> list[Path]:
    """Return the folders to search for recordings: ``videos`` if given, else ``root`` and its usual subfolders.

    Raises:
        DataError: ``videos`` is not a folder.
    """
    if videos is None:
        return [root, root / "frames", root / "videos"]
    if not videos.is_dir():
        raise DataError(f"{videos} is not a folder; the option videos should be the folder with the recordings")
    return [videos]
