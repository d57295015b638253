"""Movement of a person as named measures, without learning.

Joints are found by their roles (hip, knee, shoulder, …) in any layout, and brought into body lengths, free of where the
person stands and which way they face. Angles of joints and trunk, and places of joints, of the centre of mass and of
the base of support, are taken in every frame.

- ``measures``: of each of these channels its extremes, mean, end and parts *against the first frames*, range, spread,
  speeds on the way out to the farthest posture and back, times of the extremes and smoothness; symmetry of the sides;
  tempo and pauses. One vector for each of ``windows`` equal windows; the first frames are those of the recording.
- ``few``: about 160 of them, each of which says something to a coach: how far joints are bent, both sides together, in
  parts of the time, when and how fast hips and knees open, symmetry and tempo; nothing is against the first frames.
- ``places``, ``angles``, ``channels``: the channels themselves against the first frames, as one vector for each of
  ``frames`` moments evenly over the recording: for methods that read a series, such as ``rocket``.

People who use the other side do the same movement mirrored. With ``side=auto`` the side that leads is measured first,
whichever it is, and the sides are called leading and other: the foot in front, where the feet stand apart by more than
a fifth of a body length; else the side whose joint angles change more. With ``side=given`` they are left and right.
``Movement.motion(path).leads`` is the side that leads.

Every number has a name, a unit, a group and what a larger number means (``measures``); ``moment`` finds the frame of an
extreme.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from aqakit.backbones.parts.base import Backbone
from aqakit.backbones.parts.movement import channels, few, numbers
from aqakit.backbones.parts.movement.numbers import Motion
from aqakit.backbones.parts.movement.posture import Posture, missing, posture, roles
from aqakit.backbones.parts.named import Measure
from aqakit.errors import DataError
from aqakit.recordings import signals, skeletons
from aqakit.recordings.hashing import content_hash
from aqakit.recordings.skeletons.parts import files

PAPER = (
    "Capecci et al., The KIMORE Dataset, TNSRE 2019 (angles and distances that clinicians use). "
    "https://doi.org/10.1109/TNSRE.2019.2923060; centre of mass: de Leva, Adjustments to Zatsiorsky-Seluyanov's "
    "segment inertia parameters, J. Biomechanics 1996. https://doi.org/10.1016/0021-9290(95)00178-6; smoothness: "
    "Balasubramanian et al., On the analysis of movement smoothness, JNER 2015. "
    "https://doi.org/10.1186/s12984-015-0090-9"
)

Features = Literal["measures", "few", "places", "angles", "channels"]
Side = Literal["auto", "given"]
Levels = Literal["start", "absolute"]

_SHORTEST = 8
"""Frames of the shortest recording or window; an eighth of it, at most eight frames, is its start."""
_SPLIT = 0.2
"""Body lengths between the feet, along the way a person faces, from which the one in front leads."""


class Movement(Backbone):
    """Joints of a person → vectors of named measures, or channels over time.

    Attributes:
        measures: the D measures, or channels, in the order of the vector.
        names: their names.
    """

    reads = "skeleton"
    standardise = True

    def __init__(
        self,
        *,
        features: Features,
        dimensions: int,
        toes: bool,
        side: Side,
        levels: Levels,
        windows: int,
        frames: int,
        smooth: float,
        rate: float,
        layout: str | None,
    ) -> None:
        super().__init__()
        self.features, self.dimensions, self.toes, self.side, self.levels = features, dimensions, toes, side, levels
        self.windows, self.frames, self.smooth, self.rate = windows, frames, smooth, rate
        self.layout = layout
        nobody = Posture({role: np.zeros((_SHORTEST, dimensions)) for role in roles(toes)}, 1)
        self.measures = tuple(measure for measure, _ in self._numbers(self._motion(nobody, rate)))
        self.names = tuple(measure.name for measure in self.measures)
        self.shape = (len(self.names),)

    def read(self, path: Path, window: tuple[int, int] | None = None) -> Iterator[NDArray[np.float32]]:
        """Yield one (D,) vector per window, or per moment.

        Raises:
            DataError: the recording cannot be read, is too short, has other dimensions, or lacks a joint.
        """
        motion = self.motion(path, window)
        if self.features not in ("measures", "few"):
            yield from self._series(motion)
            return
        edges = np.linspace(0, len(motion.values), self.windows + 1).astype(int)
        if np.diff(edges).min() < _SHORTEST:
            raise DataError(
                f"{path}: {len(motion.values)} frames are too few for {self.windows} windows of at least {_SHORTEST} "
                "frames"
            )
        for first, end in pairwise(edges):
            part = replace(motion, values=motion.values[first:end])
            yield np.array([value for _, value in self._numbers(part)], np.float32)

    def forward(self, clips: Tensor) -> Tensor:
        """Return the vectors (n, D) unchanged: there is nothing to learn."""
        return clips.float()

    def fingerprint(self) -> dict[str, Any]:
        """Return the options."""
        keys = ("features", "dimensions", "toes", "side", "levels", "windows", "frames", "smooth", "rate", "layout")
        return {"version": 1} | {key: getattr(self, key) for key in keys}

    def fingerprint_of(self, path: Path) -> dict[str, Any]:
        """Return the hash of a second file that holds a part of the recording."""
        beside = files.angles_of(path)
        return {} if beside is None else {"angles": content_hash(beside)}

    def motion(self, path: Path, window: tuple[int, int] | None = None) -> Motion:
        """Read a recording: its channels over time, in their units, and which side leads.

        Raises:
            DataError: as :meth:`read`.
        """
        body = skeletons.read(path, layout=self.layout)
        if body.layout is None:
            raise DataError(f"{path}: it does not tell which joint is which; give movement layout=NAME, such as coco17")
        if body.joints.shape[2] != self.dimensions:
            raise DataError(
                f"{path} has {body.joints.shape[2]} dimensions, but the backbone movement expects {self.dimensions}; "
                f"give it dimensions={body.joints.shape[2]}"
            )
        if lacks := missing(body.layout, self.toes):
            remedy = "; give it toes=no" if all(role.endswith("toe") for role in lacks) else ""
            raise DataError(
                f"{path}: the layout {body.layout.name} has no {' and '.join(lacks)}, which movement needs{remedy}"
            )
        joints = signals.cut(body.joints, window, path).astype(np.float64)
        if len(joints) < _SHORTEST:
            raise DataError(f"{path}: {len(joints)} frames are too few to measure movement; at least {_SHORTEST}")
        start = max(1, min(_SHORTEST, len(joints) // _SHORTEST))
        person = posture(joints, body.layout, body.up, toes=self.toes, start=start)
        return self._motion(person, body.rate or self.rate)

    def moment(self, path: Path, measure: Measure, window: tuple[int, int] | None = None) -> int | None:
        """Return the frame of the extreme that a measure tells, from the first of the window; None if it tells none."""
        return numbers.moment(self._measured(self.motion(path, window)), measure)

    def second(self, path: Path, measure: Measure, window: tuple[int, int] | None = None) -> float | None:
        """Return the time of the extreme that a measure tells, in seconds from the start of the recording."""
        motion = self.motion(path, window)
        frame = numbers.moment(self._measured(motion), measure)
        return None if frame is None else ((window or (0, 0))[0] + frame) / motion.rate

    def sides(self, path: Path, window: tuple[int, int] | None = None) -> dict[str, str]:
        """Return which side the leading and the other are in a recording; nothing if sides are left and right."""
        motion = self.motion(path, window)
        if self.side == "given":
            return {}
        return {"leading": motion.leads, "other": "right" if motion.leads == "left" else "left"}

    def _motion(self, person: Posture, rate: float) -> Motion:
        side = leads(person)
        if self.side == "auto" and side == "right":
            person = person.mirrored()
        sides = ("leading", "other") if self.side == "auto" else ("left", "right")
        found = channels.channels(person, sides)
        values = np.stack([value for _, value in found], axis=1)
        if self.smooth:
            values = gaussian_filter1d(values, self.smooth * rate, axis=0, mode="nearest")
        kept = tuple(channel for channel, _ in found)
        return Motion(kept, values, values[: person.start].mean(0), rate, sides, side)

    def _measured(self, motion: Motion) -> Motion:
        """The motion whose channels the measures name."""
        return few.together(motion) if self.features == "few" else motion

    def _numbers(self, motion: Motion) -> numbers.Measured:
        if self.features == "measures":
            return numbers.measured(motion, against_start=self.levels == "start")
        if self.features == "few":
            return few.measured(motion)
        return [
            (Measure(channel.name, channel.unit, channel.name, channel.more, channel.name), 0.0)
            for channel in motion.channels
            if self._kept(channel)
        ]

    def _kept(self, channel: channels.Channel) -> bool:
        return self.features == "channels" or channel.place == (self.features == "places")

    def _series(self, motion: Motion) -> NDArray[np.float32]:
        """(frames, D): the channels at moments evenly over the recording, between frames by straight lines."""
        kept = [i for i, channel in enumerate(motion.channels) if self._kept(channel)]
        values = (motion.change if self.levels == "start" else motion.values)[:, kept]
        at = np.linspace(0, len(values) - 1, self.frames)
        found = [np.interp(at, np.arange(len(values)), column) for column in values.T]
        return np.stack(found, axis=1).astype(np.float32)


def leads(person: Posture) -> Literal["left", "right"]:
    """Return the side that leads: the foot in front, else the side whose joint angles change more."""
    ahead = person["left_ankle"][:, 0].mean() - person["right_ankle"][:, 0].mean()
    if person["pelvis"].shape[1] == 3 and abs(ahead) > _SPLIT:
        return "left" if ahead > 0 else "right"
    amount = dict.fromkeys(("left", "right"), 0.0)
    for channel, values in channels.channels(person):
        side = channel.name.split()[0]
        if side in amount and channel.name.endswith("angle"):
            low, high = np.quantile(values, [0.05, 0.95])
            amount[side] += float(high - low)
    return "right" if amount["right"] > amount["left"] else "left"


def build(
    *,
    features: Annotated[
        Features, Field(description="all measures or few; or a series: places of joints, angles, channels")
    ] = "measures",
    dimensions: Annotated[int, Field(ge=2, le=3, description="coordinates per joint")] = 3,
    toes: Annotated[bool, Field(description="measure ankles too, which needs a layout with toes")] = True,
    side: Annotated[
        Side, Field(description="given: left and right; auto: the side that leads first, so that both sides compare")
    ] = "auto",
    levels: Annotated[
        Levels, Field(description="levels against the first frames, or absolute; those of few are absolute")
    ] = "start",
    windows: Annotated[int, Field(gt=0, description="number of equal windows that are measured")] = 1,
    frames: Annotated[int, Field(gt=1, description="moments of a series")] = 100,
    smooth: Annotated[float, Field(ge=0, description="standard deviation of the smoothing in time, in s")] = 1 / 30,
    rate: Annotated[float, Field(gt=0, description="frames per second where the recording does not tell")] = 30.0,
    layout: Annotated[
        str | None, Field(description="which joint is which, where the file does not tell: coco17, kinect25, …")
    ] = None,
) -> Movement:
    """Build the backbone."""
    return Movement(
        features=features,
        dimensions=dimensions,
        toes=toes,
        side=side,
        levels=levels,
        windows=windows,
        frames=frames,
        smooth=smooth,
        rate=rate,
        layout=layout,
    )
