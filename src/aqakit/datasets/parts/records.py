"""Read a table that people made, CSV or ``.xlsx``, as rows of text with their lines."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aqakit.datasets.parts.workbook import Workbook
from aqakit.errors import DataError, OptionError
from aqakit.system import text as texts

LARGEST = 2**25
"""Most bytes of a table: 32 MiB. A table names recordings, and does not hold them."""
MOST_CELLS, MOST_COLUMNS = 2_000_000, 1000

Record = tuple[int, list[str]]

MISSING = {"", "-", "–", "—", "na", "n/a", "n.a.", "#n/a"}
"""What stands in a cell without a value, in lower case."""
_ZIP, _OLD_WORKBOOK = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"


@dataclass
class Records:
    """The rows that are not empty, with the line where each starts; what was assumed; what is wrong."""

    rows: list[Record]
    notes: list[str] = field(default_factory=list)
    faults: list[tuple[int, str]] = field(default_factory=list)


def read(path: Path, encoding: str | None = None) -> Records:
    """Read the rows of a CSV file or of the first sheet of a workbook. Missing values are empty cells.

    The separator is ``,``, ``;``, a tab or ``|``; the text is UTF-8, UTF-16 or of a Windows code page.

    Raises:
        DataError: the file cannot be read as a table at all.
    """
    data = _content(path)
    if data.startswith(_OLD_WORKBOOK):
        raise DataError(f"{path} is an old or protected workbook; save it as .xlsx without a password, or as CSV")
    if data.startswith(_ZIP):
        return _of_workbook(path, data)
    text, guessed = _decoded(path, data, encoding)
    notes = [f"not UTF-8; read as {guessed}, the option encoding names another"] if guessed else []
    return Records(_limited(path, _of_text(path, text)), notes)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > LARGEST:
        raise DataError(f"{path} is larger than {LARGEST} bytes, the limit for a table")
    return data


def _decoded(path: Path, data: bytes, encoding: str | None) -> tuple[str, str | None]:
    try:
        text, guessed = texts.decode(data, encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {line}: not {encoding or 'UTF-8'} text; save the file as CSV UTF-8") from None
    except LookupError:
        raise OptionError(f"there is no encoding {encoding!r}; cp1252, cp1250 and cp1251 are common ones") from None
    if "\0" in text:
        raise DataError(f"{path} is not a text file; save the table as CSV UTF-8 or as .xlsx")
    return text, guessed


def _of_text(path: Path, text: str) -> Iterator[Record]:
    """Yield the first line and the cells of each record; quoted text may span several lines."""
    lines = io.StringIO(text, newline="")
    stated = texts.stated_delimiter(lines.readline())
    if stated is None:
        lines.seek(0)
    start = skipped = 1 if stated is None else 2
    reader = csv.reader(lines, strict=True, delimiter=stated or texts.delimiter(text))
    try:
        for cells in reader:
            yield start, cells
            start = reader.line_num + skipped
    except csv.Error as error:
        raise DataError(f"{path}, line {start}: {error}; look for a quotation mark that is not closed") from None


def _of_workbook(path: Path, data: bytes) -> Records:
    try:
        book = Workbook(data)
        rows = _limited(path, book.rows())
    except DataError:
        raise
    except Exception as error:  # the parsers of a damaged workbook raise errors of many kinds
        why = f"{error}" or type(error).__name__
        raise DataError(
            f"{path} is not a text file, and cannot be read as a workbook: {why[:200]}; save the table as CSV UTF-8"
        ) from None
    width = len(rows[0][1]) if rows else 0
    rows = [(line, cells + [""] * (width - len(cells))) for line, cells in rows]
    notes = [f"only the first sheet, {book.name!r}, is read"] if book.others else []
    return Records(rows, notes, book.faults)


def _limited(path: Path, rows: Iterable[Record]) -> list[Record]:
    """Return the rows that are not empty; blanks around cells are removed, and missing values are empty."""
    kept, count = [], 0
    for line, cells in rows:
        count += len(cells) or 1
        if len(cells) > MOST_COLUMNS:
            raise DataError(f"{path}, line {line}: {len(cells)} columns; the limit for a table is {MOST_COLUMNS}")
        if count > MOST_CELLS:
            raise DataError(f"{path} has more than {MOST_CELLS} cells, the limit for a table")
        stripped = [cell.strip() for cell in cells]
        if any(stripped):
            kept.append((line, ["" if cell.lower() in MISSING else cell for cell in stripped]))
    return kept
