"""Tables, as lists of rows that are dictionaries by column name: print them, or write them as JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

from rich.table import Table

from aqakit.errors import OptionError
from aqakit.system.output import is_standard_output, write_output
from aqakit.system.terminal import console as new_console

Row = Mapping[str, Any]


def show(rows: Sequence[Row], *, title: str = "", notes: Sequence[str] = (), hide: Sequence[str] = ()) -> None:
    """Print rows to standard output, with all columns that occur in a row except the hidden ones.

    If standard output is not a terminal, there is room for 200 characters beside the first column, which holds names,
    so that nothing is cut off.
    """
    names = [n for n in dict.fromkeys(n for row in rows for n in row) if n not in hide]
    longest = max((len(text(row.get(names[0]))) for row in rows), default=0) if names else 0
    console = new_console(width=None if sys.stdout.isatty() else 200 + longest)
    table = Table(header_style="bold", box=None, pad_edge=False)
    for name in names:
        number = any(isinstance(row.get(name), int | float) for row in rows)
        table.add_column(name.replace("_", " "), justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(text(row.get(name)) for name in names))
    if title:
        console.print(title, style="bold", soft_wrap=True)
    console.print(table)
    for sentence in notes:
        console.print(sentence, style="dim")


def note(sentence: str) -> None:
    """Print a sentence below a table."""
    new_console().print(sentence, style="dim")


def show_fields(fields: Mapping[str, Any], *, title: str) -> None:
    """Print named values, one per line."""
    new_console().print(title, style="bold", soft_wrap=True)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in fields.items():
        table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else text(value))
    new_console().print(table)


def text(value: object) -> str:
    """Format a value for a cell: three decimals, a dash for a missing value.

    >>> [text(v) for v in (0.71234, 3, None, float("nan"), [0.5, 0.25])]
    ['0.712', '3', '–', '–', '0.50 0.25']
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"
    if isinstance(value, list | tuple):
        return " ".join("–" if v is None else f"{v:.2f}" if isinstance(v, float) else str(v) for v in value)
    return str(value)


def write(rows: Sequence[Row], file: Path | None, kind: str) -> None:
    """Write rows as ``json`` or ``csv``; to standard output if the file is ``-``, not at all if it is None."""
    if file is None:
        return
    if not is_standard_output(file) and not file.parent.is_dir():
        raise OptionError(f"{file}: there is no folder {file.parent} to write to")
    write_output(file, as_json(rows) if kind == "json" else as_csv(rows))


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


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # of NumPy, which listings do without
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
