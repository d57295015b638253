"""Recorded motion, one row for each point in time: kinematics (T, channels) and skeletons (T, joints, 2 or 3).

Precomputed features are read here too: (clips, channels), one row for each clip.

Every error names the file and, for text, the line and column counted from 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aqakit.errors import DataError
from aqakit.recordings import arrays, csv_text, skeletons
from aqakit.system.files import check_size
from aqakit.system.numbers import number

Signal = NDArray[np.float32]


def kinematics(path: Path | str, *, channels: int | None = None) -> Signal:
    """Read a kinematic recording: (T, channels) float32.

    Args:
        path: ``.txt`` (columns separated by blanks, as in JIGSAWS), ``.csv`` (commas, semicolons or tabs, optionally
            one line of column names), either of them also as ``.gz``; ``.npy``, or ``.npz`` with one array or one
            named ``kinematics``.
        channels: required number of columns; None for any number.

    Raises:
        DataError: the file does not exist, or is not a full table of finite numbers with ``channels`` columns.
    """
    path = Path(path)
    kind = _kind(path, {".txt", ".csv", ".npy", ".npz"})
    if kind in {".txt", ".csv"}:
        lines, mark = csv_text.rows(csv_text.read(path)) if kind == ".csv" else (csv_text.read(path).splitlines(), None)
        signal = _table(path, lines, csv_text.header_lines(path, lines, mark) if kind == ".csv" else 0, mark)
    else:
        signal = _numeric(path, arrays.numpy_array(path, "kinematics"), "time × channels")
    if channels is not None and signal.shape[1] != channels:
        raise DataError(f"{path}: expected {channels} columns, found {signal.shape[1]}")
    return signal


def skeleton(path: Path | str, *, layout: str | None = None) -> Signal:
    """Read the joints of one person: (T, joints, 2 or 3) float32.

    Args:
        path: a file or folder in any format that :func:`aqakit.recordings.skeletons.read` recognises. Joints that are
            missing for a while are filled in.
        layout: which joints they are, or which to take, see there.

    Raises:
        DataError: the file does not exist, is in none of the formats, is damaged or holds no body.
    """
    return skeletons.read(path, layout=layout).joints


def vectors(path: Path | str) -> Signal:
    """Read precomputed features: (clips, channels) float32; a single vector is one clip.

    Args:
        path: ``.npy``; or ``.npz``, ``.safetensors`` or ``.pt`` with one array or one named ``features``.

    Raises:
        DataError: the file does not exist, or is not a full table of finite numbers.
    """
    path = Path(path)
    kind = _kind(path, {".npy", ".npz", ".pt", ".safetensors"})
    read = arrays.numpy_array if kind in {".npy", ".npz"} else arrays.tensor
    array = read(path, "features")
    return _numeric(path, array[None] if array.ndim == 1 else array, "clips × channels")


READERS: Mapping[str, Callable[[Path], Signal]] = {"signal": kinematics, "skeleton": skeleton, "features": vectors}
"""Readers by kind of recording (a key of ``Sample.sources``), for all kinds except video."""


def cut(signal: Signal, window: tuple[int, int] | None, path: Path | str) -> Signal:
    """Return the rows of ``window`` (first and last, both included, from 0) of a recording; all rows for None.

    Raises:
        DataError: the window is empty or reaches outside the recording.
    """
    if window is None:
        return signal
    first, last = window
    if not 0 <= first <= last < len(signal):
        raise DataError(f"{path}: rows {first} to {last} were requested, but it has rows 0 to {len(signal) - 1}")
    return signal[first : last + 1]


def _kind(path: Path, known: set[str]) -> str:
    if not path.is_file():
        raise DataError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    name = path.name.lower().removesuffix(".gz")
    kind = Path(name).suffix
    if kind not in known or (name != path.name.lower() and kind in {".npy", ".npz"}):
        raise DataError(f"{path}: unknown file ending; convert the recording to {', '.join(sorted(known))}")
    return kind


def _table(path: Path, lines: list[str], skip: int, separator: str | None) -> Signal:
    """Parse a text table with NumPy's fast reader; search for the fault only if that fails."""
    try:
        table = np.loadtxt(lines[skip:], comments=None, delimiter=separator, ndmin=2)
    except ValueError as error:
        raise DataError(_fault(path, lines, skip, separator) or f"{path} is not a table: {error}") from error
    if table.size == 0:
        raise DataError(f"{path} has no rows of numbers")
    if not _fits(table).all():
        raise DataError(_fault(path, lines, skip, separator) or f"{path} holds a number that is not finite")
    return table.astype(np.float32) + np.float32(0)  # -0 is 0


def _fits(values: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Whether values are numbers within the range of float32."""
    with np.errstate(over="ignore"):
        return np.isfinite(values.astype(np.float32))


def _fault(path: Path, lines: list[str], skip: int, separator: str | None) -> str | None:
    """Describe the first fault of a text table in one sentence."""
    width = 0
    for at, line in enumerate(lines[skip:], skip + 1):
        if not line.strip():
            continue
        fields = line.split(separator)
        width = width or len(fields)
        if len(fields) != width:
            return f"{path}, line {at}: it has {len(fields)} columns, but the lines before have {width}"
        for column, text in enumerate(fields, 1):
            if not _is_finite(text):
                return f"{path}, line {at}, column {column}: {text.strip()[:20]!r} is not a finite number"
    return None


def _is_finite(text: str) -> bool:
    try:
        return bool(_fits(np.array([number(text)]))[0])
    except ValueError:
        return False


def _numeric(path: Path, array: NDArray[np.generic], wanted: str) -> Signal:
    if array.ndim != wanted.count("×") + 1 or array.dtype.kind not in "iuf" or array.size == 0:
        raise DataError(f"{path}: expected numbers of shape {wanted}, not {array.dtype} of shape {array.shape}")
    check_size(path, array.size * 4)
    bad = np.argwhere(~_fits(array))
    if len(bad):
        place = ", ".join(str(i) for i in bad[0])
        raise DataError(f"{path}: the value at index ({place}), counted from 0, is not a finite number")
    return np.array(array, np.float32)
