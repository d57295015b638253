"""Content hashes: of a file, or of those files of a recording that are read, in the order in which they are read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from aqakit.errors import DataError
from aqakit.recordings import video
from aqakit.recordings.skeletons.parts import files

_SIZE = 16  # bytes of a hash

_several: dict[tuple[Path, bytes], str] = {}
"""Hashes of several files, by recording and by name, size and modification time of each of them."""


def content_hash(path: Path, numbers: Iterable[int] | None = None, *, named: bool = True, kind: str = "video") -> str:
    """Hash a recording; remembered in this process while size and modification time of what is hashed stay the same.

    Args:
        path: a file, whose content is hashed, or a folder of frames.
        numbers: of a folder of pictures, those that are read, in order; None for all. No other picture is opened.
        named: whether the names of the files in a folder are hashed too.
        kind: of the recording; a skeleton may be a folder of JSON, or a file of positions and one of angles.

    Raises:
        DataError: a file cannot be read.
        VideoError: the folder is not one sequence of pictures.
    """
    if kind == "skeleton":
        parts = files.files_of(path)
        named &= path.is_dir()
    else:
        parts = _pictures(path, numbers) if path.is_dir() else [path]
    if parts == [path]:
        return _hash_file(path, *_state(path)).hex()
    found = hashlib.blake2b(repr(named).encode(), digest_size=_SIZE)
    for part in parts:
        found.update(os.fsencode(f"{part.name}\0{_state(part)}\0"))
    key = path, found.digest()
    if key not in _several:
        _several[key] = _hash_several(parts, named)
    return _several[key]


def _pictures(path: Path, numbers: Iterable[int] | None) -> list[Path]:
    names = video.folder_of(path).names
    return [path / name for name in (names if numbers is None else [names[k] for k in numbers if k < len(names)])]


def _hash_several(paths: Iterable[Path], named: bool) -> str:
    found = hashlib.blake2b(digest_size=_SIZE)
    for path in paths:
        if named:
            found.update(hashlib.blake2b(os.fsencode(path.name), digest_size=_SIZE).digest())
        found.update(_digest(path))
    return found.hexdigest()


@lru_cache(maxsize=100_000)
def _hash_file(path: Path, size: int, modified: int) -> bytes:
    return _digest(path)


def _digest(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=_SIZE)).digest()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None


def _state(path: Path | str) -> tuple[int, int]:
    """Return size and modification time."""
    try:
        status = os.stat(path)  # noqa: PTH116  called for every picture, for which pathlib is slow
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    return status.st_size, status.st_mtime_ns
