"""TRC: markers as OpenSim, Pose2Sim and Sports2D write them.

Five header lines with the rate, the unit and the names of the markers, then a row for each frame: number, time, and x,
y, z of each marker; a marker that is missing is empty.
https://opensimconfluence.atlassian.net/wiki/spaces/OpenSim/pages/53089972/Marker+.trc+Files
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aqakit.errors import DataError
from aqakit.recordings.skeletons.parts import clock, naming, tables
from aqakit.recordings.skeletons.parts.columns import UNITS
from aqakit.recordings.skeletons.parts.found import Found
from aqakit.recordings.skeletons.parts.source import Source
from aqakit.recordings.skeletons.parts.tables import cells

_SHORT = {"m": "m", "meters": "m", "metres": "m", "mm": "mm", "cm": "cm", "px": "p", "pixels": "p"}


def fits(source: Source) -> bool:
    """Whether it begins with ``PathFileType``."""
    return source.kind == "text" and source.text.lstrip()[:12].lower() == "pathfiletype"


def read(source: Source) -> Found:
    """Read the markers, in metres or in pixels.

    Raises:
        DataError: a header line is missing, a row has other columns than the header, or rows are missing.
    """
    lines = source.text.splitlines()
    mark = "\t" if any("\t" in line for line in lines[:6]) else None
    at, names = _names(source, lines, mark)
    stated = _stated(lines, mark)
    skip = at + 2 if at + 1 < len(lines) and _is_axes(lines[at + 1]) else at + 1
    width = 2 + 3 * len(names)
    table = tables.numbers(source.path, lines, skip, mark, width)
    if table.shape[1] != width:
        raise DataError(
            f"{source.path}, line {skip + 1}: the rows have {table.shape[1]} columns, but number, time and "
            f"{len(names)} markers need {width}; export it again"
        )
    _check_count(source, stated, len(table))
    unit, scale = UNITS[_SHORT.get(stated.get("units", "").lower())]
    values = table[:, 2:].reshape(len(table), len(names), 3) * scale
    values, _, told = clock.with_gaps(source.path, table[:, 0], values, None)
    called = naming.canonical(names)
    known = naming.is_known(called)
    return Found(
        values, naming.layout_of(called) if known else None, None, _rate(source, stated, table), unit, notes=told
    )


def _names(source: Source, lines: list[str], mark: str | None) -> tuple[int, list[str]]:
    """Return the number, from 0, of the line that names the markers, and their names."""
    for at, line in enumerate(lines[:10]):
        row = cells(line, mark)
        if row[0].lower().replace(" ", "") == "frame#":
            names = [cell for cell in row[2:] if cell]
            if not names or len(row) < 3 or row[1].lower() != "time":
                raise DataError(
                    f"{source.path}, line {at + 1}: Time and names of markers should follow; export it again"
                )
            return at, names
    raise DataError(f"{source.path}: no line begins with 'Frame#' and names the markers; export it again")


def _stated(lines: list[str], mark: str | None) -> dict[str, str]:
    """Return what the second and third line state, such as the rate, by names in lower case."""
    names, values = ([cell.lower() for cell in cells(line, mark)] for line in (*lines[1:3], "", "")[:2])
    return dict(zip(names, values, strict=False))


def _is_axes(line: str) -> bool:
    return line.split()[:1] == ["X1"] or not line.strip()


def _check_count(source: Source, stated: dict[str, str], rows: int) -> None:
    promised = stated.get("numframes", "")
    if promised.isdigit() and int(promised) != rows:
        raise DataError(f"{source.path}: it promises {promised} frames and has {rows}; copy or export it again, whole")


def _rate(source: Source, stated: dict[str, str], table: NDArray[np.float64]) -> float | None:
    try:
        rate = float(stated.get("datarate", ""))
    except ValueError:
        rate = 0.0
    return rate if 0 < rate < 1e6 else clock.rate_of(source.path, table[:, 1])
