"""Fit a table into a terminal so that no number is cut or folded: leave out columns, or turn the table.

Columns go in the reverse of :data:`aqakit.report.columns.ORDER`. A table of few rows is turned instead: a row for each
column.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.cells import cell_len

from aqakit.report.columns import ORDER

GAP = 2
"""Spaces between columns."""

_TURNED = 4
"""Rows that may stand side by side in a turned table."""

_WORD = 13
"""Letters of a long word that stay together where there is no room for all of it."""

_NAME = 32
"""The same in the first column, whose names are typed again."""

_NUMBERS = re.compile(r"[-−]?\d[\d.,]*%?( [-−]?\d[\d.,]*%?)*")


@dataclass(frozen=True)
class Grid:
    """Cells of a table in text, by column.

    Attributes:
        names: of the columns.
        columns: cells of each column.
        numbers: whether each column holds numbers, which are printed to the right.
    """

    names: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    numbers: tuple[bool, ...]

    def natural(self) -> list[int]:
        """Widths with which nothing is folded."""
        return [_widest((_title(name), *cells)) for name, cells in zip(self.names, self.columns)]

    def whole(self) -> list[int]:
        """Widths with which no word is cut."""
        return [_least(name, cells, None) for name, cells in zip(self.names, self.columns)]

    def least(self) -> list[int]:
        """Widths with which no number is folded: of other cells and titles, words and parts of long ones."""
        parts = (_NAME, *[_WORD] * len(self.names))
        return [_least(name, cells, part) for name, cells, part in zip(self.names, self.columns, parts)]

    def turned(self) -> Grid:
        """Return the table with a row for each column; the first column gives the titles."""
        first, *others = self.columns
        rows = zip(*others, strict=True)
        names = (self.names[0], *first)
        return Grid(names, (tuple(map(_title, self.names[1:])), *rows), (False, *[True] * len(first)))

    def without(self, names: set[str]) -> Grid:
        """Return the table without some columns."""
        kept = [k for k, name in enumerate(self.names) if name not in names]
        chosen: Any = [tuple(values[k] for k in kept) for values in (self.names, self.columns, self.numbers)]
        return replace(self, names=chosen[0], columns=chosen[1], numbers=chosen[2])


def fit(grid: Grid, room: int) -> tuple[Grid, list[str]]:
    """Return the table, or what of it fits into ``room`` letters, and the names of the columns that were left out."""
    if not any(grid.numbers) or total(grid.least()) <= room:  # sentences can be folded
        return grid, []
    if len(grid.columns[0]) <= _TURNED and len(grid.names) > 2:
        turned = grid.turned()
        if total(turned.least()) <= room:
            return turned, []
    out: list[str] = []
    for group in _last_first(grid):
        out += group
        if total(grid.without(set(out)).least()) <= room:
            break
    return grid.without(set(out)), [name for name in grid.names if name in out]


def widths(grid: Grid, room: int) -> list[int]:
    """Return the width of each column: the natural ones, or smaller ones of the widest texts so that all fit.

    Texts are folded between words first, and words are cut only where that is not enough.
    """
    wide = grid.natural()
    for least in (grid.whole(), grid.least()):
        while total(wide) > room:
            spare = [w - low for w, low in zip(wide, least)]
            widest = max(range(len(wide)), key=lambda k: (spare[k] > 0, wide[k]))
            if spare[widest] <= 0:
                break
            wide[widest] -= 1
    return wide


def total(wide: Sequence[int]) -> int:
    """Return the width of columns with the gaps between them."""
    return sum(wide) + GAP * (len(wide) - 1)


def _last_first(grid: Grid) -> list[list[str]]:
    """Return the columns but the first, those that go together in one list, in the order in which they go.

    First go those with one value in all rows: it is said below the table, so nothing is lost.
    """
    names = grid.names[1:]
    listed = [[name for name in group if name in names] for group in ORDER]
    others = [[name] for name in names if not any(name in group for group in ORDER)]
    alike = {name for name, cells in zip(grid.names, grid.columns) if len(set(cells)) == 1}
    groups = [group for group in reversed([*listed, *others]) if group]
    return sorted(groups, key=lambda group: not set(group) <= alike)


def _least(name: str, cells: Sequence[str], part: int | None) -> int:
    """The width of a column whose words may be cut into parts of so many letters, or not at all."""
    title = _widest(_title(name).split())
    return max(title, *(_least_of(cell, part) for cell in cells), 1)


def _least_of(cell: str, part: int | None) -> int:
    longest = _widest(cell.split())
    return longest if part is None or _NUMBERS.fullmatch(cell) else min(longest, part)


def _title(name: str) -> str:
    return name.replace("_", " ")


def _widest(texts: Sequence[str]) -> int:
    return max((cell_len(text) for text in texts), default=1)
