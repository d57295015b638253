"""NTU RGB+D: ``.skeleton`` text, frame after frame, body after body.

The number of frames; for each frame the number of bodies; for each body a line of ten values that begins with its id,
the number of joints, 25, and for each joint x, y, z in metres, six places in pictures, an orientation and the tracking
state. 30 frames a second. Shahroudy et al., NTU RGB+D: A Large Scale Dataset for 3D Human Activity Analysis, CVPR 2016.
"""

from __future__ import annotations

import numpy as np

from aqakit.errors import DataError
from aqakit.recordings.skeletons.parts import people
from aqakit.recordings.skeletons.parts.found import Found
from aqakit.recordings.skeletons.parts.layouts import LAYOUTS
from aqakit.recordings.skeletons.parts.people import Person
from aqakit.recordings.skeletons.parts.source import Source
from aqakit.recordings.skeletons.parts.walking import Lines

_LAYOUT = LAYOUTS["kinect25"]
_BODY, _JOINT = 10, 12
"""Values in the line of a body and of a joint."""


def fits(source: Source) -> bool:
    """Whether the first lines hold a number alone, and then one more."""
    if source.kind != "text" or len(source.lines) < source.first + 2 or source.mark is not None:
        return False
    return all(len(line.split()) == 1 and line.strip().isdigit() for line in source.lines[source.first :][:2])


def read(source: Source) -> Found:
    """Read the joints of one body; others are told apart by their ids.

    Raises:
        DataError: the file ends before its frames do, or a line has other values than it should.
    """
    lines = Lines(source.path, source.text)
    count = lines.whole("the number of frames")
    frames = []
    for _ in range(count):
        bodies = lines.whole("the number of bodies")
        frames.append([_body(lines) for _ in range(bodies)])
    if lines.left():
        raise DataError(
            f"{source.path}, line {lines.at + 1}: there is more after the {count} frames that it promises; copy it "
            "again"
        )
    if not any(frames):
        raise DataError(f"{source.path}: no body is seen in any of {count} frames; choose another recording")
    joints, confidence, told = people.choose(frames)
    return Found(joints, layout=_LAYOUT, confidence=confidence, rate=30.0, unit="metres", up="+y", notes=told)


def _body(lines: Lines) -> Person:
    name = lines.values("a body", _BODY, read=False)[0]
    joints = lines.whole("the number of joints")
    if joints != len(_LAYOUT.joints):
        raise DataError(f"{lines.path}, line {lines.at}: {joints} joints, but a body has 25; copy the file again")
    rows = [lines.values("a joint", _JOINT) for _ in range(joints)]
    table = np.array([[*map(float, row[:3]), float(row[-1])] for row in rows])
    state = np.nan_to_num(table[:, 3])
    lost = (state == 0) | (table[:, :3] == 0).all(1)
    return Person(np.where(lost[:, None], np.nan, table[:, :3]), np.clip(state / 2, 0, 1), name)
