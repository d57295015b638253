"""A file of joints before its format is known: opened once, whatever asks for its text, its JSON or its array."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
import zlib
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqakit.errors import DataError
from aqakit.recordings import arrays, csv_text
from aqakit.recordings.skeletons.parts import tables
from aqakit.recordings.skeletons.parts.tables import cells
from aqakit.system import npy
from aqakit.system import text as texts
from aqakit.system.files import check_size, largest

_JSON = 1 / 8
"""Share of the largest recording that JSON may take: its objects take more in memory."""


class Source:
    """A file or folder of joints.

    Attributes:
        path: of the file, or of a folder of files for each frame.
        layout: the name of the layout that the user gave; None if none was.
        kind: ``folder``, ``npy``, ``npz``, ``json`` or ``text``, by content.
    """

    def __init__(self, path: Path, layout: str | None = None) -> None:
        self.path, self.layout = path, layout
        if not path.exists():
            raise DataError(f"{path}: no such file")
        self.kind = "folder" if path.is_dir() else self._kind()

    def _kind(self) -> str:
        if not self.path.is_file():
            raise DataError(f"{self.path}: not a file")
        try:
            with self.path.open("rb") as file:
                packed = file.read(2) == b"\x1f\x8b"
            with gzip.open(self.path) if packed else self.path.open("rb") as file:
                start = file.read(64)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{self.path} cannot be read to its end: {error}; copy it again") from error
        name = self.path.name.lower().removesuffix(".gz")
        if start.startswith(b"\x93NUMPY") or name.endswith(".npy"):
            return "npy"
        if start.startswith(b"PK") or name.endswith(".npz"):
            return "npz"
        bare = start.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
        return "json" if bare[:1] in (b"{", b"[") or name.endswith(".json") else "text"

    @cached_property
    def text(self) -> str:
        """The text of the file, with any end of lines, without a mark of its encoding; never empty."""
        return csv_text.read(self.path, _JSON) if self.kind == "json" else csv_text.read(self.path)

    @cached_property
    def lines(self) -> list[str]:
        """Lines of the text, with decimal points."""
        return self._rows[0]

    @property
    def mark(self) -> str | None:
        """What separates the columns of a table; None for blanks."""
        return self._rows[1]

    @cached_property
    def _rows(self) -> tuple[list[str], str | None]:
        first = next(line for line in self.text.splitlines() if line.strip())
        named = self.path.name.lower().removesuffix(".gz").endswith(".csv")
        if not named and not any(mark in first.strip() for mark in texts.DELIMITERS):
            return self.text.splitlines(), None
        return csv_text.rows(self.text)

    @cached_property
    def first(self) -> int:
        """Number, from 0, of the first line that is not blank."""
        found = next((k for k, line in enumerate(self.lines) if line.strip(" \t,;|")), None)
        if found is None:
            raise DataError(f"{self.path} has no rows of numbers; copy or export the file again")
        return found

    @cached_property
    def head(self) -> list[str]:
        """The cells of the first line that is not blank, without blanks and quotes around them."""
        return cells(self.lines[self.first], self.mark)

    @cached_property
    def table(self) -> NDArray[np.float64]:
        """The numbers of a table without names of columns, NaN where a cell is missing.

        Raises:
            DataError: it is none.
        """
        return tables.numbers(self.path, self.lines, self.first, self.mark)

    @cached_property
    def json(self) -> Any:
        """The objects of a file of JSON, or of lines of JSON.

        Raises:
            DataError: it is none.
        """
        return parse_json(self.path, self.text)

    def array(self, key: str) -> NDArray[np.generic]:
        """Return the only array of a file of NumPy, or the one named ``key``.

        Raises:
            DataError: the file is damaged or too large, or has no such array.
        """
        with self.path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        return _unpacked(self.path) if packed else arrays.numpy_array(self.path, key)

    @cached_property
    def names(self) -> list[str]:
        """Names of the arrays in an ``.npz``; empty if it is damaged, which :meth:`array` explains."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                return [name.removesuffix(".npy") for name in archive.namelist()]
        except Exception:  # the library raises many kinds for damaged files
            return []


def parse_json(path: Path, text: str) -> Any:
    """Parse JSON, and lines of JSON as a list.

    Raises:
        DataError: it is none; the message names line and column.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and (found := _lines_of_json(text)) is not None:
            return found
        raise DataError(
            f"{path}, line {error.lineno}, column {error.colno}: {error.msg}; copy or export the file again"
        ) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise DataError(f"{path}: expected lists of joints, but they are nested too deep or too long") from error


def _lines_of_json(text: str) -> list[Any] | None:
    try:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError):
        return None


def _unpacked(path: Path) -> NDArray[np.generic]:
    """Read a compressed ``.npy``; what its header claims is checked against what is there."""
    try:
        with gzip.open(path) as file:
            data = file.read(largest() + 1)
        check_size(path, len(data))
        stream = io.BytesIO(data)
        shape, kind = npy.header(stream)
        size = len(data) - stream.tell()
        if kind.hasobject or int(np.prod([float(n) for n in shape])) * kind.itemsize != size:
            raise DataError(f"{path} is not a whole array of numbers; save it again with numpy.save")
        loaded: NDArray[np.generic] = npy.load(stream)
        return loaded
    except (OSError, EOFError, zlib.error, ValueError, OverflowError) as error:
        raise DataError(f"{path} cannot be read as an array of numbers: {error}; save it again") from error
