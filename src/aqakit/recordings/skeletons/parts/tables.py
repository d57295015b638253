"""Tables of numbers in text, in which a cell may be missing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aqakit.errors import DataError
from aqakit.system.numbers import number

Table = NDArray[np.float64]

MISSING = frozenset({"", "nan", "na", "n/a", "-", "null", "none"})
"""Cells without a value, in lower case."""

_LARGEST = float(np.finfo(np.float32).max)
_AGAIN = "copy or export the file again"


def numbers(path: Path, lines: Sequence[str], skip: int, mark: str | None, width: int = 0) -> Table:
    """Read lines of numbers as (rows, columns) float64, NaN where a cell is missing.

    A mark at the end of every line is no column.

    Args:
        path: of the file, for messages.
        lines: of the whole file, with decimal points.
        skip: lines before the numbers.
        mark: what separates cells; None for blanks.
        width: cells of a line if that is known, so that the last may be missing in all lines; 0 if it is not.

    Raises:
        DataError: a line has another number of cells, or a cell is no number; the message names line and column.
    """
    body = [(at, line) for at, line in enumerate(lines[skip:], skip + 1) if line.strip(" ,;|")]
    if not body:
        raise DataError(f"{path} has no rows of numbers; {_AGAIN}")
    longer = len(body[0][1].split(mark)) != width
    if mark is not None and longer and all(line.rstrip(" ").endswith(mark) for _, line in body):
        body = [(at, line.rstrip(" ").removesuffix(mark)) for at, line in body]
    table = _fast([line for _, line in body], mark)
    if table is None:
        table = _slow(path, body, mark)
    bad = np.argwhere(np.isinf(in_range(table)))
    if len(bad):
        column, (at, line) = int(bad[0][1]), body[bad[0][0]]
        raise DataError(_not_finite(path, at, column + 1, cells(line, mark)[column]))
    return table


def in_range(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return values as float32, infinite where they are out of its range."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def _fast(lines: list[str], mark: str | None) -> Table | None:
    """Parse with NumPy's reader; None if there is anything that it does not read."""
    if mark is not None:
        doubled = re.compile(rf"(?<={re.escape(mark)})(?= *(?:{re.escape(mark)}|$))|^(?= *{re.escape(mark)})")
        lines = [doubled.sub("nan", line.rstrip("\r\n")) for line in lines]
    try:
        table: Table = np.loadtxt(lines, comments=None, delimiter=mark, ndmin=2)
    except ValueError:
        return None
    return table if len(table) == len(lines) else None


def _slow(path: Path, body: list[tuple[int, str]], mark: str | None) -> Table:
    width = len(cells(body[0][1], mark))
    rows = []
    for at, line in body:
        row = cells(line, mark)
        if len(row) != width:
            raise DataError(
                f"{path}, line {at}: it has {len(row)} columns, but the lines before have {width}; {_AGAIN}"
            )
        rows.append([value(path, at, column, text) for column, text in enumerate(row, 1)])
    return np.array(rows, np.float64)


def value(path: Path, line: int, column: int, text: str) -> float:
    """Read one cell; NaN if it is missing.

    Raises:
        DataError: it is no number that float32 can hold.
    """
    if text.lower() in MISSING:
        return np.nan
    try:
        found = number(text)
    except ValueError:
        found = np.inf
    if abs(found) > _LARGEST:
        raise DataError(_not_finite(path, line, column, text))
    return found


def _not_finite(path: Path, line: int, column: int, text: str) -> str:
    return f"{path}, line {line}, column {column}: {text[:20]!r} is not a finite number; leave the cell empty if none"


def is_numeric(row: Sequence[str]) -> bool:
    """Whether all cells are numbers or missing, and one at least is a number."""
    return any(_reads(cell) for cell in row) and all(_reads(cell) or cell.lower() in MISSING for cell in row)


def _reads(cell: str) -> bool:
    try:
        number(cell)
    except ValueError as error:
        return "finite" in str(error)
    return True


def cells(line: str, mark: str | None) -> list[str]:
    """Return the cells of a line without blanks and quotes around them."""
    return [cell.strip().strip('"').strip() for cell in line.split(mark)]
