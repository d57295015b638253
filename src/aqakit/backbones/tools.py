"""Tools and hands of a recorded motion as a graph.

The columns of a recording belong to several moving objects: the two hands of a surgeon and the two tools that follow
them. Each object becomes a joint. The recording is divided into consecutive windows of equal length; in each window, a
joint has one of these features:

- ``invariants``: its measures of motion, as in the backbone ``kinematics``;
- ``coordinates``: its columns in evenly spaced rows of the window. Positions are relative to their mean over the
  window, because hands and tools have different coordinate systems; rotation and gripper are unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from aqakit.backbones.kinematics import JIGSAWS_COLUMNS, Trajectory, invariants
from aqakit.backbones.parts.base import Backbone
from aqakit.errors import DataError, OptionError
from aqakit.recordings import signals
from aqakit.recordings.clips import Uniform, spread

PAPER = (
    "Pan et al., Action Assessment by Joint Relation Graphs, ICCV 2019, whose joints of JIGSAWS these are; measures: "
    "Fard et al., Automated robot-assisted surgical skill evaluation, IJMRCAS 2018. https://doi.org/10.1002/rcs.1850"
)

JIGSAWS = "0-2/3-11/18,19-21/22-30/37,57-59/60-68/75,38-40/41-49/56"
"""Position, rotation matrix and gripper angle of the two hands, then of the tools that follow them. By column order,
the first hand moves the last tool, and the second hand the first (speeds correlate above 0.98 in every trial)."""

Features = Literal["invariants", "coordinates"]
Array = NDArray[np.float64]

_SHORTEST = 4
"""Rows of the shortest window; a jerk needs four."""


class Tools(Backbone):
    """Windows of a signal (T, C) → (J, D).

    Args:
        joints: the J moving objects, all with the same parts.
        windows: number of equal windows of a recording.
        features: ``invariants``: D named measures. ``coordinates``: D = ``frames`` × columns of a joint, row by row.
        frames: rows kept per window; coordinates only.
        channels: columns of the signal.
        rate: rows per second.
    """

    reads = "signal"
    standardise = True

    def __init__(
        self,
        *,
        joints: tuple[Trajectory, ...],
        windows: int,
        features: Features,
        frames: int,
        channels: int,
        rate: float,
    ) -> None:
        super().__init__()
        self.joints, self.windows, self.features, self.frames = joints, windows, features, frames
        self.channels, self.rate = channels, rate
        self.shape = self._measure(np.zeros((1, _SHORTEST, channels))).shape[1:]

    def read(self, path: Path, window: tuple[int, int] | None = None) -> Iterator[NDArray[np.float32]]:
        """Yield one (J, D) table per window of the recording.

        Raises:
            DataError: the recording cannot be read, is shorter than four rows or has another number of columns.
        """
        signal = signals.cut(signals.kinematics(path, channels=self.channels), window, path)
        if len(signal) < _SHORTEST:
            raise DataError(f"{path}: {len(signal)} rows are too few to measure motion; at least {_SHORTEST}")
        clips = Uniform(self.windows, max(len(signal) // self.windows, _SHORTEST)).clips(len(signal))
        yield from self._measure(signal[clips].astype(np.float64)).astype(np.float32)

    def forward(self, clips: Tensor) -> Tensor:
        """Return the tables (n, J, D) unchanged: there is nothing to learn."""
        return clips.float()

    def fingerprint(self) -> dict[str, Any]:
        """Return joints, windows, features and rate."""
        keys = ("windows", "features", "frames", "channels", "rate")
        return {"version": 1, "joints": [str(j) for j in self.joints]} | {key: getattr(self, key) for key in keys}

    def _measure(self, x: Array) -> Array:
        """(N, L, C) → (N, J, D)."""
        if self.features == "coordinates":
            x = x[:, spread(self.frames, x.shape[1])]
            return np.stack([_coordinates(x, joint) for joint in self.joints], axis=1)
        found = [list(invariants(x, (joint,), self.rate).values()) for joint in self.joints]
        return np.array(found).transpose(2, 0, 1)


def _coordinates(x: Array, joint: Trajectory) -> Array:
    """(N, T, C) → (N, T × columns of the joint)."""
    position = x[..., joint.position]
    parts = [position - position.mean(1, keepdims=True)]
    parts += [x[..., joint.rotation]] if joint.rotation is not None else []
    parts += [x[..., [joint.gripper]]] if joint.gripper is not None else []
    columns: Array = np.concatenate(parts, axis=2)
    return columns.reshape(len(x), -1)


def parse_columns(text: str) -> tuple[Trajectory, ...]:
    """Parse the columns of joints, counted from 0: ``position/rotation/gripper``, the latter two optional.

    >>> parse_columns("0-2/3-11/12")
    (Trajectory(name='0-2/3-11/12', position=slice(0, 3, None), rotation=slice(3, 12, None), gripper=12),)

    Raises:
        OptionError: the text has another form, or the joints do not have the same parts.
    """
    joints = tuple(_joint(part) for part in text.split(","))
    if len({_kind(joint) for joint in joints}) > 1:
        raise OptionError(f"tools: the joints of columns={text} must all have the same parts of the same sizes")
    return joints


def _joint(text: str) -> Trajectory:
    match = re.fullmatch(r"(\d+-\d+)(?:/(\d+-\d+))?(?:/(\d+))?", text.strip())
    position, rotation = (_range(part) for part in match.groups()[:2]) if match else (None, None)
    if match is None or position is None or (rotation and rotation.stop - rotation.start != 9):
        raise OptionError(
            f"tools: {text!r} should be the columns of a joint: position such as 0-2, optionally nine of a rotation "
            "matrix and one of a gripper, such as 0-2/3-11/18"
        )
    return Trajectory(text.strip(), position, rotation, int(match[3]) if match[3] else None)


def _range(text: str | None) -> slice | None:
    first, last = map(int, text.split("-")) if text else (0, -1)
    return slice(first, last + 1) if first <= last else None


def _kind(joint: Trajectory) -> tuple[int, bool, bool]:
    return joint.position.stop - joint.position.start, joint.rotation is None, joint.gripper is None


def _last(joint: Trajectory) -> int:
    return max(joint.position.stop, joint.rotation.stop if joint.rotation else 0, (joint.gripper or 0) + 1) - 1


def build(
    *,
    columns: Annotated[
        str, Field(description="position/rotation/gripper of each joint, from 0, such as 0-2/3-11/18 or 0-2,3-5")
    ] = JIGSAWS,
    windows: Annotated[int, Field(gt=0, description="number of equal windows; 1 for the whole recording")] = 10,
    features: Annotated[
        Features, Field(description="measures of each joint's motion; or its columns in some rows of a window")
    ] = "invariants",
    frames: Annotated[int | None, Field(gt=0, description="rows kept per window; coordinates only (16)")] = None,
    channels: Annotated[int, Field(gt=0, description="columns of the signal")] = JIGSAWS_COLUMNS,
    rate: Annotated[float, Field(gt=0, description="rows per second")] = 30.0,
) -> Tools:
    """Build the backbone.

    Raises:
        OptionError: ``columns`` is invalid or not in the signal, or ``frames`` is given without coordinates.
    """
    joints = parse_columns(columns)
    if (last := max(map(_last, joints))) >= channels:
        raise OptionError(f"tools: columns={columns} reaches column {last}, counted from 0, but channels={channels}")
    if frames is not None and features == "invariants":
        raise OptionError("tools: frames is only used with features=coordinates; leave it out")
    return Tools(joints=joints, windows=windows, features=features, frames=frames or 16, channels=channels, rate=rate)
