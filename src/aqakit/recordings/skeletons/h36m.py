"""Human3.6M and lifting to 3-D: arrays of 32 joints, or .npz with positions.

Of the 32 joints of the recordings, ``layout=h36m17`` takes the 17 that move. An ``.npz`` holds one person's array under
a name such as ``positions_3d`` or ``keypoints_3d``, as lifting programs write it; 17 joints in three dimensions are in
the order of Human3.6M. Pickled objects, as in ``data_3d_h36m.npz``, are refused. Ionescu et al., Human3.6M, PAMI 2014.
"""

from __future__ import annotations

import numpy as np

from aqakit.errors import DataError
from aqakit.recordings.skeletons import arrays
from aqakit.recordings.skeletons.parts.found import Found
from aqakit.recordings.skeletons.parts.layouts import LAYOUTS
from aqakit.recordings.skeletons.parts.source import Source

_LAYOUT = LAYOUTS["h36m17"]
_MOVING = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
"""Numbers of the 17 joints among the 32 of the recordings; others repeat them or are fixed."""
_ALL = 32
KEYS = (
    "positions_3d",
    "keypoints_3d",
    "poses_3d",
    "reconstruction",
    "positions_2d",
    "keypoints_2d",
    "kpts",
    "keypoints",
)
"""Names of arrays, the first that is there counts."""


def fits(source: Source) -> bool:
    """Whether it is an ``.npz`` with one of the names, or, with ``layout=h36m17``, an array of 32 joints."""
    if source.kind == "npz":
        return "joints" not in source.names and bool(set(KEYS) & set(source.names))
    return source.kind == "npy" and source.layout == _LAYOUT.name and _is_whole(source.array("joints").shape)


def read(source: Source) -> Found:
    """Read the array.

    Raises:
        DataError: it is of another shape, or holds pickled objects.
    """
    key = next((key for key in KEYS if key in source.names), "joints")
    values = source.array(key)
    if values.ndim == 4 and 1 in values.shape[:2]:
        values = values.reshape(-1, *values.shape[2:])
    if values.ndim == 4:
        raise DataError(
            f"{source.path}: {key} holds {values.shape[0]} recordings; save one, frames × joints × coordinates"
        )
    if _is_whole(values.shape) and source.layout == _LAYOUT.name:
        values = np.asarray(values).reshape(len(values), _ALL, -1)[:, list(_MOVING)]
        return Found(
            np.asarray(values, np.float64), layout=_LAYOUT, notes=("of 32 joints, the 17 that move are taken",)
        )
    found = arrays.of_array(source, np.asarray(values))
    lifted = found.values.shape[1:] == (len(_LAYOUT.joints), 3) and source.layout is None
    return Found(found.values, _LAYOUT if lifted else None, found.confidence, notes=found.notes)


def _is_whole(shape: tuple[int, ...]) -> bool:
    return (len(shape) == 3 and shape[1] == _ALL and shape[2] in (2, 3)) or (len(shape) == 2 and shape[1] == 3 * _ALL)
