"""The names of joints as programs write them, and the one name that each joint has here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from aqakit.recordings.skeletons.parts.layouts import LAYOUTS, Layout

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_SIDES = {"left": "left_", "l": "left_", "right": "right_", "r": "right_"}
_FILLING = {"mixamorig", "bip", "joint", "jnt", "rig"}
"""Words that name a program or say nothing."""

_SAME = {
    "hips": "pelvis", "mid hip": "pelvis", "hip mid": "pelvis", "c hip": "pelvis", "root": "pelvis",
    "spine base": "pelvis", "hip center": "pelvis", "hip centre": "pelvis", "waist": "pelvis",
    "spine mid": "spine", "torso": "spine", "spine shoulder": "thorax", "shoulder center": "thorax", "chest": "thorax",
    "upper chest": "thorax", "head top": "head_top", "top head": "head_top",
    "up leg": "hip", "upper leg": "hip", "thigh": "hip", "hip joint": "hip",
    "leg": "knee", "low leg": "knee", "lower leg": "knee", "shin": "knee", "calf": "knee",
    "arm": "shoulder", "up arm": "shoulder", "upper arm": "shoulder", "uparm": "shoulder",
    "fore arm": "elbow", "forearm": "elbow", "lower arm": "elbow", "low arm": "elbow", "lowarm": "elbow",
    "clavicle": "collar", "toe base": "toe", "toes": "toe", "big toe": "toe", "foot index": "toe", "hallux": "toe",
    "small toe": "small_toe", "little toe": "small_toe", "hand tip": "hand_tip",
    "eye inner": "eye_inner", "eye outer": "eye_outer", "upleg": "hip", "toebase": "toe", "lowleg": "knee",
    "bigtoe": "toe", "smalltoe": "small_toe",
}  # fmt: skip
"""Names without the side, words in lower case, and what they are called in ``LAYOUTS``."""


def canonical(names: Sequence[str], *, segments: bool = False) -> tuple[str, ...]:
    """Return the names of joints as ``LAYOUTS`` has them; what is unknown stays in words of its own.

    >>> canonical(["NOSE", "LShoulder", "elbow.R", "hip_mid", "LEFT_FOOT_INDEX", "mystery"])
    ('nose', 'left_shoulder', 'right_elbow', 'pelvis', 'left_toe', 'mystery')
    >>> canonical(["Hips", "LeftUpLeg", "LeftLeg", "LeftFoot", "LeftArm", "LeftShoulder"], segments=True)
    ('pelvis', 'left_hip', 'left_knee', 'left_ankle', 'left_shoulder', 'left_collar')

    Args:
        names: as they are in a file.
        segments: whether names are of bones, as in motion capture: ``LeftHand`` begins at the wrist.
    """
    parts = [_parts(name) for name in names]
    kinds = {kind for _, kind in parts}
    named = [_kind(side, kind, kinds, segments) for side, kind in parts]
    return tuple(one if named.count(one) == 1 else _plain(name) for one, name in zip(named, names, strict=True))


def _parts(name: str) -> tuple[str, str]:
    """Split a name in side and words."""
    words = [word.lower() for word in _WORDS.findall(name)]
    words = [word for word in words if word not in _FILLING] or words
    found = [word for word in words if word in _SIDES]
    if not found and len(words) > 0 and words[0][0] in "lr" and _is_known(words[0][1:], words[1:]):
        words, found = [words[0][1:], *words[1:]], [words[0][0]]  # lknee, rbig_toe
    side = _SIDES[found[0]] if found else ""
    return side, " ".join(word for word in words if word not in _SIDES)


def _is_known(first: str, rest: list[str]) -> bool:
    kind = " ".join([first, *rest])
    return (
        kind in _SAME
        or kind == "foot"
        or any(f"left_{kind.replace(' ', '_')}" in layout.joints for layout in LAYOUTS.values())
    )


def _kind(side: str, kind: str, kinds: set[str], segments: bool) -> str:
    known = {_SAME.get(other, other) for other in kinds}
    if side and kind == "foot" and not ("ankle" in known and "toe" in known):
        return side + ("toe" if "ankle" in known else "ankle")
    if segments and side and kind == "hand" and "wrist" not in known:
        return side + "wrist"
    if segments and side and kind == "shoulder" and "shoulder" in {_SAME.get(other) for other in kinds}:
        return side + "collar"
    joint = _SAME.get(kind, kind)
    if joint in ("hip", "pelvis"):
        joint = "hip" if side else "pelvis"
    return side + joint.replace(" ", "_")


def _plain(name: str) -> str:
    return "_".join(word.lower() for word in _WORDS.findall(name)) or name


def layout_of(names: Sequence[str], bones: Iterable[tuple[int, int]] = ()) -> Layout:
    """Return the layout with these joints in this order; if there is none, one that is called ``file``.

    Args:
        names: canonical, (J,).
        bones: pairs of joint numbers; without any, those of the layout that has most of these joints.
    """
    found = next((layout for layout in LAYOUTS.values() if layout.joints == tuple(names)), None)
    if found:
        return found
    nearest = max(LAYOUTS.values(), key=lambda layout: len(set(layout.joints) & set(names)))
    pairs = [(nearest.joints[a], nearest.joints[b]) for a, b in nearest.bones]
    known = [(names.index(a), names.index(b)) for a, b in pairs if a in names and b in names]
    return Layout("file", tuple(names), tuple(bones) or tuple(known))


def is_known(names: Iterable[str]) -> bool:
    """Whether at least a third of the names, and three, are joints of a layout."""
    names = list(names)
    known = {joint for layout in LAYOUTS.values() for joint in layout.joints}
    return len(known & set(names)) >= max(3, len(names) / 3)
