"""Choose which columns of a table are attributes: classes, numbered from 0."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from aqakit.datasets.parts.sheet import Sheet, listed
from aqakit.system.numbers import is_number, whole

MOST_CLASSES = 1000
"""Most classes of an attribute. A larger number is a measurement or an id, and would need an output head that wide."""

_ALIKE = 0.8


def choose(sheet: Sheet, columns: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return the columns of classes; note which others are left aside.

    It is an error if a column is mostly of classes but has a word among them, or if it is left aside but its name is
    close to that of a known column that is missing.

    Args:
        sheet: the table, which takes the errors and notes.
        columns: names of the columns that have no meaning of their own.
        known: names of those that have one.
    """
    absent = [name for name in known if name not in sheet.columns]
    chosen, aside = [], []
    for name in columns:
        cells = [(row.line, row.cells[name]) for row in sheet.rows if row.cells[name]]
        bad = [(line, text, why) for line, text in cells if (why := _fault(sheet, text))]
        if not bad:
            chosen.append(name)
            continue
        line, text, why = bad[0]
        what = f"{name[:40]!r} is not an attribute: {text[:40]!r} {why}"
        if close := difflib.get_close_matches(name, absent, n=1, cutoff=_ALIKE):
            sheet.add_error(line, f"column {what}; did you mean {close[0]!r}?")
        elif _is_slip(bad, len(cells)):
            sheet.add_error(line, f"column {what}, as the other cells are")
        else:
            aside.append(f"{name[:40]} ({text[:40]!r} on line {line} {why})")
    if aside:
        sheet.notes.append(f"columns left aside, as they are no attributes: {listed(aside)}")
    return chosen


def _is_slip(bad: Sequence[tuple[int, str, str]], cells: int) -> bool:
    """Whether few cells of a column of classes are words; numbers of another kind are a measurement."""
    return 2 * len(bad) < cells and not any(is_number(text) for _, text, _ in bad)


def _fault(sheet: Sheet, text: str) -> str:
    """Return why a cell holds no class; nothing if it does."""
    try:
        value = whole(sheet.with_point(text))
    except ValueError as error:
        return str(error)
    if value >= MOST_CLASSES:
        return f"is too large for a class: classes are numbered from 0 to {MOST_CLASSES - 1}"
    return ""
