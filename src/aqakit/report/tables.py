"""Tables, as lists of rows that are dictionaries by column name: print them, or write them as JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from aqakit.errors import OptionError
from aqakit.report.narrow import Grid, fit, total, widths
from aqakit.system.output import is_standard_output, write_output
from aqakit.system.terminal import console as new_console

Row = Mapping[str, Any]

_MORE = "A wider terminal, a pipe or a file has them."


@dataclass(frozen=True)
class Cell:
    """A cell in plain text: a value, the interval that stands behind it, and whether the value is bold."""

    text: str
    interval: str = ""
    bold: bool = False

    def __str__(self) -> str:
        return f"{self.text} {self.interval}" if self.interval else self.text


def show(
    rows: Sequence[Row],
    *,
    title: str = "",
    notes: Sequence[str] = (),
    hide: Sequence[str] = (),
    wide: bool | None = None,
) -> None:
    """Print rows to standard output, with all columns that occur in a row except the hidden ones.

    No number is folded. In a terminal that is too narrow, the columns that matter least are left out and named below,
    or the table is turned. If standard output is not a terminal, there is room for 200 characters beside the first
    column, which holds names, so that nothing is cut off.

    Args:
        rows: the rows.
        title: printed above them.
        notes: sentences below them.
        hide: columns that are not printed.
        wide: print all columns even if they do not fit; None if the user has no say.
    """
    grid, room = _grid(rows, hide), _room(rows)
    shown, left_out = fit(grid, room) if not wide and sys.stdout.isatty() else (grid, [])
    width = max(room, total(shown.natural() if wide else shown.least()))
    table = Table(header_style="bold", box=None, pad_edge=False)
    for name, number, letters in zip(shown.names, shown.numbers, widths(shown, width)):
        table.add_column(name.replace("_", " "), justify="right" if number else "left", overflow="fold", width=letters)
    for cells in zip(*shown.columns):
        table.add_row(*cells)
    console = new_console(width=room)
    if title:
        _head(title)
    new_console(width=width, height=25).print(table)  # without a height, a dumb terminal has 80 columns for rich
    for sentence in [*([_missing(rows, left_out, wide)] if left_out else []), *notes]:
        console.print(sentence, style="dim")


def _head(title: str) -> None:
    """Print a title; a terminal has it in several lines, but no word of it, such as a path, is cut."""
    console = new_console()
    if sys.stdout.isatty():
        title = textwrap.fill(title, console.width, break_long_words=False, break_on_hyphens=False)
    console.print(title, style="bold", soft_wrap=True)


def _room(rows: Sequence[Row]) -> int:
    """Letters in a line."""
    if sys.stdout.isatty():
        return new_console().width
    return 200 + max((len(text(next(iter(row.values()), ""))) for row in rows), default=0)


def _grid(rows: Sequence[Row], hide: Sequence[str]) -> Grid:
    names = [n for n in dict.fromkeys(n for row in rows for n in row) if n not in hide]
    names = [n for n in names if not any(is_nested(row.get(n)) for row in rows)]
    columns = tuple(tuple(text(row.get(name)) for row in rows) for name in names)
    numbers = tuple(any(isinstance(row.get(name), int | float | Cell) for row in rows) for name in names)
    return Grid(tuple(names), columns, numbers)


def _missing(rows: Sequence[Row], names: Sequence[str], wide: bool | None) -> str:
    """Say which columns are not shown, with their values where all rows have the same."""
    values = {name: {text(row.get(name)) for row in rows} for name in names}
    said = [f"{n.replace('_', ' ')}{f' ({v.pop()})' if len(v) == 1 else ''}" for n, v in values.items()]
    return f"Not shown for want of room: {', '.join(said)}. {_MORE if wide is None else '--wide shows all.'}"


def note(sentence: str) -> None:
    """Print a sentence below a table."""
    new_console().print(sentence, style="dim")


def show_fields(fields: Mapping[str, Any], *, title: str) -> None:
    """Print named values, one per line."""
    _head(title)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in fields.items():
        table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else text(value))
    new_console().print(table)


def text(value: object) -> str:
    """Format a value for a cell: three decimals, fewer of large numbers, a dash for a missing value.

    >>> [text(v) for v in (0.71234, 3, None, float("nan"), [0.5, 0.25], 664.25, 5.6e30)]
    ['0.712', '3', '–', '–', '0.50 0.25', '664.2', '5.6e+30']
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}" if abs(value) < 1e6 else f"{value:.1e}"
    if isinstance(value, list | tuple):
        return " ".join("–" if v is None else f"{v:.2f}" if isinstance(v, float) else str(v) for v in value)
    return str(value)


def write(rows: Sequence[Row], file: Path | None, kind: str) -> None:
    """Write rows as ``json`` or ``csv``; to standard output if the file is ``-``, not at all if it is None."""
    if file is None:
        return
    check_files(**{kind: file})
    write_output(file, as_json(rows) if kind == "json" else as_csv(rows))


def check_files(**files: Path | None) -> None:
    """Check the files that options of these names are given, before any work is done for them.

    Raises:
        OptionError: two are standard output, or the folder of one is missing.
    """
    known = {name: file for name, file in files.items() if file is not None}
    streams = [f"--{name}" for name, file in known.items() if is_standard_output(file)]
    if len(streams) > 1:
        raise OptionError(f"only one of {' and '.join(streams)} can go to standard output")
    for file in known.values():
        if not is_standard_output(file) and not file.parent.is_dir():
            raise OptionError(f"{file}: there is no folder {file.parent} to write to")


@contextmanager
def beside(*files: Path | None) -> Iterator[None]:
    """Print to standard error within the block if one of the files is standard output, which is for the data alone."""
    with redirect_stdout(sys.stderr) if any(map(is_standard_output, files)) else nullcontext():
        yield


def as_json(rows: Sequence[Row]) -> str:
    """Return a JSON list with one object per row; non-finite numbers are null."""
    return json.dumps([{n: _plain(v) for n, v in row.items()} for row in rows], indent=1) + "\n"


def as_csv(rows: Sequence[Row]) -> str:
    """Return CSV with a header and one line per row."""
    out = io.StringIO()
    names = list(dict.fromkeys(n for row in rows for n in row))
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def is_nested(value: object) -> bool:
    """Whether a value is no cell: named values, or lists in a list."""
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(v, list | dict) for v in value))


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # of NumPy, which listings do without
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
