"""CSV whose first line names its columns: ``<joint>_x``, ``<joint>_y``.

In three dimensions ``<joint>_z`` follows; confidence may follow as ``<joint>_visibility`` (or ``confidence``,
``likelihood``, ``score``); ``time_s`` and ``frame`` may come before. ``aqakit pose`` writes such files.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aqakit.errors import DataError
from aqakit.recordings.skeletons.parts import clock, columns, naming, tables
from aqakit.recordings.skeletons.parts.columns import Columns
from aqakit.recordings.skeletons.parts.found import Found
from aqakit.recordings.skeletons.parts.source import Source

GENERAL = True


def fits(source: Source) -> bool:
    """Whether the first line names the columns of joints."""
    return source.kind == "text" and columns.parse(source.head) is not None


def read(source: Source) -> Found:
    """Read the columns that the first line names.

    Raises:
        DataError: the lines below have other columns, or hold no numbers.
    """
    named = columns.parse(source.head)
    assert named is not None  # as fits() found
    table = tables.numbers(source.path, source.lines, source.first + 1, source.mark)
    if table.shape[1] != len(source.head):
        raise DataError(
            f"{source.path}: its first line names {len(source.head)} columns, but it has {table.shape[1]}; export it "
            "again"
        )
    return of_table(source, table, named)


def of_table(source: Source, table: NDArray[np.float64], named: Columns) -> Found:
    """Make joints of a table with named columns."""
    unit, scale = columns.UNITS[named.unit]
    values = table[:, np.array(named.places)]  # (T, J, C)
    confidence = None
    if named.confidence is not None:
        confidence = table[:, list(named.confidence)] / (2 if named.states else 1)
        lost = (confidence == 0) & (values == 0).all(2)
        values = np.where(lost[..., None], np.nan, values)
    layout = naming.layout_of(naming.canonical(named.names))
    if named.frame is not None and named.time is None:
        values, confidence, told = clock.with_gaps(source.path, table[:, named.frame], values, confidence)
    else:
        told = ()
    return Found(
        values * scale if scale != 1 else values + 0.0,  # -0 is 0
        layout=layout if naming.is_known(layout.joints) else None,
        confidence=confidence,
        rate=clock.rate_of(source.path, table[:, named.time[0]] / named.time[1]) if named.time else None,
        unit=unit,
        notes=told,
    )
