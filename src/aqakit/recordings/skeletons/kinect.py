"""Kinect v2: text with 25 joints in a row, with or without names and tracking state.

Columns are x, y and z in metres of each joint in the order of the sensor, perhaps with the tracking state (0 not
tracked, 1 inferred, 2 tracked) as a fourth, as in KIMORE's ``JointPosition`` files, and perhaps after a time or a frame
number; or they are named, as ``SpineBase_x``. Without times there are 30 frames a second.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aqakit.errors import DataError
from aqakit.recordings.skeletons import arrays, table
from aqakit.recordings.skeletons.parts import clock, columns, naming, tables
from aqakit.recordings.skeletons.parts.found import Found
from aqakit.recordings.skeletons.parts.layouts import LAYOUTS
from aqakit.recordings.skeletons.parts.source import Source

_LAYOUT = LAYOUTS["kinect25"]
_JOINTS = len(_LAYOUT.joints)
_RATE = 30.0


def fits(source: Source) -> bool:
    """Whether it has 75 or 100 columns of numbers, or one more; or names of the sensor's joints."""
    if source.kind != "text":
        return False
    if named := columns.parse(source.head):
        return set(naming.canonical(named.names)) == set(_LAYOUT.joints) and len(named.places[0]) == 3
    if source.layout not in (None, _LAYOUT.name) or not tables.is_numeric(source.head):
        return False
    width = len(source.head) - (source.head[-1] == "")
    if width == 3 * _JOINTS:
        return arrays.split_confidence(source.table.reshape(len(source.table), _JOINTS, 3))[1] is None
    return width in {3 * _JOINTS + 1, 4 * _JOINTS, 4 * _JOINTS + 1}


def read(source: Source) -> Found:
    """Read the joints in metres.

    Raises:
        DataError: a row has another number of columns, or a state is none.
    """
    named = columns.parse(source.head)
    if named is not None:
        found = table.read(source)
        return replace(found, rate=found.rate or _RATE, unit="metres", up="+y")
    rows = source.table
    rate = _RATE
    if rows.shape[1] % _JOINTS:
        rate = _rate(source, rows[:, 0]) or _RATE
        rows = rows[:, 1:]
    values = rows.reshape(len(rows), _JOINTS, -1)
    confidence, told = None, tuple[str, ...]()
    if values.shape[2] == 4:
        values, confidence, told = _tracked(source, values)
    return Found(values, layout=_LAYOUT, confidence=confidence, rate=rate, unit="metres", up="+y", notes=told)


def _tracked(
    source: Source, values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, tuple[str, ...]]:
    """Divide positions and states; a joint that is not tracked is missing."""
    state = np.nan_to_num(values[..., 3])
    bad = np.argwhere(~np.isin(state, (0, 1, 2)))
    if len(bad):
        frame, joint = bad[0]
        raise DataError(
            f"{source.path}, frame {frame}, joint {joint}, counted from 0: its fourth number {state[frame, joint]:g} "
            "is no tracking state 0, 1 or 2; leave out other columns"
        )
    if not state.any():
        return values[..., :3], None, ("all tracking states are 0: they are not used",)
    return np.where((state > 0)[..., None], values[..., :3], np.nan), state / 2, ()


def _rate(source: Source, first: NDArray[np.float64]) -> float | None:
    """Frames per second by the first column: times in seconds, milliseconds or ticks of 100 ns; or frame numbers."""
    if len(first) < 2:
        return None
    rate = clock.rate_of(source.path, first)
    if rate is None or rate == 1.0:
        return None
    return next((rate * unit for unit in (1.0, 1e3, 1e7) if 5 <= rate * unit <= 250), None)
