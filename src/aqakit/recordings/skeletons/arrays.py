"""Plain arrays: frames × joints × 2 or 3, or frames × columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqakit.errors import DataError
from aqakit.recordings.skeletons.parts import tables
from aqakit.recordings.skeletons.parts.found import Found
from aqakit.recordings.skeletons.parts.layouts import LAYOUTS
from aqakit.recordings.skeletons.parts.source import Source
from aqakit.recordings.skeletons.parts.tables import cells

GENERAL = True

KEY = "joints"
"""Name of the array among several in an ``.npz``, and of the lists in an object of JSON."""

_FEWEST = 10
"""Columns of the narrowest table without names: five joints in two dimensions."""

_PIXELS = 20.0
"""Spread of x and y from which a third value between 0 and 1 cannot be a coordinate in the same unit."""


def fits(source: Source) -> bool:
    """Whether it is an array of NumPy, lists of JSON, or a table of numbers without names."""
    if source.kind == "json":
        return isinstance(source.json, list) or (isinstance(source.json, dict) and KEY in source.json)
    if source.kind == "text":
        row = source.head if not is_count(source.head) else _second(source)
        return len(row) >= _FEWEST and tables.is_numeric(row)
    return source.kind in {"npy", "npz"}


def read(source: Source) -> Found:
    """Read (T, J, 2 or 3), or (T, 2 J or 3 J) where only one number of joints fits.

    Raises:
        DataError: it is of another shape, or several numbers of joints fit and the user gave no layout.
    """
    if source.kind == "text":
        skip = source.first + is_count(source.head)
        values: NDArray[Any] = tables.numbers(source.path, source.lines, skip, source.mark)
        if source.head[0] == "" and is_count(source.head):  # numbers of rows, as pandas writes them
            values = values[:, 1:]
    else:
        values = from_json(source.path, source.json) if source.kind == "json" else source.array(KEY)
    return of_array(source, values)


def of_array(source: Source, values: NDArray[Any]) -> Found:
    """Make joints of an array of numbers of a shape that is allowed."""
    path = source.path
    if values.ndim not in (2, 3) or values.dtype.kind not in "iuf" or values.size == 0:
        raise DataError(
            f"{path}: expected numbers of shape frames × joints × coordinates, not {values.dtype} of shape "
            f"{values.shape}"
        )
    if values.ndim == 2:
        values = _joints(source, values)
    values, confidence = split_confidence(np.asarray(values))
    told = "the third value of each joint is between 0 and 1: taken as confidence, not as a coordinate"
    return Found(values, confidence=confidence, notes=(told,) if confidence is not None else ())


def split_confidence(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Divide (T, J, 3) into coordinates and confidence, if the third value can be no coordinate beside x and y."""
    if values.shape[2] != 3:
        return values, None
    with np.errstate(invalid="ignore", over="ignore"):
        third = np.asarray(values[..., 2], np.float64)
        third = third[np.isfinite(third)]
        flat = np.asarray(values[..., :2], np.float64).reshape(-1, 2)
        flat = flat[np.isfinite(flat).all(1)]
    if not len(third) or not len(flat) or third.min() < 0 or third.max() > 1 or flat.std(0).max() <= _PIXELS:
        return values, None
    if third.max() == third.min() == 0:  # a plane
        return values, None
    confidence = values[..., 2]
    lost = (confidence == 0) & (values[..., :2] == 0).all(2)
    return np.where(lost[..., None], np.nan, values[..., :2]), confidence


def _joints(source: Source, table: NDArray[Any]) -> NDArray[Any]:
    """(T, N) → (T, J, C) for the only J and C that fit."""
    path, columns = source.path, table.shape[1]
    possible = [(columns // size, size) for size in (2, 3) if columns % size == 0]
    if source.layout is not None:
        number = len(LAYOUTS[source.layout].joints)
        possible = [(joints, size) for joints, size in possible if joints == number]
    if len(possible) > 1:
        sizes = {len(layout.joints) for layout in LAYOUTS.values()}
        possible = [(joints, size) for joints, size in possible if joints in sizes] or possible
    if len(possible) == 1:
        return table.reshape(len(table), *possible[0])
    if possible:
        named = [
            f"{layout.name} × {size}" for j, size in possible for layout in LAYOUTS.values() if len(layout.joints) == j
        ]
        shown = " or ".join(named or [f"{joints} joints × {size}" for joints, size in possible])
        raise DataError(
            f"{path}: its {columns} columns may be {shown}; say which with layout=, or save an array of frames × "
            "joints × coordinates"
        )
    wanted = f"joints of {source.layout}" if source.layout else "2 or 3 coordinates of joints"
    raise DataError(f"{path}: its {columns} columns are no {wanted}; leave out other columns, or give another layout")


def from_json(path: Path, loaded: Any) -> NDArray[Any]:
    """Make an array of nested lists, ``null`` where a value is missing."""
    try:
        listed = loaded[KEY] if isinstance(loaded, dict) else loaded
        array = np.asarray(listed)
        if array.dtype.kind == "U" or (array.dtype.kind == "O" and any(isinstance(cell, str) for cell in array.flat)):
            at = next((at for at, frame in enumerate(listed) if _has_text(frame)), 0)
            raise DataError(
                f"{path}, frame {at}, counted from 0: text in quotes is not a finite number; write numbers without "
                "quotes"
            )
        return array.astype(np.float64)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, MemoryError) as error:
        raise DataError(f"{path}: expected lists of equal length, frames × joints × coordinates") from error


def _has_text(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and any(map(_has_text, value)))


def is_count(head: list[str]) -> bool:
    """Whether a first line counts the columns from 0, as pandas writes it."""
    rest = head[1:] if head[0] == "" else head
    return len(rest) > 1 and rest == [str(k) for k in range(len(rest))]


def _second(source: Source) -> list[str]:
    """Return the cells of the second line that is not blank."""
    rest = (line for line in source.lines[source.first + 1 :] if line.strip())
    return cells(next(rest, ""), source.mark)
