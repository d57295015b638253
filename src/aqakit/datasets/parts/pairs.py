"""Comparisons: of two recordings, which was better."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aqakit.datasets.parts.sheet import Sheet
from aqakit.system.numbers import positive

ALIASES = {
    "better": ("winner", "preferred", "best"),
    "worse": ("loser", "other"),
    "weight": ("count", "times", "votes"),
}
"""Names that people give to the columns."""


@dataclass(frozen=True)
class Pair:
    """Two recordings or samples, by id, of which the first was said to be better; a label, as a score is.

    Attributes:
        better: the one that was preferred.
        worse: the other one.
        weight: how often it was said, or how sure it is.
    """

    better: str
    worse: str
    weight: float = 1.0


def read(file: Path, encoding: str | None = None) -> list[Pair]:
    """Read a table with the columns ``better`` and ``worse`` and, optionally, ``weight``.

    Raises:
        DataError: it cannot be read, or has errors; the message lists all of them with their lines.
    """
    sheet = Sheet.read(file, ALIASES, encoding)
    for name in ("better", "worse"):
        if name not in sheet.columns:
            sheet.add_error(1, f"there is no column {name!r}; the columns are better, worse and, optionally, weight")
    sheet.raise_errors()
    found = []
    for row in sheet.rows:
        better, worse = row.cells["better"], row.cells["worse"]
        if not better or not worse:
            sheet.add_error(row.line, f"{'better' if not better else 'worse'} is empty")
        elif better == worse:
            sheet.add_error(row.line, f"{better!r} is compared with itself")
        weight = sheet.number(row, "weight", positive)
        found.append(Pair(better, worse, 1.0 if weight is None else weight))
    sheet.raise_errors()
    return found
