"""Read and check a table of predictions from any source, CSV or ``.xlsx``, and convert them to score distributions.

The columns are ``id``, ``true`` and ``mean``; if the method states its uncertainty, also ``std``, or at least two
quantiles named by their level (``q05``, ``q50``, ``q975``); with quantiles ``std`` is not used. If there is a column
``split`` or ``fold``, each split or fold is evaluated separately. A column ``group`` (an athlete, a surgeon) says which
samples share their errors; intervals then resample whole groups. Rows without a true score and other columns are
ignored.

Predictions of the test samples of a data set need neither true scores nor groups, nor ids if they are in the order of
the split: :func:`of_test`. These may also be an array ``.npy`` (n,), or a text file ``.txt`` of one number a line.
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
from aqakit.recordings import arrays
from aqakit.scores.distributions import Normal, Point, Quantiles, ScoreDistribution
from aqakit.system import terminal
from aqakit.system.numbers import number
from aqakit.system.text import decode
from aqakit.types import Floats, Sample

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
    names = [*_NEEDED[1:], *(levels or _std(sheet))]
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


def of_test(file: Path, tested: Sequence[Sample]) -> Predictions:
    """Read predictions of test samples: by id, or in their order where there are no ids.

    Raises:
        DataError: as :func:`read`; or the ids, or their number, are not those of the samples that have a score.
    """
    judged = [sample for sample in tested if sample.score is not None]
    ids = [sample.id for sample in judged]
    true, groups = np.array([sample.score for sample in judged], float), [sample.group for sample in judged]
    if file.suffix in (".npy", ".txt"):
        found: ScoreDistribution = Point(torch.from_numpy(_one_column(file)))
    else:
        sheet = Sheet.read(file, {name: aliases for name, aliases in _ALIASES.items() if name != "true"})
        levels = _levels(sheet, ("mean",))
        sheet.raise_errors()
        numbers = [_numbers(sheet, row, ["mean", *(levels or _std(sheet))], first=1) for row in sheet.rows]
        rows = sheet.rows
        if "id" in sheet.columns:
            _check_ids(sheet, rows, "")
            line = {row.cells["id"]: k for k, row in enumerate(rows)}
            for row in rows:
                if row.cells["id"] not in ids:
                    sheet.add_error(row.line, f"{row.cells['id']!r} is not among the {len(ids)} test samples")
            if missing := [name for name in ids if name not in line]:
                sheet.add_error(1, f"{len(missing)} of {len(ids)} test samples have no row: {listed(missing[:5])}")
            sheet.raise_errors()
            numbers = [numbers[line[name]] for name in ids]
        sheet.raise_errors()
        found = _distribution(np.array(numbers).reshape(len(numbers), -1), levels)
    if len(found.mean) != len(ids):
        raise DataError(
            f"{file}: has {len(found.mean)} predictions, but the split has {len(ids)} test samples with a score"
        )
    return Predictions("test", ids, true, found, groups)


def _one_column(file: Path) -> Floats:
    """Read (n,) numbers of an array, or of a text file of one number a line."""
    if file.suffix == ".npy":
        array = arrays.numpy_array(file, "")
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim != 1 or not np.issubdtype(array.dtype, np.number):
            raise DataError(f"{file}: should be one number for each test sample, (n,), not {array.shape} {array.dtype}")
        values = array.astype(np.float64)
    else:
        lines = enumerate(decode(file.read_bytes())[0].splitlines(), start=1)
        values = np.array([_line(file, k, text) for k, text in lines if text.strip()])
    if len(wrong := np.flatnonzero(~np.isfinite(values))):
        raise DataError(f"{file}: prediction {wrong[0] + 1} is {values[wrong[0]]}, not a finite number")
    return values


def _line(file: Path, k: int, text: str) -> float:
    try:
        return number(text.strip())
    except ValueError:
        raise DataError(f"{file}:{k}: {text.strip()!r} is not a number; write one prediction a line") from None


def _std(sheet: Sheet) -> list[str]:
    return [name for name in ("std",) if name in sheet.columns]


def _levels(sheet: Sheet, needed: Sequence[str] = _NEEDED) -> dict[str, float]:
    """Return the quantile columns and their levels, in increasing order."""
    for name in needed:
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


def _numbers(sheet: Sheet, row: Row, names: Sequence[str], first: int = 2) -> list[float]:
    """Return the cells of the named columns as numbers; quantiles follow the ``first`` ones, true score and mean."""
    for name in names:
        if not row.cells[name]:
            sheet.add_error(row.line, f"{name} is empty")
    values = [sheet.number(row, name, number) for name in names]
    known = [np.nan if value is None else value for value in values]
    if "std" in names and known[-1] < 0:
        sheet.add_error(row.line, f"std {known[-1]:g} is negative")
    if "std" not in names and bool((np.diff(known[first:]) < 0).any()):
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
