"""A person's joints in body coordinates, free of place, heading and size.

Axes of three dimensions: 0 forward, 1 to the left, 2 up. Of two: 0 along the picture, 1 up. Forward is where hips and
shoulders face in the first frames, so that a turn of the body stays a turn. A picture does not tell which way a person
faces but by nose and toes: if these point to the left, axis 0 is reversed. Lengths are in body lengths: trunk, thigh
and shank together, which does not depend on the pose. A camera sees a limb that points to it too short, therefore the
90 % quantile over time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aqakit.recordings.skeletons.parts.layouts import Layout

Array = NDArray[np.float64]

SIDED = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "toe")
MIDDLE = ("pelvis", "neck", "head")
_SIZE = 0.9
_FACES = 0.02
"""Share of the body length that nose and toes must be ahead, on average, to tell which way a person faces."""


@dataclass(frozen=True)
class Posture:
    """Joints by role.

    Attributes:
        joints: (T, 2 or 3) of each role, in body lengths.
        start: number of first frames that levels are compared with.
    """

    joints: dict[str, Array]
    start: int

    def __getitem__(self, role: str) -> Array:
        return self.joints[role]

    @property
    def size(self) -> int:
        """Number of frames."""
        return len(self["pelvis"])

    def mirrored(self) -> Posture:
        """Return the posture of the mirror image: left and right change places."""
        flip = np.array([1.0, -1.0, 1.0]) if self["pelvis"].shape[1] == 3 else 1.0
        return Posture({_other(role): joint * flip for role, joint in self.joints.items()}, self.start)


def roles(toes: bool) -> tuple[str, ...]:
    """Return the roles that a layout must have."""
    sided = SIDED if toes else SIDED[:-1]
    return (*MIDDLE, *(f"{side}_{role}" for role in sided for side in ("left", "right")))


def missing(layout: Layout, toes: bool) -> list[str]:
    """Return the roles that a layout does not have."""
    return [role for role in roles(toes) if layout.of(role) is None]


def posture(joints: Array, layout: Layout, up: str, *, toes: bool, start: int) -> Posture:
    """Bring joints (T, J, 2 or 3), whose axis ``up`` points up, into body coordinates."""
    found = {role: joints[:, list(layout.of(role) or ())].mean(1) for role in roles(toes)}
    size = body_length(found)
    found = {role: upright(joint, up) / size for role, joint in found.items()}
    turn = heading(found, start) if joints.shape[2] == 3 else _facing(found, joints, layout, size)
    origin = found["pelvis"][:start].mean(0)
    return Posture({role: (joint - origin) @ turn for role, joint in found.items()}, start)


def body_length(joints: dict[str, Array]) -> float:
    """Length of trunk, thigh and shank; 1 if all joints are in one place."""
    pairs = [("pelvis", "neck")]
    pairs += [(f"{side}_{a}", f"{side}_{b}") for side in ("left", "right") for a, b in _LEG]
    lengths = [np.quantile(np.linalg.norm(joints[a] - joints[b], axis=1), _SIZE) for a, b in pairs]
    return float(lengths[0] + sum(lengths[1:]) / 2) or 1.0


_LEG = (("hip", "knee"), ("knee", "ankle"))


def upright(joint: Array, up: str) -> Array:
    """Return a joint (T, 2 or 3) in right-handed axes of which the last one points up."""
    if joint.shape[1] == 2:
        return joint * [1.0, -1.0 if up == "-y" else 1.0]
    x, y, z = joint.T
    return np.stack({"+y": (z, x, y), "-y": (x, z, -y), "+z": (x, y, z)}[up], axis=1)


def heading(joints: dict[str, Array], start: int) -> Array:
    """(3, 3) whose columns are forward, left and up of the first frames, of upright shoulders and hips."""
    across = sum(joints[f"left_{role}"] - joints[f"right_{role}"] for role in ("shoulder", "hip"))
    left = np.asarray(across)[:start].mean(0) * [1.0, 1.0, 0.0]
    length = np.linalg.norm(left)
    left = left / length if length > 0 else np.array([0.0, 1.0, 0.0])
    up = np.array([0.0, 0.0, 1.0])
    return np.stack([np.cross(left, up), left, up], axis=1)


def _facing(joints: dict[str, Array], all_joints: Array, layout: Layout, size: float) -> Array:
    """(2, 2) that makes a person who is seen from the side face along axis 0."""
    ahead = []
    if (nose := layout.of("nose")) is not None:
        ahead.append((all_joints[:, list(nose)].mean(1)[:, 0] / size - joints["head"][:, 0]).mean())
    if "left_toe" in joints:
        ahead += [(joints[f"{side}_toe"] - joints[f"{side}_ankle"])[:, 0].mean() for side in ("left", "right")]
    turned = bool(ahead) and float(np.mean(ahead)) < -_FACES
    return np.diag([-1.0 if turned else 1.0, 1.0])


def _other(role: str) -> str:
    side, _, rest = role.partition("_")
    return {"left": f"right_{rest}", "right": f"left_{rest}"}.get(side, role)


SEGMENTS: Sequence[tuple[str, str, float, float]] = (
    ("head", "head", 0.0694, 0.0),
    ("neck", "pelvis", 0.4346, 0.5138),
    *((f"{side}_shoulder", f"{side}_elbow", 0.0271, 0.5772) for side in ("left", "right")),
    *((f"{side}_elbow", f"{side}_wrist", 0.0162 + 0.0061, 0.4574) for side in ("left", "right")),
    *((f"{side}_hip", f"{side}_knee", 0.1416, 0.4095) for side in ("left", "right")),
    *((f"{side}_knee", f"{side}_ankle", 0.0433 + 0.0137, 0.4459) for side in ("left", "right")),
)
"""Ends of a segment, its share of the mass and where its centre of mass is between them: de Leva 1996, table 4, men.
Hands go with the forearms and feet with the shanks, since few layouts have their ends."""


def centre_of_mass(body: Posture) -> Array:
    """(T, 2 or 3) centre of mass."""
    total = sum(share * (body[a] + at * (body[b] - body[a])) for a, b, share, at in SEGMENTS)
    return np.asarray(total, dtype=np.float64)
