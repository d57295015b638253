"""The lines of a ``.csv`` of motion, as spreadsheets and programs write it: separator, decimal mark, column names."""

from __future__ import annotations

import re
from pathlib import Path

from aqakit.errors import DataError
from aqakit.system import text as texts

_COMMA = re.compile(r"(?:^|[^0-9])(?:0|[0-9]{4,})?,[0-9]|,(?:[0-9]{1,2}|[0-9]{4,})(?:[^0-9]|$)")
"""A comma that cannot divide thousands."""
_FRACTION = re.compile(r"[.eE]")


def rows(text: str) -> tuple[list[str], str]:
    """Return the lines of a ``.csv`` with decimal points, and the mark that separates their cells."""
    lines = text.splitlines()
    stated = texts.stated_delimiter(lines[0])
    if stated:
        lines[0] = ""  # kept, so that errors name the right line
    mark = stated or texts.delimiter(text)
    body = [line for line in lines if line.strip()][1:]
    if mark != "," and not any("." in line for line in body) and any(map(_COMMA.search, body)):
        lines = [line.replace(",", ".") for line in lines]
    return lines, mark


def header_lines(path: Path, lines: list[str], mark: str | None) -> int:
    """Return the number of lines up to the one that names the columns; 0 if there is none.

    Numbers alone are not names, but for ``0,1,2``, … as pandas writes them above numbers with a decimal point.

    Raises:
        DataError: it may be either, or a column has no name.
    """
    if not any(map(str.strip, lines)):
        return 0
    (at, first), *body = [(k, line) for k, line in enumerate(lines, 1) if line.strip()]
    cells = [cell.strip().strip('"') for cell in first.split(mark)]
    if all(_is_name(cell) for cell in cells if cell) and any(cells):
        if not all(cells):
            missing = cells.index("") + 1
            raise DataError(f"{path}, line {at}, column {missing}: no name; leave out row numbers, which are no motion")
        return at
    if cells != [str(k) for k in range(len(cells))]:
        return 0
    if body and all(_FRACTION.search(cell) for _, line in body[:2] for cell in line.split(mark)):
        return at
    raise DataError(f"{path}, line {at}: {first.strip()[:20]!r} may be names or motion; write names, or 0.0 for 0")


def _is_name(text: str) -> bool:
    """Whether a text has letters and is no number in any way of writing one."""
    try:
        float(text)
    except ValueError:
        return any(letter.isalpha() for letter in text)
    return False
