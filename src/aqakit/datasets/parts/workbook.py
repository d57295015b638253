"""Read the first sheet of an ``.xlsx`` workbook as text, row by row."""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any

import openpyxl

from aqakit.system.numbers import may_be_grouped

LARGEST = 2**27
"""Most bytes that a workbook may have once it is unpacked: 128 MiB."""

_MERGED = re.compile(rb'<(?:\w+:)?mergeCell\b[^>]*\bref\s*=\s*["\']([A-Z]{1,3})([0-9]{1,7}):')
_CHUNK, _LONGEST_TAG, _MOST_MERGED = 2**20, 256, 1000


class Workbook:
    """The first sheet of a workbook.

    Attributes:
        name: its name.
        others: names of the other sheets, which are not read.
        faults: what cannot be read as it was meant, by row.

    Raises:
        ValueError: the file is too large, or is not a workbook.
    """

    def __init__(self, data: bytes) -> None:
        _check_size(data)
        self.faults: list[tuple[int, str]] = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of features of spreadsheets that do not change cells
            self._values, self._formulas = (_first_sheet(data, values) for values in (True, False))
        self.name = self._values.title
        self.others = [name for name in self._values.parent.sheetnames if name != self.name]
        self._data = data

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the number and the cells of each row, and note its faults."""
        for row, cell in self._merged():
            self.faults.append((row, f"cell {cell} is merged with others; divide them again and fill each"))
        pairs = zip(self._values.iter_rows(), self._formulas.iter_rows())
        for line, (values, formulas) in enumerate(pairs, 1):
            for cell, formula in zip(values, formulas):
                if cell.value is None and formula.value is not None:
                    what = f"cell {cell.coordinate} is a formula without its value"
                    self.faults.append((line, f"{what}; open the file in a spreadsheet program and save it"))
            yield line, [_text(cell) for cell in values]

    def _merged(self) -> list[tuple[int, str]]:
        """Return the row and name of the first cell of each merged range; its other cells read as empty."""
        found: dict[str, int] = {}
        with zipfile.ZipFile(io.BytesIO(self._data)) as archive, archive.open(self._values._worksheet_path) as sheet:
            text = b""
            while (chunk := sheet.read(_CHUNK)) and len(found) < _MOST_MERGED:
                text = text[-_LONGEST_TAG:] + chunk
                found |= {(column + row).decode(): int(row) for column, row in _MERGED.findall(text)}
        return [(row, cell) for cell, row in found.items()]


def _check_size(data: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > LARGEST:
        raise ValueError(f"is larger than {LARGEST} bytes once it is unpacked, the limit for a table")


def _first_sheet(data: bytes, values: bool) -> Any:
    workbook = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=values)
    if not workbook.worksheets:
        raise ValueError("it has no sheet")
    sheet = workbook.worksheets[0]
    sheet.reset_dimensions()  # the stated size may be anything, and rows would be filled up to it
    return sheet


def _text(cell: Any) -> str:
    """Return the value of a cell as a person would type it."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        return _digits(value, cell.number_format or "")
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    return value.isoformat() if isinstance(value, date | time) else str(value)


def _digits(value: float, style: str) -> str:
    if "%" in style:
        return f"{100 * value:g} %"  # 0.85 that is shown as 85 % is not a score of 0.85
    text = repr(int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else value)
    return f"{text}0" if may_be_grouped(text) else text  # 1.2340 is never taken for a thousand
