"""A copy of a video with a person's joints drawn into it, at the same times as the original."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from aqakit.backbones.parts.blazepose.finding import Person
from aqakit.backbones.parts.blazepose.regions import Image
from aqakit.backbones.parts.blazepose.table import LAYOUT
from aqakit.recordings import video
from aqakit.system.files import atomic_path

LEFT, RIGHT, MIDDLE = (0, 230, 0), (255, 40, 40), (255, 220, 0)
"""Colours of the person's left side, right side, and of what joins them."""

_UNIT = Fraction(1, 90_000)


def write(
    file: Path,
    person: Person,
    joints: NDArray[np.float32],
    rate: video.Rate = "stored",
    advance: Callable[[int], None] = lambda frames: None,
) -> None:
    """Write a video (H.264 in MP4) with the joints drawn in; frames without the body are left as they are.

    Args:
        file: where to.
        person: whose video it is.
        joints: (T, 33, 2 or 3) its joints, perhaps filled and smoothed.
        rate: what frame numbers count.
        advance: called with the number of frames written.
    """
    height, width = (side - side % 2 for side in person.size)  # what the encoder takes
    steps = np.diff(person.times, append=person.times[-1] + 1 / person.rate)
    with atomic_path(file) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        track = container.add_stream("h264", rate=Fraction(person.rate).limit_denominator(1001))
        track.height, track.width, track.pix_fmt = height, width, "yuv420p"
        track.codec_context.time_base = _UNIT
        track.codec_context.max_b_frames = 0
        durations = {}
        for at, (_, picture) in enumerate(video.stream(person.path, person.numbers.tolist(), rate=rate)):
            frame = av.VideoFrame.from_ndarray(drawn(picture, joints[at])[:height, :width].copy(), "rgb24")
            frame.time_base, frame.pts = _UNIT, round((person.times[at] - person.times[0]) / float(_UNIT))
            durations[frame.pts] = round(steps[at] / float(_UNIT))
            for packet in track.encode(frame):
                packet.duration = durations.get(packet.pts, packet.duration)
                container.mux(packet)
            advance(1)
        for packet in track.encode(None):
            packet.duration = durations.get(packet.pts, packet.duration)
            container.mux(packet)


def drawn(picture: Image, joints: NDArray[np.float32]) -> Image:
    """Return a picture (H, W, 3) with the joints (33, 2 or more) of a person and the bones between them."""
    done = picture.copy()
    if not np.isfinite(joints[0, 0]):
        return done
    thickness = max(1.0, min(picture.shape[:2]) / 250)
    for first, last in LAYOUT.bones:
        _line(done, joints[first, :2], joints[last, :2], thickness, _colour(first, last))
    for number, point in enumerate(joints[:, :2]):
        _line(done, point, point, 1.6 * thickness, _colour(number, number))
    return done


def _colour(first: int, last: int) -> tuple[int, int, int]:
    sides = {LAYOUT.joints[k].partition("_")[0] for k in (first, last)}
    return LEFT if sides == {"left"} else RIGHT if sides == {"right"} else MIDDLE


def _line(
    picture: Image, begin: NDArray[np.float32], end: NDArray[np.float32], thickness: float, colour: tuple[int, int, int]
) -> None:
    """Colour what is nearer to a line between two points than its thickness."""
    height, width = picture.shape[:2]
    low, high = np.minimum(begin, end) - thickness, np.maximum(begin, end) + thickness + 1
    left, right = (int(np.clip(x, 0, width)) for x in (low[0], high[0]))
    upper, lower = (int(np.clip(y, 0, height)) for y in (low[1], high[1]))
    if left >= right or upper >= lower:
        return
    y, x = np.mgrid[upper:lower, left:right] + 0.5
    dx, dy = (float(d) for d in end - begin)
    along = ((x - begin[0]) * dx + (y - begin[1]) * dy) / max(dx**2 + dy**2, 1e-9)
    along = along.clip(0, 1)
    near = np.hypot(x - begin[0] - along * dx, y - begin[1] - along * dy) <= thickness
    picture[upper:lower, left:right][near] = colour
