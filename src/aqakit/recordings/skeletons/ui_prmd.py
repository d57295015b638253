"""UI-PRMD: positions relative to the parent joint, and a file of angles beside them.

Positions are almost constant: the offset of each joint from its parent, 22 joints × 3 in centimetres. The motion is in
the angles, in degrees, columns x, y, z, of rotations in the order z, x, y about the axes of the turned joint
(R = Rz Rx Ry). The offset of a joint is turned by the product of the rotations from the root to its parent. Vakanski et
al., A Data Set of Human Body Movements for Physical Rehabilitation Exercises, Data 2018; the order was found by planted
feet, which stay.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from aqakit.errors import DataError
from aqakit.recordings.skeletons.parts import files, tables
from aqakit.recordings.skeletons.parts.found import Found
from aqakit.recordings.skeletons.parts.layouts import LAYOUTS
from aqakit.recordings.skeletons.parts.source import Source

PARENTS = (-1, 0, 1, 2, 3, 4, 2, 6, 7, 8, 2, 10, 11, 12, 0, 14, 15, 16, 0, 18, 19, 20)
"""Number of the parent of each joint; -1 for the root."""

_COLUMNS = 3 * len(PARENTS)
_STILL = 0.15
"""Largest change of a bone over a recording, as a share of the longest bone: bones of a file have a median of 0.001."""

_CENTIMETRES = 0.01
_RATE = 30.0
_Array = NDArray[np.float64]


def fits(source: Source) -> bool:
    """Whether it is a table of 66 columns, with angles beside it or hardly changing but for the first three."""
    if source.kind != "text" or len([c for c in source.head if c]) != _COLUMNS or not tables.is_numeric(source.head):
        return False
    if source.layout not in (None, "kinect22"):
        return False
    if files.angles_of(source.path) is not None:
        return True
    table = source.table.reshape(-1, len(PARENTS), 3)[:, 1:]
    if len(table) < 2 or np.isnan(table).any():
        return False
    lengths = np.linalg.norm(table, axis=2)
    upright = np.abs(table).max(2).sum() / max(lengths.sum(), 1e-9)  # offsets lie along one axis of the parent
    return bool(np.median(np.ptp(lengths, axis=0)) < _STILL * lengths.max() and upright > 0.95)


def read(source: Source) -> Found:
    """Compute positions in metres from offsets and angles.

    Raises:
        DataError: there is no file of angles, or it has other rows or columns than the positions.
    """
    beside = files.angles_of(source.path)
    if beside is None:
        raise DataError(
            f"{source.path}: its positions are relative to the parent joint, and there is no file of angles beside it; "
            "put both there, as m01_s01_e01_positions.txt and m01_s01_e01_angles.txt, or in the folders Positions and "
            "Angles"
        )
    offsets, angles = (_table(one) for one in (source, Source(beside)))
    if len(offsets) != len(angles):
        raise DataError(
            f"{source.path} has {len(offsets)} rows, but its angles in {beside} have {len(angles)}; copy both files "
            "again"
        )
    joints = forward(offsets, angles)
    return Found(
        joints * _CENTIMETRES,
        layout=LAYOUTS["kinect22"],
        rate=_RATE,
        unit="metres",
        up="+y",
        notes=(f"positions are computed from offsets and the angles in {beside.name}",),
    )


def forward(offsets: _Array, angles: _Array) -> _Array:
    """Positions (T, 22, 3) of joints, from offsets in the parent's axes and angles in degrees about x, y, z."""
    turns = Rotation.from_euler("ZXY", angles[..., [2, 0, 1]].reshape(-1, 3), degrees=True).as_matrix()
    turns = turns.reshape(*angles.shape[:2], 3, 3)
    joints, whole = offsets.copy(), turns.copy()
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            joints[:, joint] = joints[:, parent] + np.einsum("tij,tj->ti", whole[:, parent], offsets[:, joint])
            whole[:, joint] = whole[:, parent] @ turns[:, joint]
    return joints


def _table(source: Source) -> _Array:
    if source.kind != "text":
        raise DataError(f"{source.path} is no table of numbers; copy it again")
    table = source.table
    if table.shape[1] != _COLUMNS:
        raise DataError(f"{source.path}: expected {_COLUMNS} columns, found {table.shape[1]}; copy it again")
    bad = np.argwhere(np.isnan(table))
    if len(bad):
        row, column = bad[0] + 1
        raise DataError(f"{source.path}, row {row}, column {column}: no finite number; copy the file again")
    return table.reshape(len(table), -1, 3)
