r"""Result tables as Markdown: the tables of GitHub and pandoc.

>>> print(escape("a|b_c * <d>"))
a\|b\_c \* \<d\>
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from aqakit.report.tables import Cell
from aqakit.report.typeset import Typeset

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&$^@!])")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")


def markdown(tables: Sequence[Typeset]) -> str:
    """Return each table below its caption and above its notes."""
    return "\n".join(map(_table, tables))


def escape(text: str) -> str:
    """Return text that Markdown shows as it is, in one line; two hyphens stay two hyphens."""
    plain = _SPECIAL.sub(r"\\\1", _UNPRINTABLE.sub(" ", text))
    return plain.replace("--", r"\-\-")


def _table(table: Typeset) -> str:
    lines = [f"Table: {_marked('. '.join(table.caption))}.", ""] if table.caption else []
    if table.rows:
        lines += [_row(map(escape, table.titles)), _row("---:" if number else ":---" for number in table.numbers)]
        lines += [_row(map(_cell, row)) for row in table.rows]
        lines.append("")
    for note in table.notes:
        lines.append(f"- {_marked(note)}")
    return "\n".join([*lines, ""])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    value = f"**{escape(cell.text)}**" if cell.bold else _marked(cell.text)
    return f"{value} {escape(cell.interval)}" if cell.interval else value


def _marked(text: str) -> str:
    return escape(text).replace("optimistic", "*optimistic*")
