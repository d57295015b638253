"""Which values of a result table are the best ones, together with those that do not differ from them.

Rows are compared within one task, split and protocol. A number chosen on the test split (*optimistic*) never competes
with one that was not, and a ceiling, which reads the judges' marks, competes with nothing. What does not differ is
decided by the letters of the paired comparison where rows have them (:func:`aqakit.metrics.comparison.mark`), by
overlapping intervals where they only have these, and else by the digits that are printed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from aqakit.metrics.direction import badness
from aqakit.report.columns import ENDS
from aqakit.report.tables import Row, text

CONTEXT = ("table", "data", "task", "split", "protocol", "labels")
"""Columns that say what was judged; rows that differ in them are not compared."""

LETTERS = "does not differ from it beyond noise (same letter: paired bootstrap, Holm, 5 %)"
OVERLAP = "has an overlapping 95 % interval, which is no test"

_SAME = {"ours": "spearman"}  # the name of a metric in other tables
_LETTERED = ("spearman", "ours")


def best(rows: Sequence[Row], column: str, metric: str | None = None) -> tuple[set[int], str]:
    """Return the numbers of the rows that are best in a column, and by what others count as equally good.

    Args:
        rows: as in a benchmark.
        column: name of the column.
        metric: the metric that is in it; its name if None.

    Returns:
        The rows, none if there is nothing to choose from; and :data:`LETTERS`, :data:`OVERLAP` or an empty string.
    """
    name = metric or _SAME.get(column, column)
    contexts: dict[tuple[Any, ...], list[int]] = {}
    for number, row in enumerate(rows):
        if _competes(row) and badness(name, row.get(column)) is not None:
            contexts.setdefault(tuple(str(row.get(part)) for part in CONTEXT), []).append(number)
    found, how = set[int](), ""
    for members in contexts.values():
        if len(members) > 1:
            chosen, by = _of_one([rows[k] for k in members], column, name)
            found |= {members[k] for k in chosen}
            how = how or by
    return found, how


def is_optimistic(row: Row) -> bool:
    """Whether the row was chosen on the test split."""
    return bool(row.get("optimistic")) or "optimistic" in str(row.get("rule", ""))


def in_one_group(one: str | None, other: str | None) -> bool:
    """Whether two groups of letters share a letter: their rows do not differ beyond noise."""
    return bool(_letters(one) & _letters(other))


def _competes(row: Row) -> bool:
    return not is_optimistic(row) and not str(row.get("method", "")).startswith("ceiling:")


def _of_one(rows: Sequence[Row], column: str, metric: str) -> tuple[set[int], str]:
    values = [badness(metric, row[column]) for row in rows]
    first = min(range(len(rows)), key=lambda k: values[k])  # type: ignore[arg-type, return-value]
    shown = text(rows[first][column])
    ties = {k for k, row in enumerate(rows) if values[k] == values[first] or text(row[column]) == shown}
    letters = rows[first].get("group") if column in _LETTERED else None
    if letters:
        own = _letters(letters)
        return ties | {k for k, row in enumerate(rows) if own & _letters(row.get("group"))}, LETTERS
    ends = _ends(rows[first], column)
    if ends:
        return ties | {k for k, row in enumerate(rows) if _overlap(ends, _ends(row, column))}, OVERLAP
    return ties if len(ties) < len(rows) else set(), ""


def _letters(group: str | None) -> set[str]:
    return set(re.findall("[a-z]'*", group or ""))  # after z there are a' and so on


def _ends(row: Mapping[str, Any], column: str) -> tuple[float, float] | None:
    low, high = (row.get(name) for name in ENDS.get(column, ("", "")))
    if not isinstance(low, float) or not isinstance(high, float) or low != low or high != high:
        return None
    return low, high


def _overlap(one: tuple[float, float], other: tuple[float, float] | None) -> bool:
    return other is not None and one[0] <= other[1] and other[0] <= one[1]
