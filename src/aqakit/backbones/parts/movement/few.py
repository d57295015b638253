"""Few measures, each of which says something to a coach: how far joints are bent, when, and how fast they open.

Both sides are taken together, and how far they are apart is measured beside. Nothing is against the start. What is left
out, such as the places of joints and smoothness, mostly says the same again, so that points would be shared.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aqakit.backbones.parts.movement.channels import Channel
from aqakit.backbones.parts.movement.numbers import Measured, Motion, parts, tempo
from aqakit.backbones.parts.movement.posture import Array
from aqakit.backbones.parts.named import Measure

PARTS = 8
"""Equal parts of the time, in which angles are measured."""

_JOINTS = ("elbow angle", "shoulder angle", "hip angle", "knee angle", "ankle angle")
_OPENS = ("hip angle", "knee angle")
_BODY = ("trunk lean", "neck bend", "base of support", "pelvis height", "distance of the hands")
_OVER_TIME = ("trunk lean", "base of support")
_OPEN = (0.25, 0.5, 0.75)
"""Shares of the way up from the lowest angle, between which a joint opens, and at which it counts as open."""


def together(motion: Motion) -> Motion:
    """Return the channels of joints, as the mean of both sides, and those of the body as a whole."""
    index = {channel.name: i for i, channel in enumerate(motion.channels)}
    kept = []
    for name in _JOINTS:
        sides = [index[f"{side} {name}"] for side in motion.sides if f"{side} {name}" in index]
        if sides:
            kept.append((replace(motion.channels[sides[0]], name=name), sides))
    kept += [(motion.channels[index[name]], [index[name]]) for name in _BODY]
    return replace(
        motion,
        channels=tuple(channel for channel, _ in kept),
        values=np.stack([motion.values[:, sides].mean(1) for _, sides in kept], axis=1),
        start=np.stack([motion.start[sides].mean() for _, sides in kept]),
    )


def measured(motion: Motion) -> Measured:
    """Return every measure of a motion with its number."""
    both = together(motion)
    found: Measured = []
    for channel, values, speed in zip(both.channels, both.values.T, both.speed.T, strict=True):
        found += _of_channel(channel, values, speed, both.rate)
    times = [one for one in tempo(motion) if one[0].group == "tempo"]
    return [*found, *_symmetry(motion), *times]


def _of_channel(channel: Channel, values: Array, speed: Array, rate: float) -> Measured:
    own = channel.unit, channel.more
    found = {"lowest": (values.min(), *own), "highest": (values.max(), *own), "mean": (values.mean(), *own)}
    if channel.name in _JOINTS + _OVER_TIME:
        for k, (first, end) in enumerate(parts(len(values), PARTS), 1):
            part = values[first:end]
            found[f"mean of part {k} of {PARTS}"] = part.mean(), *own
            if channel.name in _JOINTS:
                found[f"lowest in part {k} of {PARTS}"] = part.min(), *own
    if channel.name in _JOINTS:
        found["highest speed"] = speed.max(), f"{channel.unit}/s", "faster"
        found["mean speed"] = speed.mean(), f"{channel.unit}/s", "faster"
    if channel.name in _OPENS:
        start, half, last = opening(values)
        found["time to open"] = (last - start) / rate, "s", "slower"
        found["open at"] = half / rate, "s", "later"
    return [
        (Measure(f"{channel.name}, {name}", unit, channel.name, more, channel.name, name), float(value))
        for name, (value, unit, more) in found.items()
    ]


def opening(values: Array) -> tuple[float, float, float]:
    """Frames at which an angle (T,) has risen from its lowest by :data:`_OPEN` of the way to its highest afterwards.

    Between frames it is taken as a straight line. The way begins with the last frame below the first share.

    >>> opening(np.array([8.0, 0, 0, 4, 8, 8]))
    (2.5, 3.0, 3.5)
    """
    lowest = int(values.argmin())
    after = values[lowest:] - values[lowest]
    highest = float(after.max())
    if not highest:
        return float(lowest), float(lowest), float(lowest)
    open_ = int(np.argmax(after >= _OPEN[2] * highest))
    start = int(np.flatnonzero(after[:open_] <= _OPEN[0] * highest)[-1])
    found = []
    for level in np.array(_OPEN) * highest:
        k = start + 1 + int(np.argmax(after[start + 1 :] >= level))
        found.append(float(lowest + k - 1 + (level - after[k - 1]) / (after[k] - after[k - 1])))
    return found[0], found[1], found[2]


def _symmetry(motion: Motion) -> Measured:
    """How far the sides are apart, whichever does more."""
    index = {channel.name: i for i, channel in enumerate(motion.channels)}
    found: Measured = []
    for name in _JOINTS:
        pair = [index[f"{side} {name}"] for side in motion.sides if f"{side} {name}" in index]
        if not pair:
            continue
        a, b = motion.values[:, pair].T
        for what, value in (("mean distance", np.abs(a - b).mean()), ("ranges apart", abs(np.ptp(a) - np.ptp(b)))):
            full = f"symmetry of the {name}, {what}"
            found.append((Measure(full, "degrees", "symmetry", "sides further apart"), float(value)))
    return found
