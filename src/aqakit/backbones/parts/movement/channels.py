"""What is measured of a posture in every frame: angles in degrees, places in body lengths.

An angle at a joint is that between its two bones, 180° if it is straight. The angle of a shoulder is between the trunk
and the upper arm: 0° if the arm hangs. Every angle is the arc tangent of the length of a cross product and a dot
product, which is exact near 0° and 180° and never jumps. The angles of a limb in one direction, such as forward, are
from the vertical, within ±90°: the arc tangent of that direction and the other two together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from aqakit.backbones.parts.movement.posture import Array, Posture, centre_of_mass

DEGREES, LENGTHS = "degrees", "body lengths"


@dataclass(frozen=True)
class Channel:
    """A quantity that has a value in every frame.

    Attributes:
        name: what it is: ``left knee angle``.
        unit: ``degrees`` or ``body lengths``.
        more: what a larger value means: ``straighter``.
        place: whether it says where a joint is, rather than how it is bent.
    """

    name: str
    unit: str
    more: str
    place: bool = False


Found = tuple[Channel, Array]


def angle(a: Array, b: Array) -> Array:
    """Angle in degrees, 0 to 180, between vectors (T, 2 or 3).

    >>> angle(np.array([[1.0, 0.0]]), np.array([[0.0, 2.0]])).tolist()
    [90.0]
    """
    dot = (a * b).sum(1)
    flat = a.shape[1] == 2
    cross = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) if flat else np.linalg.norm(np.cross(a, b), axis=1)
    return np.asarray(np.degrees(np.arctan2(cross, dot)))


def towards(vector: Array, axis: int) -> Array:
    """Angle in degrees, −90 to 90, by which vectors (T, 3) point along an axis."""
    rest = np.delete(vector, axis, axis=1)
    return np.asarray(np.degrees(np.arctan2(vector[:, axis], np.linalg.norm(rest, axis=1))))


def channels(body: Posture, names: tuple[str, str] = ("left", "right")) -> list[Found]:
    """Return every channel with its values (T,); ``names`` are what the two sides are called."""
    found = [*_trunk(body, names[0]), *_balance(body, names[0])]
    for side, name in zip(("left", "right"), names, strict=True):
        found += [*_joints(body, side, name), *_limbs(body, side, name), *_places(body, side, name)]
    return found


def _joints(body: Posture, side: str, name: str) -> Iterator[Found]:
    hip, knee, ankle, shoulder, elbow, wrist = (
        body[f"{side}_{role}"] for role in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
    )
    trunk = body["neck"] - body["pelvis"]
    yield Channel(f"{name} elbow angle", DEGREES, "straighter"), angle(shoulder - elbow, wrist - elbow)
    yield Channel(f"{name} shoulder angle", DEGREES, "arm further from the trunk"), angle(-trunk, elbow - shoulder)
    yield Channel(f"{name} hip angle", DEGREES, "straighter"), angle(trunk, knee - hip)
    yield Channel(f"{name} knee angle", DEGREES, "straighter"), angle(hip - knee, ankle - knee)
    if f"{side}_toe" in body.joints:
        bend = angle(knee - ankle, body[f"{side}_toe"] - ankle)
        yield Channel(f"{name} ankle angle", DEGREES, "foot further from the shank"), bend


def _limbs(body: Posture, side: str, name: str) -> Iterator[Found]:
    for limb, a, b in (("thigh", "hip", "knee"), ("shank", "knee", "ankle"), ("upper arm", "shoulder", "elbow")):
        vector = body[f"{side}_{b}"] - body[f"{side}_{a}"]
        if vector.shape[1] == 2:
            yield Channel(f"{name} {limb} along the picture", DEGREES, "further ahead"), towards(vector, 0)
            continue
        out = 1 if side == "left" else -1
        yield Channel(f"{name} {limb} forward", DEGREES, "further forward"), towards(vector, 0)
        yield Channel(f"{name} {limb} outward", DEGREES, "further outward"), out * towards(vector, 1)


def _places(body: Posture, side: str, name: str) -> Iterator[Found]:
    """Where joints are from the pelvis: it does not depend on where the person stands."""
    for role in ("shoulder", "elbow", "wrist", "knee", "ankle"):
        vector = body[f"{side}_{role}"] - body["pelvis"]
        yield from _axes(f"{name} {role}", vector * _OUTWARD if side == "right" and vector.shape[1] == 3 else vector)


_OUTWARD = np.array([1.0, -1.0, 1.0])


def _axes(name: str, vector: Array, side: str = "") -> Iterator[Found]:
    """Where something is along each axis; sideways is outward for a joint of a side, else towards ``side``."""
    yield Channel(f"{name} height", LENGTHS, "higher", place=True), vector[:, -1]
    if vector.shape[1] == 2:
        yield Channel(f"{name} along the picture", LENGTHS, "further ahead", place=True), vector[:, 0]
        return
    yield Channel(f"{name} forward", LENGTHS, "further forward", place=True), vector[:, 0]
    way = f"to the {side} side" if side else "outward"
    yield Channel(f"{name} {way}", LENGTHS, f"further {way}", place=True), vector[:, 1]


def _trunk(body: Posture, side: str) -> Iterator[Found]:
    trunk = body["neck"] - body["pelvis"]
    up = np.zeros_like(trunk)
    up[:, -1] = 1
    yield Channel("trunk lean", DEGREES, "further from upright"), angle(trunk, up)
    yield (
        Channel("neck bend", DEGREES, "head further from the line of the trunk"),
        angle(trunk, body["head"] - body["neck"]),
    )
    if trunk.shape[1] == 2:
        yield Channel("trunk lean along the picture", DEGREES, "further ahead"), towards(trunk, 0)
        return
    yield Channel("trunk lean forward", DEGREES, "further forward"), towards(trunk, 0)
    yield Channel(f"trunk lean to the {side} side", DEGREES, f"further to the {side} side"), towards(trunk, 1)
    hips, shoulders = (body[f"left_{role}"] - body[f"right_{role}"] for role in ("hip", "shoulder"))
    for part, line in (("hip", hips), ("shoulder", shoulders)):
        yield Channel(f"tilt of the {part}s", DEGREES, f"{side} {part} higher"), towards(line, 2)
        yield Channel(f"turn of the {part}s", DEGREES, f"{side} {part} further forward"), towards(line, 0)


def _balance(body: Posture, side: str) -> Iterator[Found]:
    """Where the body as a whole is, from where the pelvis was at first, and over its feet."""
    yield from _axes("pelvis", body["pelvis"], side)
    yield from _axes("head", body["head"] - body["pelvis"], side)
    mass = centre_of_mass(body)
    feet = [body[f"{side}_{role}"] for side in ("left", "right") for role in ("ankle", "toe") if _has(body, side, role)]
    base = np.mean(feet, axis=0)
    yield from _axes("centre of mass over the feet", mass - base, side)
    ankles, wrists = (body[f"left_{role}"] - body[f"right_{role}"] for role in ("ankle", "wrist"))
    yield Channel("base of support", LENGTHS, "ankles further apart", place=True), _flat(ankles)
    yield Channel("distance of the hands", LENGTHS, "further apart", place=True), np.linalg.norm(wrists, axis=1)


def _has(body: Posture, side: str, role: str) -> bool:
    return f"{side}_{role}" in body.joints


def _flat(vector: Array) -> Array:
    """Length along the ground, or along the picture."""
    return np.asarray(np.linalg.norm(vector[:, :-1], axis=1))
