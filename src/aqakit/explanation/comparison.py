"""Compare two recordings of a movement: aligned in time, where they differ, and by how much.

Dynamic time warping (Sakoe and Chiba, Dynamic programming algorithm optimization for spoken word recognition, IEEE
Transactions on Acoustics, Speech, and Signal Processing 1978, https://doi.org/10.1109/TASSP.1978.1163055; the symmetric
form with equal weights) pairs every moment of one recording with a moment of the other, in order. Of each channel, such
as the angle of a knee, the difference in all pairs is taken: its mean, and the largest with its time in both
recordings. Channels of different units are ranked by the mean difference in parts of what is much for their unit: 15
degrees, a tenth of a body length, or the spread of a column without a unit.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from aqakit.backbones import movement
from aqakit.backbones.parts.movement.posture import missing
from aqakit.errors import DataError
from aqakit.recordings import signals, skeletons
from aqakit.recordings.clip_plan import thinned
from aqakit.recordings.repetitions import RATE
from aqakit.types import Floats

_LONGEST = 1500
"""Moments of a recording that are paired; of longer ones, as many evenly over the time."""
_LEAST = {"degrees": 5.0, "body lengths": 0.02}
"""Least spread of a channel by its unit, for the alignment: what hardly moves does not tell what belongs together."""
_MUCH = {"degrees": 15.0, "body lengths": 0.1}
"""A large difference by its unit, for the order of the rows."""


@dataclass(frozen=True)
class Difference:
    """How a channel differs between two recordings, ``b`` − ``a``, in its unit.

    Attributes:
        channel: such as ``left knee angle``.
        unit: of the differences and values.
        mean: mean of the absolute difference over all pairs of moments.
        largest: the difference that is largest in amount, and when it is: ``at_a`` and ``at_b``, in seconds.
        a: value in the first recording then; ``b`` in the second.
        share: mean difference in parts of a large one; the rows are in this order.
    """

    channel: str
    unit: str
    mean: float
    largest: float
    at_a: float
    at_b: float
    a: float
    b: float
    share: float


@dataclass(frozen=True)
class Track:
    """Channels of one recording: ``values`` (T, C) at ``rate`` Hz, their names and units."""

    values: Floats
    rate: float
    names: tuple[str, ...]
    units: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """Two recordings side by side.

    Attributes:
        differences: of every channel, the most different first.
        pairs: (P, 2) rows of ``a`` and ``b`` that belong together.
        a: the channels of the first recording.
        b: those of the second.
        notes: what was assumed, and how the durations differ.
    """

    differences: tuple[Difference, ...]
    pairs: NDArray[np.intp]
    a: Track
    b: Track
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; the pairs in seconds."""
        times = self.pairs / np.array([self.a.rate, self.b.rate])
        return {
            "seconds": [len(self.a.values) / self.a.rate, len(self.b.values) / self.b.rate],
            "differences": [asdict(one) for one in self.differences],
            "pairs": np.round(times, 4).tolist(),
            "notes": list(self.notes),
        }


def compare(
    first: Path | str, second: Path | str, *, layout: str | None = None, rate: float | None = None
) -> Comparison:
    """Compare two files of joints by the channels of the backbone ``movement``, or two tables by their columns.

    Args:
        first: the recording to compare with, ``a``.
        second: the other, ``b``.
        layout: which joint is which, if the files do not tell.
        rate: rows per second, if the files do not tell (30).

    Raises:
        DataError: a recording cannot be read, or the two have different channels.
    """
    a, b = (track(Path(path), layout, rate) for path in (first, second))
    return compared(a, b, str(first), str(second))


def compared(a: Track, b: Track, first: str = "the first", second: str = "the second") -> Comparison:
    """Compare two recordings that were read; ``first`` and ``second`` are their names, for messages.

    Raises:
        DataError: they have different channels.
    """
    if a.names != b.names:
        raise DataError(
            f"{first} and {second} cannot be compared: the first has {len(a.names)} channels ({_some(a.names)}), the "
            f"second {len(b.names)} ({_some(b.names)})"
        )
    return _compared(a, b)


def track(path: Path, layout: str | None = None, rate: float | None = None) -> Track:
    """Read a recording as channels over time.

    Raises:
        DataError: it cannot be read.
    """
    try:
        body = skeletons.read(path, layout=layout)
    except DataError as error:
        return _columns(path, rate, error)
    toes = body.layout is not None and not missing(body.layout, True)
    reader = movement.build(
        features="channels", dimensions=body.joints.shape[2], toes=toes, side="given", layout=layout, rate=rate or RATE
    )
    motion = reader.motion(path)
    names, units = zip(*((channel.name, channel.unit) for channel in motion.channels))
    notes = body.notes if body.rate or rate else (*body.notes, _assumed(path))
    return Track(motion.values, motion.rate, names, units, tuple(notes))


def warp(a: Floats, b: Floats) -> NDArray[np.intp]:
    """Pair the rows of ``a`` (T, D) and ``b`` (S, D) by dynamic time warping: (P, 2), from (0, 0) to the last rows."""
    cost = cdist(a, b)
    total = np.full((len(a) + 1, len(b) + 1), np.inf)
    total[0, 0] = 0
    for diagonal in range(2, len(a) + len(b) + 1):  # cells of an antidiagonal do not depend on each other
        i = np.arange(max(1, diagonal - len(b)), min(len(a), diagonal - 1) + 1)
        j = diagonal - i
        before = np.minimum(np.minimum(total[i - 1, j], total[i, j - 1]), total[i - 1, j - 1])
        total[i, j] = cost[i - 1, j - 1] + before
    return _path(total)


def _path(total: Floats) -> NDArray[np.intp]:
    i, j = total.shape[0] - 1, total.shape[1] - 1
    pairs = [(i, j)]
    while (i, j) != (1, 1):
        i, j = min(((i - 1, j - 1), (i - 1, j), (i, j - 1)), key=lambda cell: total[cell])
        pairs.append((i, j))
    return np.array(pairs[::-1]) - 1


def _columns(path: Path, rate: float | None, otherwise: DataError) -> Track:
    try:
        values = signals.kinematics(path).astype(np.float64)
    except DataError:
        raise otherwise from None
    names = tuple(f"column {k}" for k in range(1, values.shape[1] + 1))
    return Track(values, rate or RATE, names, ("",) * len(names), () if rate else (_assumed(path),))


def _assumed(path: Path) -> str:
    return f"{path} does not tell its rate; {RATE:g} rows per second are assumed, --rate gives another"


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + ", …" * (len(names) > 3)


def _compared(a: Track, b: Track) -> Comparison:
    spread = np.concatenate([a.values, b.values]).std(0)
    spread = np.maximum(spread, [_LEAST.get(unit, 1e-12) for unit in a.units])
    rows_a, rows_b = (thinned(len(x.values), _LONGEST) for x in (a, b))
    pairs = warp(a.values[rows_a] / spread, b.values[rows_b] / spread)
    pairs = np.stack([rows_a[pairs[:, 0]], rows_b[pairs[:, 1]]], 1)
    apart = b.values[pairs[:, 1]] - a.values[pairs[:, 0]]  # (P, C)
    much = [_MUCH.get(unit, float(width)) for unit, width in zip(a.units, spread, strict=True)]
    found = [_difference(a, b, pairs, apart, much, k) for k in range(len(a.names))]
    found.sort(key=lambda one: -one.share)
    return Comparison(tuple(found), pairs, a, b, (*dict.fromkeys((*a.notes, *b.notes)), _pace(a, b)))


def _difference(
    a: Track, b: Track, pairs: NDArray[np.intp], apart: Floats, much: list[float], channel: int
) -> Difference:
    row = int(np.abs(apart[:, channel]).argmax())
    i, j = pairs[row].tolist()
    mean = float(np.abs(apart[:, channel]).mean())
    return Difference(
        channel=a.names[channel],
        unit=a.units[channel],
        mean=mean,
        largest=float(apart[row, channel]),
        at_a=i / a.rate,
        at_b=j / b.rate,
        a=float(a.values[i, channel]),
        b=float(b.values[j, channel]),
        share=mean / much[channel],
    )


def _pace(a: Track, b: Track) -> str:
    long_a, long_b = len(a.values) / a.rate, len(b.values) / b.rate
    how = "longer" if long_b > long_a else "shorter"
    if round(long_a, 2) == round(long_b, 2):
        return f"Both last {long_a:.2f} s."
    return f"The first lasts {long_a:.2f} s; the second is {abs(long_b - long_a):.2f} s {how}."
