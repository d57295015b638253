"""Comparisons: of two recordings, which was better."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aqakit.datasets.parts.findings import Finding, finding
from aqakit.datasets.parts.sheet import Sheet
from aqakit.system.numbers import positive
from aqakit.types import Sample, ScoreScale, Split

SCALE = ScoreScale(0, 100, "% of comparisons")
"""Of scores that come from comparisons alone: the percentage of them that a recording should win."""

ALIASES = {
    "better": ("winner", "preferred", "best"),
    "worse": ("loser", "other"),
    "weight": ("count", "times", "votes"),
}
"""Names that people give to the columns."""

_MOST = 1_000_000
"""Largest weight."""


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


def read(file: Path, encoding: str | None = None, ids: Iterable[str] | None = None) -> list[Pair]:
    """Read a table with the columns ``better`` and ``worse`` and, optionally, ``weight``.

    Args:
        file: CSV or ``.xlsx``.
        encoding: of a CSV file; found out if None.
        ids: what may be compared; anything if None.

    Raises:
        DataError: it cannot be read, or has errors; the message lists all of them with their lines.
    """
    known = None if ids is None else set(ids)
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
        for name in dict.fromkeys((better, worse)):
            if name and known is not None and name not in known:
                sheet.add_error(row.line, f"{name!r} is not the id of a sample")
        weight = sheet.number(row, "weight", _weight)
        found.append(Pair(better, worse, 1.0 if weight is None else weight))
    sheet.raise_errors()
    return found


def _weight(text: str) -> float:
    if (weight := positive(text)) > _MOST:
        raise ValueError(f"is larger than {_MOST:,}; give how often it was said")
    return weight


def among(pairs: Iterable[Pair], ids: Iterable[str]) -> tuple[Pair, ...]:
    """Return the pairs both of whose samples are among some ids."""
    known = set(ids)
    return tuple(pair for pair in pairs if pair.better in known and pair.worse in known)


def check(
    pairs: Sequence[Pair], samples: Sequence[Sample], splits: Iterable[tuple[str, Sequence[Split]]]
) -> Iterator[Finding]:
    """Yield what is wrong with the pairs of a data set, and how many no fold can use."""
    known, said = {s.id for s in samples}, {(p.better, p.worse) for p in pairs}
    unknown = {name for p in pairs for name in (p.better, p.worse)} - known
    both = [f"{a} and {b}" for a, b in said if a < b and (b, a) in said]
    yield from finding("error", "pairs", "pairs with ids of samples that do not exist", unknown)
    yield from finding("warning", "pairs", "pairs that were said both ways", both)
    for name, folds in splits:
        for fold in folds:
            test = set(fold.test)
            across = [f"{p.better} and {p.worse}" for p in pairs if (p.better in test) != (p.worse in test)]
            what = f"{name}, fold {fold.name}: pairs of a training and a test sample, which are left out"
            yield from finding("note", "pairs", what, across)
