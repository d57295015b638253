"""Numbers of channels over time: of a whole recording or a window, against its first frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from aqakit.backbones.parts.movement.channels import DEGREES, Channel
from aqakit.backbones.parts.movement.posture import Array
from aqakit.backbones.parts.movement.smoothness import log_dimensionless_jerk, spectral_arc_length
from aqakit.backbones.parts.named import Measure

PARTS = 4
"""Equal parts of the time, of which the mean is measured."""

_IDLE, _HELD = 0.2, 0.9
"""A pause is slower than this share of the 95 % quantile of speed; far is this share of the farthest posture."""


@dataclass(frozen=True)
class Motion:
    """Channels over time.

    Attributes:
        channels: C of them.
        values: (T, C), smoothed.
        start: (C,) level of the first frames of the recording.
        rate: frames per second.
        sides: what the two sides are called.
        leads: the side that leads; the first of ``sides`` is this one if they are called leading and other.
    """

    channels: tuple[Channel, ...]
    values: Array
    start: Array
    rate: float
    sides: tuple[str, str]
    leads: Literal["left", "right"] = "left"

    @property
    def change(self) -> Array:
        """(T, C) against the start."""
        return self.values - self.start

    @property
    def speed(self) -> Array:
        """(T − 1, C) absolute change per second."""
        return np.asarray(np.abs(np.diff(self.values, axis=0)) * self.rate)


Measured = list[tuple[Measure, float]]


def measured(motion: Motion, *, against_start: bool) -> Measured:
    """Return every measure of a motion with its number."""
    return [
        *_of_channels(motion, _levels(motion, against_start), _against(against_start)),
        *_of_channels(motion, _changes(motion)),
        *_of_channels(motion, _smoothness(motion), group="smoothness"),
        *_symmetry(motion),
        *tempo(motion),
    ]


def moment(motion: Motion, measure: Measure) -> int | None:
    """Return the frame at which a channel has the extreme that a measure tells; None if it tells none."""
    statistic, _, part = measure.statistic.removeprefix("time of ").partition(" in part ")
    find = {"lowest": np.argmin, "highest": np.argmax}.get(statistic)
    names = [channel.name for channel in motion.channels]
    if measure.channel not in names:
        return None
    values = motion.values[:, names.index(measure.channel)]
    if find is not None:
        number, count = map(int, part.split(" of ")) if part else (1, 1)
        first, end = parts(len(values), count)[number - 1]
        return first + int(find(values[first:end]))
    if measure.statistic == "highest speed":
        return int(np.argmax(motion.speed[:, names.index(measure.channel)]))
    return None


def parts(frames: int, count: int) -> list[tuple[int, int]]:
    """First and end frame of equal parts of the time; each has a frame at least.

    >>> parts(10, 4)
    [(0, 2), (2, 5), (5, 7), (7, 10)]
    """
    edges = np.linspace(0, frames, count + 1).astype(int).tolist()
    return [(first, max(end, first + 1)) for first, end in pairwise(edges)]


def _against(against_start: bool) -> str:
    return ", against the start" if against_start else ""


def _levels(motion: Motion, against_start: bool) -> Mapping[str, tuple[str, str, Array]]:
    """Name → unit (``{}`` is that of the channel), what more means (the same) and numbers (C,)."""
    level = motion.change if against_start else motion.values
    last = max(1, len(level) // 8)
    found = {
        "lowest": level.min(0),
        "highest": level.max(0),
        "mean": level.mean(0),
        "end": level[-last:].mean(0),
    }
    for part, (first, end) in enumerate(parts(len(level), PARTS), 1):
        found[f"mean of part {part} of {PARTS}"] = level[first:end].mean(0)
    return {name: ("{}", "{}", value) for name, value in found.items()}


def _changes(motion: Motion) -> Mapping[str, tuple[str, str, Array]]:
    values, speed, frames = motion.values, motion.speed, len(motion.values)
    far = farthest(motion)
    return {
        "range": ("{}", "wider", np.ptp(values, axis=0)),
        "spread": ("{}", "wider", values.std(0)),
        "mean speed": ("{}/s", "faster", speed.mean(0)),
        "highest speed": ("{}/s", "faster", speed.max(0)),
        "mean speed on the way out": ("{}/s", "faster", _mean(speed[:far])),
        "mean speed on the way back": ("{}/s", "faster", _mean(speed[far:])),
        "time of lowest": ("share of the duration", "later", values.argmin(0) / frames),
        "time of highest": ("share of the duration", "later", values.argmax(0) / frames),
    }


def _mean(speed: Array) -> Array:
    return speed.mean(0) if len(speed) else np.zeros(speed.shape[1])


def _smoothness(motion: Motion) -> Mapping[str, tuple[str, str, Array]]:
    speed = motion.speed
    return {
        "spectral arc length": ("", "smoother", spectral_arc_length(speed, motion.rate)),
        "log dimensionless jerk": ("", "smoother", log_dimensionless_jerk(speed, motion.rate)),
    }


def _of_channels(
    motion: Motion, found: Mapping[str, tuple[str, str, Array]], ending: str = "", group: str = ""
) -> Measured:
    return [
        (
            Measure(
                name=f"{channel.name}, {name}{ending}",
                unit=unit.format(channel.unit),
                group=group or channel.name,
                more=more.format(channel.more),
                channel=channel.name,
                statistic=name,
            ),
            float(value),
        )
        for name, (unit, more, numbers) in found.items()
        for channel, value in zip(motion.channels, numbers, strict=True)
    ]


def _symmetry(motion: Motion) -> Measured:
    """How much more one side does than the other, for every channel that both have."""
    first, second = motion.sides
    index = {channel.name: i for i, channel in enumerate(motion.channels)}
    found: Measured = []
    for channel in motion.channels:
        rest = channel.name.removeprefix(f"{first} ")
        other = index.get(f"{second} {rest}")
        if rest == channel.name or other is None:
            continue
        a, b = motion.change[:, index[channel.name]], motion.change[:, other]
        more = f"more on the {first} side"
        for name, unit, value, what in (
            ("range", channel.unit, np.ptp(a) - np.ptp(b), more),
            ("lowest", channel.unit, a.min() - b.min(), more),
            ("highest", channel.unit, a.max() - b.max(), more),
            ("mean distance", channel.unit, np.abs(a - b).mean(), "sides further apart"),
        ):
            full = f"symmetry of the {rest}, {name}, {first} against {second}"
            found.append((Measure(full, unit, "symmetry", what), float(value)))
    return found


def distance(motion: Motion) -> Array:
    """(T,) how far the posture is from that of the start: root mean square of the angles, in degrees."""
    angles = [i for i, channel in enumerate(motion.channels) if channel.unit == DEGREES]
    return np.asarray(np.sqrt(np.square(motion.change[:, angles]).mean(1)))


def farthest(motion: Motion) -> int:
    """Frame of the posture that is farthest from the start, where the way out ends."""
    return int(distance(motion).argmax())


def tempo(motion: Motion) -> Measured:
    """Duration, the way out to the farthest posture and back, and pauses; the speed is that of all angles together."""
    away, rate, frames = distance(motion), motion.rate, len(motion.values)
    angles = [i for i, channel in enumerate(motion.channels) if channel.unit == DEGREES]
    speed = np.sqrt(np.square(motion.speed[:, angles]).mean(1))
    fast, far = float(np.quantile(speed, 0.95)), farthest(motion)
    times = {
        "duration": ("s", "longer", frames / rate),
        "way out": ("s", "longer", far / rate),
        "way back": ("s", "longer", (frames - far) / rate),
        "way out, share": ("share of the duration", "longer", far / frames),
        "pauses": ("share of the duration", "more rest", float((speed <= _IDLE * fast).mean())),
        "held at the farthest": ("s", "longer", float((away > _HELD * away.max()).sum() / rate)),
        "fast": ("degrees/s", "faster", fast),
        "mean speed": ("degrees/s", "faster", float(speed.mean())),
    }
    found = [(Measure(f"tempo, {name}", unit, "tempo", more), value) for name, (unit, more, value) in times.items()]
    for name, of in (("spectral arc length", spectral_arc_length), ("log dimensionless jerk", log_dimensionless_jerk)):
        found.append((Measure(f"body, {name}", "", "smoothness", "smoother"), float(of(speed[:, None], rate)[0])))
    return found
