"""Read a table that people made, CSV or ``.xlsx``, and report all of its errors at once, with their lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from aqakit.datasets.parts import columns as names_of
from aqakit.datasets.parts import records
from aqakit.errors import DataError
from aqakit.system.numbers import is_number, may_be_grouped

SHOWN = 20
"""Most errors that are listed; the rest are only counted."""

T = TypeVar("T")

_WITH_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+(?:[eE][+-]?[0-9]+)?")
_THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}(?:([ \u00a0\u202f'’.,])[0-9]{3})(?:\1[0-9]{3})*(?:[.,][0-9]+)?")


@dataclass(frozen=True)
class Row:
    """The cells of one row by column, and the line of the file where the row starts."""

    line: int
    cells: Mapping[str, str]


@dataclass
class Sheet:
    """The rows of the file as text, what was assumed, and the errors found so far with their lines.

    Attributes:
        path: the file.
        columns: names of the columns under which they are read.
        header: for each of them, the name in the file.
        notes: sentences of what a user must know of how the file was read.
    """

    path: Path
    columns: list[str]
    header: dict[str, str] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    faults: list[tuple[int, str]] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path, aliases: Mapping[str, Sequence[str]] | None = None, encoding: str | None = None) -> Sheet:
        """Read the file; column names are converted to lower case, and empty rows are skipped.

        Args:
            path: CSV or ``.xlsx``, known by its content.
            aliases: other names of columns, which are read as those if these are missing.
            encoding: encoding of a CSV file; by default it is found out.

        Raises:
            DataError: the file cannot be read as a table at all.
        """
        found = records.read(path, encoding)
        if not found.rows:
            raise DataError(f"{path} is empty; its first line should hold the column names")
        (first, header), *body = found.rows
        header, body = _without_empty_columns(header, body)
        columns, doubts = names_of.renamed(header, aliases or {})
        names = {column: name.strip() for column, name in zip(columns, header)}
        faults = [*found.faults, *((first, what) for what in doubts)]
        sheet = cls(path, columns, names, notes=found.notes, faults=faults)
        sheet._check_header(first)
        sheet._say_aliases()
        for line, cells in body:
            sheet._add(line, cells)
        if not body:
            sheet.add_error(first, "no rows follow the column names")
        return sheet

    def _add(self, line: int, cells: Sequence[str]) -> None:
        if len(cells) == len(self.columns):
            self.rows.append(Row(line, dict(zip(self.columns, cells))))
        else:
            what = f"{len(cells)} cells for {len(self.columns)} columns; put text with the separator in quotes"
            self.add_error(line, what)

    def add_error(self, line: int, what: str) -> None:
        """Record an error, to be reported by :meth:`raise_errors`."""
        self.faults.append((line, what))

    def cell(self, row: Row, column: str, convert: Callable[[str], T]) -> T | None:
        """Return the converted text of a cell; None if it is empty or ``convert`` raises a ValueError."""
        text = row.cells.get(column, "")
        try:
            return convert(text) if text else None
        except ValueError as error:
            self.add_error(row.line, f"{self.header.get(column, column)} {_short(text)} {error}")
            return None

    def number(self, row: Row, column: str, convert: Callable[[str], T]) -> T | None:
        """Return a cell as :meth:`cell` does; ``convert`` gets a decimal point where the file has a comma."""
        return self.cell(row, column, lambda text: convert(self.with_point(text)))

    def with_point(self, text: str) -> str:
        """Return a number with a decimal point.

        Raises:
            ValueError: it has a thousands sign, or a mark that may be one.
        """
        commas, points = self._marks
        if may_be_grouped(text) and (("," in text and not (commas and not points)) or ("." in text and commas)):
            raise ValueError("may have a thousands sign; write 1234 or, for a fraction, 1.2340 with a point")
        if _WITH_COMMA.fullmatch(text):
            return text.replace(",", ".")
        if not is_number(text) and _THOUSANDS.fullmatch(text):
            raise ValueError("has a thousands sign; write the number without it")
        return text

    @cached_property
    def _marks(self) -> tuple[bool, bool]:
        """Whether the file has numbers with a comma, and numbers with a point, that cannot divide thousands."""
        cells = {text for row in self.rows for text in row.cells.values() if "," in text or "." in text}
        certain = [text for text in cells if not may_be_grouped(text)]
        commas = any(_WITH_COMMA.fullmatch(text) for text in certain)
        return commas, any("." in text and is_number(text) for text in certain)

    def check_names(self, column: str) -> None:
        """Check that the values of a column, if it exists, are unique and not empty."""
        first: dict[str, int] = {}
        shown = self.header.get(column, column)
        for row in self.rows:
            name = row.cells.get(column)
            if name == "":
                self.add_error(row.line, f"{shown} is empty")
            elif name is not None and first.setdefault(name, row.line) != row.line:
                self.add_error(row.line, f"{shown} {_short(name)} is already on line {first[name]}")

    def raise_errors(self) -> None:
        """Raise one DataError with all errors, in line order."""
        if not self.faults:
            return
        lines = [f"  line {line}: {what}" for line, what in sorted(self.faults)]
        if len(lines) > SHOWN:
            lines[SHOWN:] = [f"  … and {len(lines) - SHOWN} more"]
        count = f"{len(self.faults)} errors" if len(self.faults) > 1 else "an error"
        raise DataError("\n".join([f"{self.path} has {count} to correct:", *lines]))

    def _check_header(self, line: int) -> None:
        for name, count in Counter(self.columns).items():
            if not name:
                self.add_error(line, "a column without a name")
            elif count > 1:
                self.add_error(line, f"{count} columns are named {_short(name)}")

    def _say_aliases(self) -> None:
        read = [f"{self.header[c]} as {c}" for c in self.columns if self.header[c].lower() != c]
        if read:
            self.notes.append(f"columns read under another name: {listed(read)}")


def _without_empty_columns(header: list[str], body: list[records.Record]) -> tuple[list[str], list[records.Record]]:
    """Leave out columns at the end that have neither a name nor a value, as spreadsheets write them."""
    width = max((k for k, name in enumerate(header, 1) if name), default=0)
    sizes = [max((k for k, cell in enumerate(cells, 1) if cell), default=0) for _, cells in body]
    width = max([width, *(min(size, len(header)) for size in sizes)])
    return header[:width], [
        (line, cells[: max(width, size)] if len(cells) > width else cells) for (line, cells), size in zip(body, sizes)
    ]


def listed(names: Iterable[str]) -> str:
    """Return names for a sentence; of many, the first ones."""
    names = list(names)
    return ", ".join(_cut(name) for name in names[:SHOWN]) + (
        f" and {len(names) - SHOWN} more" if names[SHOWN:] else ""
    )


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"


def _short(text: str) -> str:
    return repr(_cut(text))
