"""BVH: a tree of joints with offsets, and a line of channels for each frame.

Positions are computed: a joint lies at its offset, or at its position channels if it has some, turned by the rotations
of all joints above it. The rotation of a joint is the product of its channels in the order in which they are listed
(intrinsic). Ends of the tree (``End Site``) are no joints. Meredith and Maddock, Motion Capture File Formats Explained,
2001.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from aqakit.errors import DataError
from aqakit.recordings.skeletons.parts import naming, tables
from aqakit.recordings.skeletons.parts.found import Found
from aqakit.recordings.skeletons.parts.source import Source
from aqakit.recordings.skeletons.parts.walking import Lines
from aqakit.system.files import check_size

_CHANNELS = {f"{axis}{kind}" for axis in "xyz" for kind in ("position", "rotation")}
_Array = NDArray[np.float64]


@dataclass(eq=False)
class _Joint:
    name: str
    parent: int
    offset: tuple[float, ...] = (0.0, 0.0, 0.0)
    channels: list[str] = field(default_factory=list)


def fits(source: Source) -> bool:
    """Whether it begins with ``HIERARCHY``."""
    return source.kind == "text" and source.text.lstrip()[:9].upper() == "HIERARCHY"


def read(source: Source) -> Found:
    """Read the tree and the frames, and compute where the joints are.

    Raises:
        DataError: the tree is incomplete, a line has other channels than the tree, or frames are missing.
    """
    lines = Lines(source.path, source.text)
    joints = _tree(lines)
    motion, rate = _motion(source, lines, sum(len(joint.channels) for joint in joints))
    check_size(source.path, len(motion) * len(joints) * 12 * 8)
    names = naming.canonical([joint.name for joint in joints], segments=True)
    bones = [(joint.parent, at) for at, joint in enumerate(joints) if joint.parent >= 0]
    layout = naming.layout_of(names, bones)
    return Found(_forward(source, joints, motion), layout=layout if naming.is_known(names) else None, rate=rate)


def _tree(lines: Lines) -> list[_Joint]:
    lines.take("HIERARCHY")
    joints: list[_Joint] = []
    above: list[_Joint | None] = []  # joints whose brackets are open; None for an end
    opened: _Joint | None = None
    while True:
        words = lines.take("the rest of the tree").split()
        word = words[0].upper()
        if word in ("ROOT", "JOINT", "END") and len(words) > 1:
            parents = [joint for joint in above if joint]
            opened = (
                _Joint(" ".join(words[1:]), joints.index(parents[-1]) if parents else -1) if word != "END" else None
            )
            joints += [opened] if opened else []
        elif word == "{":
            above.append(opened)
        elif word == "}" and above:
            above.pop()
        elif word in ("OFFSET", "CHANNELS") and above:
            _describe(lines, words, above[-1])
        elif word == "MOTION" and not above and joints:
            return joints
        else:
            told = " ".join(words)[:30]
            raise DataError(f"{lines.path}, line {lines.at}: {told!r} has no place in the tree here; export it again")


def _describe(lines: Lines, words: list[str], joint: _Joint | None) -> None:
    """Read the offset or the channels of a joint; those of an end are left."""
    if joint is None:
        return
    if words[0].upper() == "CHANNELS":
        joint.channels = _channels(lines, words)
        return
    offset = [tables.value(lines.path, lines.at, k, text) for k, text in enumerate(words[1:], 2)]
    if len(offset) != 3 or np.isnan(offset).any():
        raise DataError(f"{lines.path}, line {lines.at}: an offset has three numbers; export the file again")
    joint.offset = tuple(offset)


def _channels(lines: Lines, words: list[str]) -> list[str]:
    found = [word.lower() for word in words[2:]]
    if len(words) < 2 or words[1] != str(len(found)) or not set(found) <= _CHANNELS or len(set(found)) < len(found):
        raise DataError(
            f"{lines.path}, line {lines.at}: expected a number and that many channels such as Xposition or Zrotation; "
            "export it again"
        )
    return found


def _motion(source: Source, lines: Lines, width: int) -> tuple[_Array, float | None]:
    count = _after(lines, "Frames:")
    step = _after(lines, "Frame Time:")
    if not count.is_integer() or not 0 < count < 1e8:
        raise DataError(f"{source.path}, line {lines.at - 1}: {count:g} is no number of frames; export it again")
    if lines.left() != count:
        raise DataError(
            f"{source.path}: it promises {count:.0f} frames and has {lines.left()}; copy or export it again, whole"
        )
    all_lines = source.text.splitlines()
    table = tables.numbers(source.path, all_lines, lines.at, None)
    if table.shape[1] != width:
        raise DataError(
            f"{source.path}, line {lines.at + 1}: {table.shape[1]} values for {width} channels; export it again"
        )
    bad = np.argwhere(np.isnan(table))
    if len(bad):
        raise DataError(
            f"{source.path}, frame {bad[0][0]}, counted from 0: not all channels are numbers; export it again"
        )
    return table, 1 / step if step > 0 else None


def _after(lines: Lines, words: str) -> float:
    line = " ".join(lines.take(words).split())
    if not line.upper().startswith(words.upper()):
        raise DataError(f"{lines.path}, line {lines.at}: expected {words!r}, not {line[:20]!r}; export it again")
    found = tables.value(lines.path, lines.at, 1, line[len(words) :].strip())
    if np.isnan(found):
        raise DataError(f"{lines.path}, line {lines.at}: there is no number after {words!r}; export it again")
    return found


def _forward(source: Source, joints: list[_Joint], motion: _Array) -> _Array:
    """(T, channels) → positions (T, J, 3)."""
    found = np.empty((len(motion), len(joints), 3))
    turned = np.empty((len(motion), len(joints), 3, 3))
    first = 0
    for at, joint in enumerate(joints):
        values = motion[:, first : first + len(joint.channels)]
        first += len(joint.channels)
        place = np.tile(np.array(joint.offset), (len(motion), 1))
        turns = [k for k, channel in enumerate(joint.channels) if channel.endswith("rotation")]
        for k, channel in enumerate(joint.channels):
            if channel.endswith("position"):
                place[:, "xyz".index(channel[0])] = values[:, k]
        turn = np.tile(np.eye(3), (len(motion), 1, 1))
        if turns:
            order = "".join(joint.channels[k][0].upper() for k in turns)
            turn = Rotation.from_euler(order, values[:, turns], degrees=True).as_matrix()
        if joint.parent < 0:
            found[:, at], turned[:, at] = place, turn
        else:
            above = turned[:, joint.parent]
            found[:, at] = found[:, joint.parent] + np.einsum("tij,tj->ti", above, place)
            turned[:, at] = above @ turn
    return found
