"""Read and check a table of predictions from any source, CSV or ``.xlsx``, and convert them to score distributions.

The columns are ``id``, ``true`` and ``mean``; if the method states its uncertainty, also ``std``, or at least two
quantiles named by their level (``q05``, ``q50``, ``q975``); with quantiles ``std`` is not used. If there is a column
``split`` or ``fold``, each split or fold is evaluated separately. A column ``group`` (an athlete, a surgeon) says which
samples share their errors; intervals then resample whole groups. Rows without a true score and other columns are
ignored.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from aqakit.datasets.parts.sheet import Row, Sheet, listed
from aqakit.errors import DataError
from aqakit.scores.distributions import Normal, Point, Quantiles, ScoreDistribution
from aqakit.system import terminal
from aqakit.system.numbers import number
from aqakit.types import Floats

_NEEDED = ("id", "true", "mean")
_ALIASES = {
    "id": ("name", "sample", "sample_id", "recording"),
    "true": ("truth", "true_score", "target", "label"),
    "mean": ("predicted", "prediction", "predicted_score", "pred"),
}
_QUANTILE = re.compile(r"q(?:0?\.(?=\d)|(?=\d\d))(\d+)", re.ASCII)
_SMALLEST = 1e-6  # a std of 0 among positive ones is replaced by this


@dataclass(frozen=True)
class Predictions:
    """One part of a file: all of it, or the rows of one split or fold.

    Attributes:
        part: the name of the split or fold; empty if the file has neither.
        ids: n sample ids.
        true: (n,) true scores.
        distribution: (n,) predictions.
        groups: n groups; None for a sample without one.
    """

    part: str
    ids: Sequence[str]
    true: Floats
    distribution: ScoreDistribution
    groups: Sequence[str | None]


def read(file: Path) -> list[Predictions]:
    """Read the parts of a file, in the order in which they appear.

    Raises:
        DataError: a column is missing, a cell is not a number, an id is repeated, a std is negative, or quantiles
            decrease; the message lists all faults with their lines.
    """
    sheet = Sheet.read(file, _ALIASES)
    levels = _levels(sheet)
    sheet.raise_errors()
    names = [*_NEEDED[1:], *(levels or [name for name in ("std",) if name in sheet.columns])]
    part = next((name for name in ("split", "fold") if name in sheet.columns), "")
    judged = [row for row in sheet.rows if row.cells["true"]]
    numbers = [_numbers(sheet, row, names) for row in judged]
    _check_ids(sheet, judged, part)
    sheet.raise_errors()
    if not judged:
        raise DataError(f"{file}: no row has a true score, so there is nothing to evaluate")
    for sentence in sheet.notes:
        terminal.say_once(f"{file}: {sentence}")
    table, where = np.array(numbers), np.array([row.cells.get(part, "") for row in judged])
    found = []
    for name in dict.fromkeys(where.tolist()):
        (members,) = np.nonzero(where == name)
        ids = [judged[k].cells["id"] for k in members]
        groups = [judged[k].cells.get("group") or None for k in members]
        found.append(Predictions(name, ids, table[members, 0], _distribution(table[members, 1:], levels), groups))
    return found


def _levels(sheet: Sheet) -> dict[str, float]:
    """Return the quantile columns and their levels, in increasing order."""
    for name in _NEEDED:
        if name not in sheet.columns:
            sheet.add_error(1, f"there is no column {name!r}; the columns are: {listed(sheet.columns)}")
    matched = {name: _QUANTILE.fullmatch(name) for name in sheet.columns}
    levels = {name: float(f"0.{found[1]}") for name, found in matched.items() if found}
    if len(set(levels.values())) < len(levels) or 0.0 in levels.values():
        sheet.add_error(1, f"quantile columns need distinct levels above 0; the columns are: {listed(levels)}")
    if len(levels) == 1:
        sheet.add_error(
            1, f"one quantile column, {next(iter(levels))}, is not a distribution; give two or more, or std"
        )
    for name in sheet.columns:
        if re.fullmatch(r"q\d", name):
            sheet.add_error(1, f"{name} is ambiguous; write q0{name[1]} or {name}0")
    return dict(sorted(levels.items(), key=lambda item: item[1]))


def _numbers(sheet: Sheet, row: Row, names: Sequence[str]) -> list[float]:
    """Return the cells of the named columns as numbers; the first two are the true score and the mean."""
    for name in names:
        if not row.cells[name]:
            sheet.add_error(row.line, f"{name} is empty")
    values = [sheet.number(row, name, number) for name in names]
    known = [np.nan if value is None else value for value in values]
    if "std" in names and known[-1] < 0:
        sheet.add_error(row.line, f"std {known[-1]:g} is negative")
    if "std" not in names and bool((np.diff(known[2:]) < 0).any()):
        sheet.add_error(row.line, "a quantile is below that of a lower level")
    return known


def _check_ids(sheet: Sheet, rows: Sequence[Row], part: str) -> None:
    """Check that each id occurs once in each part."""
    first: dict[tuple[str, str], int] = {}
    for row in rows:
        name = row.cells["id"]
        line = first.setdefault((name, row.cells.get(part, "")), row.line)
        if line != row.line:
            sheet.add_error(row.line, f"id {name!r} is already on line {line}")


def _distribution(numbers: Floats, levels: dict[str, float]) -> ScoreDistribution:
    """Convert rows (n, 1 + K) to distributions: the mean, then quantiles, or one standard deviation, or nothing."""
    mean, stated = torch.from_numpy(numbers[:, 0].copy()), torch.from_numpy(numbers[:, 1:].copy())
    if levels:
        return Quantiles(mean, stated, torch.tensor(list(levels.values()), dtype=torch.float64))
    return Normal(mean, stated[:, 0].clamp_min(_SMALLEST)) if bool(stated.any()) else Point(mean)
