"""A skeleton as the page draws it: bones that move, seen from the front. Runs in a process that may die."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aqakit.backbones.parts.movement.posture import heading, upright
from aqakit.recordings import skeletons
from aqakit.recordings.clip_plan import thinned
from aqakit.recordings.repetitions import RATE
from aqakit.recordings.skeletons import Body
from aqakit.types import Floats
from aqakit.web.models import Figure

MOST = 1500
"""Frames that are drawn; of a longer recording, as many evenly over the time."""

FINE = 1000
"""Units of the longer side of the space in which a body moves."""

_FIRST = 8
"""Frames at the start that tell which way a person faces; an eighth of a short recording."""


def figure(path: Path, layout: str | None = None, most: int = MOST) -> Figure:
    """Return the joints of a recording, turned so that the person faces the viewer at the start.

    Args:
        path: a file of joints.
        layout: which joint is which, if the file does not tell.
        most: frames that are drawn.

    Raises:
        DataError: it cannot be read.
    """
    body = skeletons.read(path, layout=layout)
    places, size = _boxed(_facing(body), body)
    rows = thinned(len(places), most)
    rate = body.rate or RATE
    drawn = places[rows].round().astype(int).tolist()
    seen = body.seen[rows].tolist()
    flat = [
        [x if is_seen else None for joint, is_seen in zip(*frame, strict=True) for x in joint]
        for frame in zip(drawn, seen, strict=True)
    ]
    count = places.shape[1]
    return Figure(
        joints=list(body.layout.joints) if body.layout else [f"joint_{k + 1}" for k in range(count)],
        bones=list(body.layout.bones) if body.layout else [],
        dimensions=places.shape[2],
        rate=rate,
        assumed=body.rate is None,
        times=(rows / rate).round(4).tolist(),
        places=flat,
        size=size,
    )


def _facing(body: Body) -> Floats:
    """(T, J, 2 or 3): to the right of the viewer, up and, in three dimensions, towards the viewer."""
    joints = body.joints.astype(np.float64)
    frames, count, dimensions = joints.shape
    found = upright(joints.reshape(-1, dimensions), body.up)
    if dimensions == 2:
        return found.reshape(frames, count, 2)
    found = found.reshape(frames, count, 3)
    layout = body.layout
    sides = [f"{side}_{role}" for side in ("left", "right") for role in ("shoulder", "hip")]
    if layout is not None and all(layout.of(name) for name in sides):
        known = {name: found[:, list(layout.of(name) or ())].mean(1) for name in sides}
        found = found @ heading(known, max(1, min(_FIRST, frames // _FIRST)))
    return found[..., [1, 2, 0]]  # whose left is to the right of those whom they face


def _boxed(places: Floats, body: Body) -> tuple[Floats, tuple[float, float]]:
    """Places in units of the space, with its middle at 0 and its floor at 0, and its width and height."""
    seen = places[body.seen]
    low, high = seen.min(0), seen.max(0)
    middle = (low + high) / 2
    middle[1] = low[1]
    moved = places - middle
    across = np.linalg.norm(moved[body.seen][:, [0, 2]], axis=1).max() if len(low) == 3 else (high[0] - low[0]) / 2
    width, height = 2 * float(across), float(high[1] - low[1])
    unit = max(width, height) / FINE or 1.0
    return moved / unit, (width / unit, height / unit)
