"""The body of the diver and its motion: from a dive to the joints at any time, in metres.

A jointed figure in three dimensions, seen from the side: x points from the platform to the pool, y up (0 is the
water, 10 the platform), depth towards the camera. Its centre of mass follows a parabola. Its angular momentum is
constant, so it turns faster the more it is folded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aqakit.datasets.parts.dives.catalogue import Element
from aqakit.datasets.parts.dives.execution import Execution

if TYPE_CHECKING:
    from aqakit.types import Floats  # loads torch

FPS = 30
PLATFORM = 10.0
OPEN = 0.92
"""Share of the flight after which the body is open for the entry."""
_GRAVITY = 9.81

JOINTS = (
    "head", "neck", "pelvis",
    "left_shoulder", "left_elbow", "left_wrist", "left_hip", "left_knee", "left_ankle", "left_toe",
    "right_shoulder", "right_elbow", "right_wrist", "right_hip", "right_knee", "right_ankle", "right_toe",
)  # fmt: skip
"""Order of the joints in every array of joints."""
J = {name: number for number, name in enumerate(JOINTS)}

# Lengths in metres, for a diver 1.65 m tall.
_TRUNK, _HEAD, _ARM, _FOREARM, _THIGH, _SHIN, _FOOT = 0.50, 0.19, 0.27, 0.33, 0.43, 0.42, 0.17
_SHOULDER_HALF, _HIP_HALF = 0.18, 0.09
# Share of the body's mass between two joints, after de Leva (1996), rounded.
_LIMB_MASSES = (("shoulder", "elbow", 0.03), ("elbow", "wrist", 0.03), ("hip", "knee", 0.13), ("knee", "toe", 0.06))
_MASSES = (
    ("head", "head", 0.07),
    ("neck", "pelvis", 0.43),
    *((f"left_{a}", f"left_{b}", mass) for a, b, mass in _LIMB_MASSES),
    *((f"right_{a}", f"right_{b}", mass) for a, b, mass in _LIMB_MASSES),
)

# Angles in degrees: flexion of hip and knee; arm from the side (0) through the front to overhead (180); flexion of the
# elbow; pointing of the foot (no angle: 0 flat, 1 pointed); half the scissor and half the lateral spread of the legs.
Pose = tuple[float, float, float, float, float, float, float]
_STAND: Pose = (0, 0, 10, 5, 0, 0, 0)
_CROUCH: Pose = (55, 75, -35, 5, 0, 0, 0)
_REACH: Pose = (0, 0, 165, 5, 1, 0, 0)
_HANDSTAND: Pose = (0, 0, 180, 0, 1, 0, 0)
_ENTRY: Pose = (0, 0, 178, 0, 1, 0, 0)
_FEET_FIRST: Pose = (0, 0, 4, 4, 1, 0, 0)
_HIP, _KNEE, _SHOULDER, _ELBOW, _POINT, _SCISSOR, _SPREAD = range(7)


@dataclass(frozen=True)
class Timing:
    """Times of take-off and touch in seconds from the first frame, and the number of frames."""

    takeoff: float
    touch: float
    frames: int


@dataclass(frozen=True)
class Motion:
    """The dive in space, at S times.

    Attributes:
        joints: (S, 17, 3) x, y and depth in metres, in the order of :data:`JOINTS`.
        centre: (S, 2) centre of mass.
        front: (S, 3) unit vector from the back to the chest.
    """

    joints: Floats
    centre: Floats
    front: Floats


def timing(dive: Element, execution: Execution, rng: np.random.Generator) -> Timing:
    """Return the timing of a dive, which takes 96 to 110 frames."""
    before, after = rng.integers(22, 26), rng.integers(25, 29)
    flight = _flight_time(dive, execution)
    frames = int(np.clip(before + round(flight * FPS) + after, 96, 110))
    takeoff = float(before) / FPS
    return Timing(takeoff, takeoff + flight, frames)


def _jump(dive: Element, execution: Execution) -> float:
    """Return the rise of the centre of mass after the take-off, in metres."""
    return 0.05 + 0.45 * execution.height if dive.armstand else 0.12 + 1.1 * execution.height


def _flight_time(dive: Element, execution: Execution) -> float:
    rise = _jump(dive, execution)
    # With arms overhead the centre of mass is 1.12 m above the toes, 0.91 m above the hands, which touch at 0.
    drop = PLATFORM + rise + (0.0 if dive.armstand else 0.2)
    return math.sqrt(2 * rise / _GRAVITY) + math.sqrt(2 * drop / _GRAVITY)


def motion(dive: Element, execution: Execution, when: Timing, moments: Floats, rng: np.random.Generator) -> Motion:
    """Return the figure at ``moments`` (S,) in seconds.

    ``rng`` decides what the execution does not (the side of an error at the entry, the distance of the dive from the
    platform). It is used in the same way for every execution, so two dives of one seed differ only in execution.
    """
    over, out = rng.choice((-1.0, 1.0)), rng.uniform(1.3, 1.9)
    tau = (moments - when.takeoff) / (when.touch - when.takeoff)  # 0 at the take-off, 1 at the entry
    pose = _poses(dive, execution, tau)
    plane = _body(pose)  # (S, 17, 3): along the body, to the front, to the left
    miss = over * math.radians(40) * (1 - execution.entry)
    start = math.pi if dive.armstand else 0.0
    angle = start + dive.turning * (dive.somersaults * math.pi + miss) * _turned(plane, tau)
    twist = math.pi * dive.twists * _smooth((tau - 0.16) / (_twist_end(dive) - 0.16))
    shape = _project(plane, angle, twist, dive.facing)
    centre = _path(dive, execution, shape, moments - when.takeoff, when.touch - when.takeoff, out)
    return Motion(shape + np.pad(centre, ((0, 0), (0, 1)))[:, None], centre, _front(shape, dive.facing))


def _twist_end(dive: Element) -> float:
    return 0.56 if dive.position == "pike" else 0.8


def _fold(dive: Element, execution: Execution) -> Pose:
    """Return the pose in the air; a diver without tightness is half open."""
    loose, broken = 1 - execution.tightness, 1 - execution.form
    knees, scissor, spread = 55 * (1 - execution.form * execution.knees), 16 * broken, 14 * broken
    if dive.position == "tuck":
        return (
            132 - 55 * loose,
            142 - 60 * loose,
            62 + 15 * loose,
            25 * (1 - loose),
            1 - broken,
            scissor,
            spread,
        )
    if dive.position == "pike":
        return (146 - 70 * loose, knees, 40 + 60 * loose, 10, 1 - broken, scissor, spread)
    arms = 12 + 70 * loose
    return (-5 + 40 * loose, knees, arms, 5, 1 - broken, scissor, spread)


def _poses(dive: Element, execution: Execution, tau: Floats) -> Floats:
    """Return (S, 7) angles in radians, interpolated between key poses at fractions of the flight."""
    loose, broken = 1 - execution.tightness, 1 - execution.form
    fold, bent = _fold(dive, execution), 1 - execution.form * execution.knees
    keys: list[tuple[float, Pose]] = [(-0.3, _HANDSTAND), (0, _HANDSTAND)] if dive.armstand else _take_off()
    if dive.twists:
        wrapped: Pose = (
            18 * loose,
            40 * bent,
            55 + 20 * loose,
            120 - 90 * loose,
            1,
            16 * broken,
            14 * broken,
        )
        keys += [(0.16, wrapped), (_twist_end(dive), wrapped)]
    if not dive.twists or dive.position == "pike":
        first = 0.64 if dive.twists else 0.2 if dive.somersaults > 2 else 0.32
        last = max(0.66 + 0.016 * dive.somersaults, first + 0.12) if dive.somersaults > 2 else 0.58
        last += 0.6 * (0.9 - last) * (1 - execution.opening)
        keys += [(first, fold), (last, fold)]
    end = _ENTRY if dive.headfirst else _FEET_FIRST
    sloppy = (6 * broken, 32 * bent, end[2], end[3] + 25 * broken, 1 - broken, 12 * broken, 12 * broken)
    keys += [(OPEN, sloppy), (1.06, sloppy), (1.2, end)]
    return np.radians(_between(keys, tau) * (1, 1, 1, 1, 180 / math.pi, 1, 1))


def _take_off() -> list[tuple[float, Pose]]:
    return [(-0.42, _STAND), (-0.2, _CROUCH), (-0.14, _CROUCH), (0.0, _REACH), (0.06, _REACH)]


def _between(keys: Sequence[tuple[float, Pose]], tau: Floats) -> Floats:
    times = np.array([time for time, _ in keys])
    poses = np.array([pose for _, pose in keys])
    right = np.clip(np.searchsorted(times, tau), 1, len(keys) - 1)
    share = _smooth((tau - times[right - 1]) / (times[right] - times[right - 1]))[:, None]
    return np.asarray(poses[right - 1] * (1 - share) + poses[right] * share)


def _smooth(x: Floats) -> Floats:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _body(pose: Floats) -> Floats:
    """Return joints (S, 17, 3) in body coordinates, from angles (S, 7)."""
    points = np.zeros((len(pose), len(JOINTS), 3))
    bend = 0.45 * pose[:, _HIP]  # folding turns trunk and legs towards each other
    trunk = np.stack([np.cos(bend), np.sin(bend), np.zeros_like(bend)], -1)
    points[:, J["neck"]] = _TRUNK * trunk
    points[:, J["head"]] = (_TRUNK + _HEAD) * trunk
    for side, sign in (("left", 1.0), ("right", -1.0)):
        arm = pose[:, _SHOULDER] - bend
        thigh = 0.55 * pose[:, _HIP] + sign * pose[:, _SCISSOR]
        shin = thigh - pose[:, _KNEE]
        foot = shin + (1 - pose[:, _POINT]) * math.pi / 2
        inward = -sign * 0.5 * (pose[:, _SHOULDER] / math.pi) ** 2  # hands meet overhead
        out = sign * pose[:, _SPREAD]
        _chain(points, side, ("shoulder", "elbow", "wrist"), 0.94 * _TRUNK * trunk, sign * _SHOULDER_HALF,
               ((_ARM, arm, inward), (_FOREARM, arm + pose[:, _ELBOW], inward * 0.8)))  # fmt: skip
        _chain(points, side, ("hip", "knee", "ankle", "toe"), 0 * trunk, sign * _HIP_HALF,
               ((_THIGH, thigh, out), (_SHIN, shin, out), (_FOOT, foot, out)))  # fmt: skip
    return points


def _chain(
    points: Floats,
    side: str,
    names: Sequence[str],
    root: Floats,
    lateral: float,
    segments: Sequence[tuple[float, Floats, Floats]],
) -> None:
    """Attach a limb to ``root``; each segment has a length, an angle from straight down and one to the side."""
    here = root + np.array([0, 0, lateral])
    points[:, J[f"{side}_{names[0]}"]] = here
    for name, (length, angle, out) in zip(names[1:], segments, strict=True):
        flat = length * np.cos(out)
        here = here + np.stack([-flat * np.cos(angle), flat * np.sin(angle), length * np.sin(out)], -1)
        points[:, J[f"{side}_{name}"]] = here


def _centre(points: Floats) -> Floats:
    weighted = [mass * (points[:, J[a]] + points[:, J[b]]) / 2 for a, b, mass in _MASSES]
    return np.asarray(sum(weighted) / sum(mass for _, _, mass in _MASSES))


def _turned(plane: Floats, tau: Floats) -> Floats:
    """Return the fraction (S,) of the somersaults done: angular speed is 1 ÷ moment of inertia during the flight."""
    away = plane - _centre(plane)[:, None]
    inertia = sum(mass * np.square((away[:, J[a]] + away[:, J[b]])[:, :2] / 2).sum(-1) for a, b, mass in _MASSES)
    speed = np.where((tau >= 0) & (tau <= 1), 1 / (inertia + 0.02), 0)
    done = np.cumsum(speed * np.diff(tau, prepend=tau[0]))
    return np.asarray(done / done[-1])


def _project(plane: Floats, angle: Floats, twist: Floats, facing: float) -> Floats:
    """Convert body coordinates to x, y, depth, with the centre of mass at the origin."""
    along, front, left = np.moveaxis(plane - _centre(plane)[:, None], -1, 0)
    cos, sin = np.cos(twist)[:, None], np.sin(twist)[:, None]
    across, depth = facing * (front * cos + left * sin), left * cos - front * sin
    x = along * np.sin(angle)[:, None] + across * np.cos(angle)[:, None]
    y = along * np.cos(angle)[:, None] - across * np.sin(angle)[:, None]
    return np.stack([x, y, depth], -1)


def _front(shape: Floats, facing: float) -> Floats:
    left = shape[:, J["left_shoulder"]] - shape[:, J["right_shoulder"]]
    front = -facing * np.cross(left, shape[:, J["neck"]] - shape[:, J["pelvis"]])
    return np.asarray(front / np.linalg.norm(front, axis=-1, keepdims=True))


def _path(dive: Element, execution: Execution, shape: Floats, t: Floats, flight: float, out: float) -> Floats:
    """Return the centre of mass (S, 2): fixed by feet or hands, then in flight, then slowed down by the water."""
    held = shape[:, [J["left_wrist"], J["right_wrist"]] if dive.armstand else [J["left_toe"], J["right_toe"]]]
    start = int(np.searchsorted(t, 0))
    ground = np.array([-0.08, PLATFORM]) - held[: start + 1, :, :2].mean(1)
    rise = _jump(dive, execution)
    speed = math.sqrt(2 * _GRAVITY * rise)
    wet = np.clip(t - flight, 0, None)
    air = np.clip(t, 0, flight)
    last = speed - _GRAVITY * flight
    fly_y = ground[-1, 1] + speed * air - _GRAVITY * air**2 / 2 + last * 0.22 * (1 - np.exp(-wet / 0.22))
    fly_x = ground[-1, 0] + out * (air / flight) + 0.15 * np.clip(wet, 0, 1)
    centre = np.stack([fly_x, fly_y], -1)
    centre[: start + 1] = ground
    return centre
