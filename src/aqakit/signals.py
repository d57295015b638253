"""Recorded motion: kinematics (T, channels) and skeletons (T, joints, 2 or 3), one row for each point in time.

Every fault is told with its file and, in text, its line and column counted from 1.
"""

from __future__ import annotations

import gzip
import json
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqakit.errors import DataError

LARGEST = 2**30
"""The largest recording that is read: 1 GiB, uncompressed."""

Signal = NDArray[np.float32]

_SEPARATORS = {".txt": None, ".csv": ","}
_BROKEN = (OSError, EOFError, ValueError, TypeError, KeyError, SyntaxError, MemoryError, RuntimeError)
_BROKEN_ZIP = (zipfile.BadZipFile, zlib.error)


def kinematics(path: Path | str, *, channels: int | None = None) -> Signal:
    """Read a kinematic recording: (T, channels) float32.

    Args:
        path: ``.txt`` (columns between blanks, as in JIGSAWS), ``.csv`` (commas, perhaps one line of column names),
            either of them also as ``.gz``; ``.npy``, or ``.npz`` with one array or one named ``kinematics``.
        channels: how many there must be; None for any number.

    Raises:
        DataError: there is no such file, or it is not a full table of finite numbers with so many columns.
    """
    path = Path(path)
    kind = _kind(path, {*_SEPARATORS, ".npy", ".npz"})
    if kind in _SEPARATORS:
        lines = _lines(path)
        skip = int(kind == ".csv" and _is_header(lines[0]))
        signal = _table(path, lines, skip, _SEPARATORS[kind])
    else:
        signal = _numeric(path, _array(path, "kinematics"), dims=2)
    if channels is not None and signal.shape[1] != channels:
        raise DataError(f"{path}: {channels} columns are expected, and it has {signal.shape[1]}")
    return signal


def skeleton(path: Path | str) -> Signal:
    """Read the joints of one person: (T, joints, 2 or 3) float32.

    Args:
        path: ``.npy``, or ``.npz`` with one array or one named ``joints``; ``.json``, nested lists or an object with
            them under ``joints``; or ``.csv`` whose first line names the columns ``<joint>_x, <joint>_y`` and, in
            three dimensions, ``<joint>_z``, joint after joint. JSON and CSV also as ``.gz``.

    Raises:
        DataError: there is no such file, or it is not a full table of finite numbers of that shape.
    """
    path = Path(path)
    kind = _kind(path, {".csv", ".json", ".npy", ".npz"})
    if kind == ".csv":
        joints = _joint_table(path)
    else:
        joints = _numeric(path, _json(path) if kind == ".json" else _array(path, "joints"), dims=3)
    if joints.shape[2] not in (2, 3):
        raise DataError(f"{path}: a joint has 2 or 3 coordinates, and here it has {joints.shape[2]}")
    return joints


def cut(signal: Signal, window: tuple[int, int] | None, path: Path | str) -> Signal:
    """The rows of ``window`` (first and last, both included, from 0) of a recording; all for None.

    Raises:
        DataError: the window is empty or reaches outside the recording.
    """
    if window is None:
        return signal
    first, last = window
    if not 0 <= first <= last < len(signal):
        raise DataError(f"{path}: rows {first} to {last} were asked for, and it has rows 0 to {len(signal) - 1}")
    return signal[first : last + 1]


def _kind(path: Path, known: set[str]) -> str:
    if not path.is_file():
        raise DataError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    name = path.name.lower().removesuffix(".gz")
    kind = Path(name).suffix
    if kind not in known or (name != path.name.lower() and kind in {".npy", ".npz"}):
        raise DataError(f"{path}: a recording ends in {', '.join(sorted(known))}; convert it to one of these")
    return kind


def _text(path: Path) -> str:
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise DataError(f"{path} is larger than {LARGEST} bytes, more than is read of a recording")
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a text file (byte {error.start} is not UTF-8)") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read to its end: {error}; copy it again") from error
    if not text.strip():
        raise DataError(f"{path} is empty")
    return text


def _lines(path: Path) -> list[str]:
    return _text(path).lstrip("\r\n").splitlines() if False else _text(path).splitlines()
