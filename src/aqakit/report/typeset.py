"""A result table for print: titled columns, cells with intervals and the best in bold, and a caption.

:mod:`aqakit.report.latex` and :mod:`aqakit.report.markdown` write it down.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aqakit.metrics.direction import arrow
from aqakit.report.best import best, is_optimistic
from aqakit.report.columns import ENDS, SETTINGS, TITLES
from aqakit.report.tables import Cell, Row, is_nested, text

_SAID = ("task", *SETTINGS)
"""Columns that are in the caption instead if all methods have the same value."""

_INSIDE = ("optimistic", "folds")
"""Columns that only a wide table has: the rule says the first, and the second repeats Spearman by fold."""

_NOT_METHODS = ("floor:", "ceiling:")


@dataclass(frozen=True)
class Typeset:
    """A table in plain text, which the formats escape.

    Attributes:
        title: of the table.
        titles: of the columns.
        numbers: whether each column holds numbers.
        rows: cells of each row.
        breaks: rows before which a line is drawn, between methods and floors.
        caption: sentences that say what is in the table.
        notes: further sentences on how to read it.
    """

    title: str
    titles: tuple[str, ...]
    numbers: tuple[bool, ...]
    rows: tuple[tuple[Cell, ...], ...]
    breaks: tuple[int, ...]
    caption: tuple[str, ...]
    notes: tuple[str, ...]


def typeset(
    rows: Sequence[Row],
    *,
    title: str = "",
    notes: Sequence[str] = (),
    hide: Sequence[str] = (),
    facts: Mapping[str, Any] | None = None,
    metrics: Mapping[str, str] | None = None,
    caption: Sequence[str] = (),
) -> Typeset:
    """Set the rows of a table.

    Args:
        rows: as in a benchmark, or of any other table.
        title: of the table.
        notes: sentences on how to read it.
        hide: columns that are left out.
        facts: what is true of all rows and in none of them, for the caption: protocol, rule, seeds, members.
        metrics: the metric in each column that does not have its name.
        caption: further sentences, on cells that are set already (:class:`Cell`).
    """
    names, said = _columns(rows, hide)
    metrics = dict(metrics or {})
    columns, told = [], dict[str, None]()
    for name in names:
        chosen, how = best(rows, name, metrics.get(name))
        columns.append([_cell(row, name, k in chosen) for k, row in enumerate(rows)])
        told |= dict.fromkeys(_on_bold(name, metrics.get(name, name), bool(chosen), how))
    start, made = [title] if title else [], _settings({**(facts or {}), **said})
    sentences = [*start, *caption[:1], *made, *caption[1:], *_on_intervals(rows, names)]
    if told:
        sentences.append("Bold: the best of each column" + "".join(told))
    return Typeset(
        title=title,
        titles=tuple(_title(name, metrics.get(name, name)) for name in names),
        numbers=tuple(any(_is_number(row.get(name)) for row in rows) for name in names),
        rows=tuple(zip(*columns)),
        breaks=tuple(_breaks(rows)),
        caption=tuple(sentences),
        notes=tuple(notes),
    )


def _columns(rows: Sequence[Row], hide: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Return the columns to print, and what is said in the caption instead."""
    known = list(dict.fromkeys(n for row in rows for n in row if any(r.get(n) is not None for r in rows)))
    said = {n: v for n in _SAID if n in known and (v := _shared(rows, n)) is not None}
    if any(map(is_optimistic, rows)):
        said.pop("rule", None)  # it stands in every row
    ends = {end for name in known for end in ENDS.get(name, ())}
    out = {*said, *ends, *hide, *_INSIDE} - {n for n in _SAID if n not in said}
    return [n for n in known if n not in out and not any(is_nested(row.get(n)) for row in rows)], said


def _shared(rows: Sequence[Row], name: str) -> Any:
    """The one value of all rows that have this setting; None if there are several. Floors have no rule or seeds."""
    values = {str(row[name]): row[name] for row in rows if row.get(name) not in (None, "–")}
    return next(iter(values.values())) if len(values) == 1 else None


def _cell(row: Row, name: str, bold: bool) -> Cell:
    value = row.get(name)
    if isinstance(value, Cell):
        return value
    interval = ""
    if name in ENDS:
        low, high = (row.get(end) for end in ENDS[name])
        interval = f"[{text(low)}, {text(high)}]" if low is not None and high is not None else ""
    return Cell(text(value), interval if "–" not in interval else "", bold)


def _title(name: str, metric: str) -> str:
    shown = TITLES.get(name, name.replace("_", " "))
    where = arrow("spearman" if name == "ours" else metric)
    return f"{shown} {where}" if where else shown


def _settings(facts: Mapping[str, Any]) -> Iterator[str]:
    """One sentence on how the numbers were made."""
    known = {n: facts[n] for n in (*_SAID, *facts) if facts.get(n) is not None}
    if known:
        said = "; ".join(f"{name.replace('_', ' ')}: {text(value)}" for name, value in known.items())
        yield said[:1].upper() + said[1:]


def _on_intervals(rows: Sequence[Row], names: Sequence[str]) -> Iterator[str]:
    known = [n for n in names if n in ENDS and any(_cell(row, n, False).interval for row in rows)]
    levels = {"90 %" if ENDS[n][0].endswith("90") else "95 %" for n in known}
    if known:
        yield f"In brackets: {' and '.join(sorted(levels))} intervals"


def _on_bold(name: str, metric: str, found: bool, how: str) -> Iterator[str]:
    """What else is bold in a column, as an end of the sentence on bold numbers."""
    if found:
        yield ""
    if found and how:
        yield f", and of {TITLES.get(metric, metric)} what {how}"
    if found and metric.startswith("coverage"):
        yield "; a coverage is best nearest to its level"


def _breaks(rows: Sequence[Row]) -> Iterator[int]:
    """Rows that begin another task, or the floors."""
    kinds = [(row.get("task"), str(row.get("method", "")).startswith(_NOT_METHODS)) for row in rows]
    yield from (k for k in range(1, len(rows)) if kinds[k] != kinds[k - 1])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Cell) and not isinstance(value, bool)
