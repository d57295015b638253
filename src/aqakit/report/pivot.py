"""Rows of results as a table of methods × data sets and metrics, or the other way round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aqakit import discovery
from aqakit.errors import OptionError
from aqakit.metrics.direction import arrow
from aqakit.report.best import best
from aqakit.report.columns import ENDS, TITLES
from aqakit.report.merging import Result
from aqakit.report.tables import Cell, text

ROWS = ("method", "data")

_NO_METRICS = {"low", "high", "seeds", "members", "samples"}


@dataclass(frozen=True)
class Pivot:
    """A table of results.

    Attributes:
        rows: cells by the name of their column.
        caption: sentences on what is in the cells.
        bold: a sentence on what is bold; empty if nothing is.
        facts: protocol, rule, seeds and members.
        notes: what a reader must know to compare the rows.
    """

    rows: list[dict[str, Any]]
    caption: list[str]
    bold: str
    facts: dict[str, Any]
    notes: list[str]


def pivot(found: Sequence[Result], metrics: Sequence[str], by: Literal["method", "data"] = "method") -> Pivot:
    """Make a table of results.

    Args:
        found: the results, each method once for each data set.
        metrics: names of metrics.
        by: what the rows are.

    Raises:
        OptionError: no result has such a metric.
    """
    _check(found, metrics)
    cells, how = _cells(found, metrics)
    methods = list(dict.fromkeys([*(r.method for r in found if not r.floor), *(r.method for r in found)]))
    places = list(dict.fromkeys(r.where for r in found))
    down, along = (methods, places) if by == "method" else (places, methods)
    rows = []
    for name in down:
        row: dict[str, Any] = {by: name}
        for other in along:
            method, where = (name, other) if by == "method" else (other, name)
            for metric in metrics:
                row[_column(other, metric, len(along), metrics)] = cells.get((method, where, metric))
        rows.append(row)
    place = f" on {places[0]}" if len(places) == 1 else ""
    caption = [" and ".join(_title(metric) for metric in metrics) + place]
    caption += ["In brackets: 95 % intervals"] if any(cell.interval for cell in cells.values()) else []
    bold = _on_bold(metrics, how) if any(cell.bold for cell in cells.values()) else ""
    return Pivot(rows, caption, bold, _facts(found), _samples(found))


def _check(found: Sequence[Result], metrics: Sequence[str]) -> None:
    known = {n for r in found for n, v in r.row.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    known -= _NO_METRICS
    for metric in metrics:
        if metric not in known:
            raise OptionError(f"--metrics: no row has a {metric!r}{discovery.nearest(metric, sorted(known))}")


def _cells(found: Sequence[Result], metrics: Sequence[str]) -> tuple[dict[tuple[str, str, str], Cell], list[str]]:
    """Return the cells by method, data set and metric, and by what others than the best are bold."""
    made, told = {}, dict[str, None]()
    for metric in metrics:
        for where in dict.fromkeys(r.where for r in found):
            own = [r for r in found if r.where == where]
            chosen, how = best([{**r.row, "protocol": None} for r in own], metric)
            told |= {f"{_title(metric, plain=True)} what {how}": None} if chosen and how else {}
            for k, one in enumerate(own):
                made[one.method, where, metric] = _cell(one.row, metric, k in chosen)
    return made, list(told)


def _cell(row: Mapping[str, Any], metric: str, bold: bool) -> Cell:
    low, high = (row.get(end) for end in ENDS.get(metric, ("", "")))
    interval = f"[{text(low)}, {text(high)}]" if low is not None and high is not None else ""
    return Cell(text(row.get(metric)), interval, bold)


def _column(other: str, metric: str, places: int, metrics: Sequence[str]) -> str:
    if len(metrics) == 1:
        return other
    return _title(metric) if places == 1 else f"{other}, {_title(metric)}"


def _title(metric: str, *, plain: bool = False) -> str:
    return " ".join(filter(None, (TITLES.get(metric, metric.replace("_", " ")), "" if plain else arrow(metric))))


def _on_bold(metrics: Sequence[str], how: Sequence[str]) -> str:
    more = "".join(f", and of {sentence}" for sentence in how)
    near = "; a coverage is best nearest to its level" * any(metric.startswith("coverage") for metric in metrics)
    return f"Bold: the best of each data set and metric{more}{near}"


def _facts(found: Sequence[Result]) -> dict[str, Any]:
    """Return protocol, rule, seeds and members; those of each data set where they differ."""
    own = [r for r in found if not r.floor] or found
    return {name: _by_place(own, name) for name in ("protocol", "rule", "seeds", "members")}


def _by_place(found: Sequence[Result], name: str) -> str | None:
    values: dict[str, list[str]] = {}
    for one in found:
        known = text(one.row.get(name))
        if known not in values.setdefault(one.where, []):
            values[one.where].append(known)
    kinds = {" or ".join(sorted(known)) for known in values.values()}
    if len(kinds) == 1:
        only = kinds.pop()
        return only if only != "–" else None
    return ", ".join(f"{' or '.join(sorted(known))} ({where})" for where, known in values.items())


def _samples(found: Sequence[Result]) -> list[str]:
    """Say where methods were not judged on as many samples."""
    notes = []
    for where in dict.fromkeys(r.where for r in found):
        counts = {r.method: r.row.get("samples") for r in found if r.where == where}
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"{method} {text(count)}" for method, count in counts.items())
            notes.append(f"{where}: not the same test samples, so no comparison: {listed}.")
    return notes
