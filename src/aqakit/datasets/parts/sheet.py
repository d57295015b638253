"""Read a hand-written CSV file and report all of its errors at once, with their lines."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from aqakit.errors import DataError

SHOWN = 20
"""Most errors that are listed; the rest are only counted."""

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """The cells of one row by column, and the line of the file where the row starts."""

    line: int
    cells: Mapping[str, str]


@dataclass
class Sheet:
    """The rows of the file as text, and the errors found so far with their lines."""

    path: Path
    columns: list[str]
    rows: list[Row] = field(default_factory=list)
    faults: list[tuple[int, str]] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Sheet:
        """Read the file; column names are converted to lower case, and empty rows are skipped.

        Raises:
            DataError: the file cannot be read as a table at all.
        """
        (_, header), *body = list(_records(path)) or [(1, [])]
        sheet = cls(path, [name.strip().lower() for name in header])
        _check_header(sheet)
        for line, cells in body:
            if len(cells) == len(header):
                sheet.rows.append(Row(line, dict(zip(sheet.columns, map(str.strip, cells), strict=True))))
            else:
                sheet.add_error(line, f"{len(cells)} cells for {len(header)} columns; put text with commas in quotes")
        if not body:
            sheet.add_error(1, "no rows follow the column names")
        return sheet

    def add_error(self, line: int, what: str) -> None:
        """Record an error, to be reported by :meth:`raise_errors`."""
        self.faults.append((line, what))

    def cell(self, row: Row, column: str, convert: Callable[[str], T]) -> T | None:
        """Return the converted text of a cell; None if it is empty or ``convert`` raises a ValueError."""
        text = row.cells.get(column, "")
        try:
            return convert(text) if text else None
        except ValueError as error:
            self.add_error(row.line, f"{column} {_short(text)} {error}")
            return None

    def check_names(self, column: str) -> None:
        """Check that the values of a column, if it exists, are unique and not empty."""
        first: dict[str, int] = {}
        for row in self.rows:
            name = row.cells.get(column)
            if name == "":
                self.add_error(row.line, f"{column} is empty")
            elif name is not None and first.setdefault(name, row.line) != row.line:
                self.add_error(row.line, f"{column} {_short(name)} is already on line {first[name]}")

    def raise_errors(self) -> None:
        """Raise one DataError with all errors, in line order."""
        if not self.faults:
            return
        lines = [f"  line {line}: {what}" for line, what in sorted(self.faults)]
        if len(lines) > SHOWN:
            lines[SHOWN:] = [f"  … and {len(lines) - SHOWN} more"]
        count = f"{len(self.faults)} errors" if len(self.faults) > 1 else "an error"
        raise DataError("\n".join([f"{self.path} has {count} to correct:", *lines]))


def number(text: str) -> float:
    """Parse a finite number."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError("is not a number") from None
    if not math.isfinite(value):
        raise ValueError("is not a finite number; leave the cell empty if there is none")
    return value


def positive(text: str) -> float:
    """Parse a finite number greater than 0."""
    value = number(text)
    if value <= 0:
        raise ValueError("is not greater than 0")
    return value


def whole(text: str) -> int:
    """Parse a whole number of 0 or more; spreadsheets may write it as 3.0."""
    value = number(text)
    if value < 0 or not value.is_integer():
        raise ValueError("is not a whole number of 0 or more")
    return int(value)


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the first line and the cells of each record; quoted text may span several lines."""
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    start = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}, line {start}: {error}; look for a quotation mark that is not closed") from None


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {line}: not UTF-8 text; save the file as CSV UTF-8") from None
    if "\0" in text:
        raise DataError(f"{path} is not a text file; save the table as CSV UTF-8")
    return text


def _check_header(sheet: Sheet) -> None:
    if not sheet.columns:
        raise DataError(f"{sheet.path} is empty; its first line should hold the column names")
    separators = {";": "semicolons", "\t": "tabs", "|": "bars"}
    for mark, name in separators.items():
        if len(sheet.columns) == 1 and mark in sheet.columns[0]:
            raise DataError(f"{sheet.path} is separated by {name}; save it with commas and with decimal points")
    for name, count in Counter(sheet.columns).items():
        if not name:
            sheet.add_error(1, "a column without a name")
        elif count > 1:
            sheet.add_error(1, f"{count} columns are named {name!r}")


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:59]}…")
