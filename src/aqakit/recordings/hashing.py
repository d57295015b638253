"""Content hashes: of a file, or of those pictures of a folder that are read, in the order in which they are read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from aqakit.errors import DataError
from aqakit.recordings import video

_SIZE = 16  # bytes of a hash

_pictures: dict[tuple[Path, bytes], str] = {}
"""Hashes of pictures, by folder and by name, size and modification time of each of them."""


def content_hash(path: Path, numbers: Iterable[int] | None = None, *, named: bool = True) -> str:
    """Hash a recording; remembered in this process while size and modification time of what is hashed stay the same.

    Args:
        path: a file, whose content is hashed, or a folder of frames.
        numbers: of a folder, the frames that are read, in order; None for all. No other picture is opened.
        named: whether the names of these pictures are hashed too.

    Raises:
        DataError: a file cannot be read.
        VideoError: the folder is not one sequence of pictures.
    """
    if not path.is_dir():
        return _hash_file(path, *_state(path)).hex()
    folder = video.folder_of(path)
    names = folder.names if numbers is None else [folder.names[k] for k in numbers if k < len(folder.names)]
    found = hashlib.blake2b(repr(named).encode(), digest_size=_SIZE)
    for name in names:
        found.update(os.fsencode(f"{name}\0{_state(f'{path}/{name}')}\0"))
    key = path, found.digest()
    if key not in _pictures:
        _pictures[key] = _hash_pictures(path, names, named)
    return _pictures[key]


def _hash_pictures(path: Path, names: Iterable[str], named: bool) -> str:
    found = hashlib.blake2b(digest_size=_SIZE)
    for name in names:
        if named:
            found.update(hashlib.blake2b(os.fsencode(name), digest_size=_SIZE).digest())
        found.update(_digest(path / name))
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
