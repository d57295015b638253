"""Write a manifest to be filled in, as CSV and as a workbook with pictures; add rows to one that is filled already.

What a person wrote is never changed: rows of new recordings are added below. Of a workbook, a copy is kept beside it
then, since programs of spreadsheets know things that would be lost.
"""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

import openpyxl
from openpyxl.comments import Comment
from openpyxl.drawing.image import Image
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from aqakit.datasets.manifest import ALIASES, KINDS
from aqakit.datasets.parts.records import MISSING
from aqakit.datasets.parts.sheet import Sheet
from aqakit.errors import DataError
from aqakit.system import text as texts
from aqakit.system.files import atomic_path

CSV, XLSX, COPY = "manifest.csv", "manifest.xlsx", "manifest.before.xlsx"
PICTURE = "picture"

TO_FILL: Mapping[str, str] = {
    "score": "The score, in the units of your sport. Leave it empty if there is none.",
    "group": "Who or what must not be in training and in test at once: the athlete, the patient, the competition.",
    "difficulty": "The declared difficulty, if the score is multiplied by one. Else leave the column empty.",
}
"""The columns that a person fills in, and what goes into them."""

_WIDTH, _HEIGHT = 16, 50
"""Of a cell with a picture: letters, and points."""


@dataclass(frozen=True)
class Row:
    """A recording that is to be listed: its id, its path by column, relative to the folder, and a JPEG of it."""

    id: str
    paths: Mapping[str, str]
    picture: bytes | None = None


def read(folder: Path) -> dict[str, Sheet]:
    """Return the manifests that a folder has, by the name of their file.

    Raises:
        DataError: one has errors; the message lists them.
    """
    found = {}
    for name in (CSV, XLSX):
        if (folder / name).exists():
            sheet = Sheet.read(folder / name, ALIASES)
            sheet.raise_errors()
            found[name] = sheet
    return found


def paths_in(sheet: Sheet) -> set[Path]:
    """Return the recordings that a manifest lists, as paths in its folder."""
    cells = {row.cells[column] for row in sheet.rows for column in ("path", *KINDS) if row.cells.get(column)}
    return {sheet.path.parent / text for cell in cells for text in (cell, cell.replace("\\", "/"))}


def kind_in(sheet: Sheet) -> str | None:
    """Return the first kind of recording that the rows of a manifest name; None if its paths do not say it."""
    return next((kind for kind in KINDS if any(row.cells.get(kind) for row in sheet.rows)), None)


def scored(sheet: Sheet) -> int:
    """Return how many rows have a score."""
    return sum(bool(row.cells.get("score")) for row in sheet.rows)


def name_for(path: str, taken: set[str]) -> str:
    """Return an id for a recording that nobody has yet, and take it: its path without the ending if possible.

    >>> taken = {"b"}
    >>> [name_for(path, taken) for path in ("rome/a.mp4", "b.mov", "b.avi", "b.avi", "na.mp4")]
    ['rome/a', 'b.mov', 'b.avi', 'b.avi 2', 'na.mp4']
    """
    short = re.sub(r"(?<=[^/])\.[^./ ]+(\.gz)?$", "", path)
    names = chain((short, path), (f"{path} {k}" for k in count(2)))
    name = next(one for one in names if one not in taken and one.lower() not in MISSING)
    taken.add(name)
    return name


def is_writable(path: str) -> bool:
    """Whether a path survives in a cell: it is in an encoding, on one line, and has no blanks around it."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return path.isprintable() and path == path.strip()


def write_csv(file: Path, rows: Sequence[Row], before: Sheet | None) -> None:
    """Write rows below those that a CSV file has; the bytes that are there stay as they are."""
    columns = before.columns if before else ["id", *_kinds(rows), *TO_FILL]
    data, mark, encoding = (file.read_bytes(), "", "") if before else (b"", ",", "utf-8")
    if before:
        decoded, guessed = texts.decode(data)
        stated = texts.stated_delimiter(decoded.split("\n", 1)[0].rstrip("\r"))
        mark, encoding = stated or texts.delimiter(decoded), guessed or _encoding(data)
    out = io.StringIO()
    end = "\r\n" if b"\r" in data else "\n"
    if before and not decoded.endswith(("\n", "\r")):
        out.write(end)
    writer = csv.writer(out, delimiter=mark, lineterminator=end)
    writer.writerows([] if before else [columns])
    writer.writerows(_cells(file, row, columns) for row in rows)
    try:
        added = out.getvalue().encode(encoding)
    except UnicodeEncodeError:
        raise DataError(f"{file} is in {encoding}, which lacks letters of new names; save it as CSV UTF-8") from None
    with atomic_path(file) as temporary:
        temporary.write_bytes(data + added)


def write_workbook(file: Path, rows: Sequence[Row], before: Sheet | None) -> None:
    """Write rows below those that a workbook has, of which a copy is kept."""
    if before:
        with atomic_path(file.with_name(COPY)) as copy:
            shutil.copyfile(file, copy)
        book = openpyxl.load_workbook(file)
        sheet, columns = book.worksheets[0], before.columns
        last = max((row.line for row in before.rows), default=_first_row(sheet))
    else:
        book = openpyxl.Workbook()
        sheet, columns, last = book.active, [PICTURE, "id", *_kinds(rows), *TO_FILL], 1
        _head(sheet, columns)
    for line, row in enumerate(rows, last + 1):
        for column, text in enumerate(_cells(file, row, columns), 1):
            if text:
                cell = sheet.cell(line, column, text)
                cell.data_type = "s"  # a name that begins with = is no formula
        if row.picture and PICTURE in columns:
            _show(sheet, row.picture, line, columns.index(PICTURE) + 1)
    with atomic_path(file) as temporary:
        book.save(temporary)


def _kinds(rows: Sequence[Row]) -> list[str]:
    return [kind for kind in KINDS if any(kind in row.paths for row in rows)]


def _cells(file: Path, row: Row, columns: Sequence[str]) -> list[str]:
    """Return the cells of a row: of columns that a person made, nothing is known."""
    known = {"id": row.id, **row.paths}
    if lacking := [kind for kind in row.paths if kind not in columns]:
        if len(lacking) > 1 or "path" not in columns:
            raise DataError(f"{file} has no column {lacking[0]!r} for the new recordings; add it, or rename the file")
        known["path"] = known.pop(lacking[0])
    return [known.get(column, "") for column in columns]


def _encoding(data: bytes) -> str:
    """Return the encoding in which text is added to UTF-8 or UTF-16."""
    start = data[:512]
    if data.startswith(b"\xff\xfe") or start[1::2].count(0) > len(start) // 3:
        return "utf-16-le"
    return "utf-16-be" if data.startswith(b"\xfe\xff") or start[::2].count(0) > len(start) // 3 else "utf-8"


def _head(sheet: Any, columns: Sequence[str]) -> None:
    sheet.title, sheet.freeze_panes = "recordings", "A2"
    for number, name in enumerate(columns, 1):
        cell = sheet.cell(1, number, name)
        cell.font = Font(bold=True)
        if name in TO_FILL:
            cell.comment = Comment(TO_FILL[name], "aqakit", height=90, width=260)
        sheet.column_dimensions[get_column_letter(number)].width = 28 if name in ("id", *KINDS) else _WIDTH


def _first_row(sheet: Any) -> int:
    """Return the row of the column names: the first that is not empty."""
    rows = sheet.iter_rows()
    return next((k for k, cells in enumerate(rows, 1) if any(cell.value is not None for cell in cells)), 1)


def _show(sheet: Any, picture: bytes, line: int, column: int) -> None:
    sheet.add_image(Image(io.BytesIO(picture)), f"{get_column_letter(column)}{line}")
    sheet.row_dimensions[line].height = _HEIGHT
