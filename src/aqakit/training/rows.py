"""Columns of a scored recording beside its score: by what and when it was scored; and how many digits count."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from aqakit.types import Sample, ScoreScale

POINTS = ("score", "std", "low_90", "high_90", "shift")
"""Columns in units of the score."""

SHARES = ("familiar", "held_90", "joints_seen")
"""Columns from 0 to 1."""

_DIGITS = 4
"""Digits of a score and of a share; nobody judges finer."""


def origin(sample: Sample, source: Path) -> dict[str, Any]:
    """Return the declared difficulty, the run or exported network, and the time of scoring with its offset from UTC."""
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    return {"difficulty": sample.difficulty, "run": str(source), "date": now}


def rounded(rows: Sequence[Mapping[str, Any]], scale: ScoreScale) -> list[dict[str, Any]]:
    """Return rows for a file: scores to a ten-thousandth of the scale, shares to four decimals.

    >>> rounded([{"score": 71.23456, "held_90": 1 / 3}], ScoreScale(0, 104.5))
    [{'score': 71.23, 'held_90': 0.3333}]
    """
    digits = dict.fromkeys(POINTS, max(0, _DIGITS - math.floor(math.log10(scale.span))))
    digits |= dict.fromkeys(SHARES, _DIGITS)
    return [
        {
            name: round(value, digits[name]) if name in digits and value is not None else value
            for name, value in row.items()
        }
        for row in rows
    ]


def unprinted(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return columns that a person need not see: run and date, and the difficulty if none is declared."""
    declared = any(row.get("difficulty") is not None for row in rows)
    return ("run", "date") if declared else ("run", "date", "difficulty")
