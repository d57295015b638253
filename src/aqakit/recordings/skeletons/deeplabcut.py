"""DeepLabCut: CSV with three header rows, scorer, bodyparts and coords.

Each body part has x, y and likelihood, in pixels; a fourth row, individuals, tells several animals or people apart.
Mathis et al., DeepLabCut: markerless pose estimation of user-defined body parts with deep learning, Nature Neuroscience
2018. https://doi.org/10.1038/s41593-018-0209-y
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aqakit.errors import DataError
from aqakit.recordings.skeletons.parts import clock, naming, people, tables
from aqakit.recordings.skeletons.parts.found import Found
from aqakit.recordings.skeletons.parts.people import Person
from aqakit.recordings.skeletons.parts.source import Source
from aqakit.recordings.skeletons.parts.tables import cells

_ROWS = ("scorer", "individuals", "bodyparts", "coords")


def fits(source: Source) -> bool:
    """Whether the first line begins with ``scorer``."""
    return source.kind == "text" and source.head[0].lower() == "scorer"


def read(source: Source) -> Found:
    """Read the body parts of the only, or of the largest individual.

    Raises:
        DataError: a header row is missing, or a row has other columns.
    """
    headers = _headers(source)
    table = _numbers(source, len(headers["coords"]))
    values: dict[str, tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.float64] | None]] = {}
    owners = headers.get("individuals", ["", *[""] * (len(headers["coords"]) - 1)])
    for owner in dict.fromkeys(owners[1:]):
        columns = [k for k in range(1, len(owners)) if owners[k] == owner]
        values[owner] = _parts(source, table, headers, columns)
    names, _, confidence = next(iter(values.values()))
    sets = [(owner, one) for owner, one in values.items() if one[0] == names]  # not the parts that all share
    frames = [
        [
            Person(joints[at], None if seen is None else seen[at], owner)
            for owner, (_, joints, seen) in sets
            if not np.isnan(joints[at]).all()
        ]
        for at in range(len(table))
    ]
    if not any(frames):
        raise DataError(f"{source.path}: no body part is seen in any of {len(frames)} frames; analyse the video again")
    joints, confidence, told = people.choose(frames)
    rows = table[:, 0]
    if not np.isnan(rows).any():
        joints, confidence, lost = clock.with_gaps(source.path, rows, joints, confidence)
        told = (*lost, *told)
    called = naming.canonical(names)
    flat = joints.shape[2] == 2
    return Found(
        joints,
        layout=naming.layout_of(called) if naming.is_known(called) else None,
        confidence=confidence,
        unit="pixels" if flat else "unknown",
        up="-y" if flat else None,
        notes=told,
    )


def _headers(source: Source) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in source.lines[source.first : source.first + len(_ROWS)]:
        row = cells(line, source.mark)
        if row[0].lower() in _ROWS:
            found[row[0].lower()] = row
    for name in ("bodyparts", "coords"):
        if name not in found:
            raise DataError(f"{source.path}: the row {name!r} is missing below {'scorer'!r}; export the file again")
        if len(found[name]) != len(source.head):
            raise DataError(
                f"{source.path}: the row {name!r} has {len(found[name])} columns, but the first line has "
                f"{len(source.head)}; export the file again"
            )
    return found


def _numbers(source: Source, width: int) -> NDArray[np.float64]:
    skip = source.first + next(
        k + 1 for k, line in enumerate(source.lines[source.first :]) if cells(line, source.mark)[0].lower() == "coords"
    )
    lines = [*source.lines[:skip], *(_numbered(line, source.mark) for line in source.lines[skip:])]
    table = tables.numbers(source.path, lines, skip, source.mark, width)
    if table.shape[1] != width:
        raise DataError(
            f"{source.path}, line {skip + 1}: it has {table.shape[1]} columns, but the header has {width}; export it "
            "again"
        )
    return table


def _numbered(line: str, mark: str | None) -> str:
    """Leave the first cell out if it is no number but, as in labelled data, the name of a picture."""
    first, found, rest = line.partition(mark or " ")
    return line if not found or tables.is_numeric([first.strip().strip('"')]) else found + rest


def _parts(
    source: Source, table: NDArray[np.float64], headers: dict[str, list[str]], columns: list[int]
) -> tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.float64] | None]:
    """Names, joints (T, J, C) and likelihood (T, J) of the body parts in some columns."""
    places: dict[str, dict[str, int]] = {}
    for k in columns:
        places.setdefault(headers["bodyparts"][k], {})[headers["coords"][k].lower()] = k
    axes = "xyz" if any("z" in one for one in places.values()) else "xy"
    lacking = next((name for name, one in places.items() if not set(axes) <= set(one)), None)
    if lacking is not None or not places:
        raise DataError(f"{source.path}: the body part {lacking!r} has no columns {', '.join(axes)}; export it again")
    joints = np.stack([table[:, [one[axis] for axis in axes]] for one in places.values()], 1)
    likelihood = None
    if all("likelihood" in one for one in places.values()):
        likelihood = table[:, [one["likelihood"] for one in places.values()]]
    return tuple(places), joints, likelihood
