"""The lines of a ``.csv`` of motion, as spreadsheets and programs write it: separator, decimal mark, column names."""

from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path

from aqakit.errors import DataError
from aqakit.system import text as texts
from aqakit.system.files import check_size, largest

TABLE, LINES = 3 / 8, 1 / 64
"""Shares of the largest recording: bytes of a table, and its lines; their numbers take more in memory."""

_COMMA = re.compile(r"(?:^|[^0-9])(?:0|[0-9]{4,})?,[0-9]|,(?:[0-9]{1,2}|[0-9]{4,})(?:[^0-9]|$)")
"""A comma that cannot divide thousands."""
_FRACTION = re.compile(r"[.eE]")


def read(path: Path, share: float = TABLE) -> str:
    """Read text, perhaps compressed, of at most a share of the largest recording.

    Raises:
        DataError: it is too large, empty, damaged or no text.
    """
    try:
        with gzip.open(path) if _is_packed(path) else path.open("rb") as file:
            data = file.read(int(largest() * share) + 1)
        check_size(path, len(data), share)
        check_size(path, data.count(b"\n"), LINES, "lines")
        text, _ = texts.decode(data)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a text file (byte {error.start} is not UTF-8)") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read to its end: {error}; copy it again") from error
    if not text.strip():
        raise DataError(f"{path} is empty")
    return text


def _is_packed(path: Path) -> bool:
    with path.open("rb") as file:
        return path.suffix.lower() == ".gz" or file.read(2) == b"\x1f\x8b"


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
