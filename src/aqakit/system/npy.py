"""Arrays of NumPy, read by several threads at once.

NumPy parses the header of an array as Python syntax. Before Python 3.11.8 and 3.12.2, threads that do this at the same
time disturb each other now and then: a ``SystemError`` for a file without a fault
(https://github.com/python/cpython/issues/106905). It is read again then.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np

T = TypeVar("T")

_TIMES = 10


def undisturbed(read: Callable[[], T]) -> T:
    """Return what ``read`` returns, which parses the header of an array; it is called again if it was disturbed."""
    for _ in range(_TIMES - 1):
        try:
            return read()
        except SystemError:
            continue
    return read()


def load(file: Path | IO[bytes], *, mapped: bool = False) -> Any:
    """Load a file, or a stream from its start, by :func:`numpy.load` without pickles.

    ``mapped`` leaves the values of an array in the file.
    """

    def read() -> Any:
        if not isinstance(file, Path):
            file.seek(0)
        return np.load(file, mmap_mode="r" if mapped else None, allow_pickle=False)

    return undisturbed(read)


def header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read shape and type of a ``.npy`` file, up to the first byte of its values."""

    def read() -> tuple[tuple[int, ...], np.dtype[Any]]:
        stream.seek(0)
        version = np.lib.format.read_magic(stream)
        one, two = np.lib.format.read_array_header_1_0, np.lib.format.read_array_header_2_0
        shape, _, kind = (one if version == (1, 0) else two)(stream)
        return shape, kind

    return undisturbed(read)
