"""Find the repetitions of a movement in a long recording.

Most exercises begin and end in the same posture. That posture is found first: the one the recording comes back to most.
The distance from it rises and falls once in each repetition. A repetition is a peak of the distance that stands out on
both sides; it begins and ends where the body comes to rest, or half-way to its neighbour where it does not.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks
from scipy.spatial.distance import cdist

from aqakit.errors import DataError
from aqakit.recordings import signals, skeletons
from aqakit.recordings.clip_plan import thinned
from aqakit.recordings.skeletons import Body
from aqakit.types import Floats

RATE = 30.0
"""Rows per second of a recording that does not tell."""

_SMOOTH = 0.1  # seconds; standard deviation of the Gaussian over postures
_SHARP = 0.1  # seconds; the same for speeds, which say where a repetition begins
_STANDS_OUT = 0.4  # of the typical height of a peak: how far the distance must fall on both sides of a repetition
_NEAR = 0.25  # of its height: so far from rest, a repetition is about to end
_STILL, _MOVING = 0.03, 0.15  # of the highest speed: at the lower the body rests, at the higher it does not
_MORE = 1.5  # times the usual speed of a pause is movement
_ALIKE = 0.15  # of the range of postures: closer than this is the same posture
_SHORTEST = 0.4  # seconds
_LOOKS = 400  # postures that are compared with all others


@dataclass(frozen=True)
class Repetition:
    """First and last row (both included) of a repetition, and their times in seconds."""

    first: int
    last: int
    start: float
    end: float


@dataclass(frozen=True)
class Repetitions:
    """What was found in a recording.

    Attributes:
        found: the repetitions in order of time.
        away: (T,) distance from the posture of rest, in body sizes (joints) or standard deviations (tables).
        rate: rows per second.
        notes: what was assumed.
    """

    found: tuple[Repetition, ...]
    away: Floats
    rate: float
    notes: tuple[str, ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each repetition: its number, first and last row, start, end and duration in seconds."""
        return [{"repetition": k, **asdict(one), "seconds": one.end - one.start} for k, one in enumerate(self.found, 1)]


def find(path: Path | str, *, layout: str | None = None, rate: float | None = None) -> Repetitions:
    """Find the repetitions in a file of joints, or in a table of angles or other channels.

    Args:
        path: the recording.
        layout: which joint is which, if the file does not tell.
        rate: rows per second, if the file does not tell (30).

    Raises:
        DataError: the recording cannot be read.
    """
    path = Path(path)
    postures, stored, notes = _postures(path, layout)
    if len(postures) < 4:
        raise DataError(f"{path}: {len(postures)} rows are too few to find repetitions in")
    if rate is None and stored is None:
        notes = (*notes, f"the file does not tell its rate; {RATE:g} rows per second are assumed, --rate gives another")
    pace = rate or stored or RATE
    found, away = within(postures, pace)
    return Repetitions(
        tuple(Repetition(a, b, a / pace, (b + 1) / pace) for a, b in found),
        away,
        pace,
        notes,
    )


def within(postures: Floats, rate: float) -> tuple[list[tuple[int, int]], Floats]:
    """Find repetitions in postures (T, D) at ``rate`` Hz.

    Returns:
        Their first and last rows, and the distance from rest (T,).
    """
    smooth = gaussian_filter1d(postures, _SMOOTH * rate, axis=0, mode="nearest")
    away = np.linalg.norm(smooth - _rest(smooth), axis=1)
    sharp = gaussian_filter1d(postures, _SHARP * rate, axis=0, mode="nearest")
    speed = np.linalg.norm(np.gradient(sharp, axis=0), axis=1)
    peaks = _peaks(away, rate)
    falls = [
        _falls(away, left, peak, right) for left, peak, right in zip([0, *peaks], peaks, [*peaks[1:], len(away) - 1])
    ]
    rests = zip([0, *(b for _, b in falls)], [*(a for a, _ in falls), len(away) - 1])
    borders = [_borders(speed, a, b) for a, b in rests]
    found = [(before, after) for (_, before), (after, _) in pairwise(borders)]
    return [(a, b) for a, b in found if b - a >= _SHORTEST * rate], away


def posture(body: Body) -> Floats:
    """Return where the joints are, (T, D), in body sizes: relative to the pelvis sideways, to the floor in height."""
    joints = body.joints.astype(np.float64)
    pelvis = body.layout.of("pelvis") if body.layout else None
    centre = joints[:, list(pelvis)].mean(1) if pelvis else joints.mean(1)  # (T, 2 or 3)
    height = {"-y": 1, "+y": 1, "+z": 2}[body.up]
    centre[:, height] = np.median(centre[:, height])
    size = float(np.sqrt(np.square(joints - joints.mean(1, keepdims=True)).sum(-1).mean())) or 1.0
    return np.asarray((joints - centre[:, None]).reshape(len(joints), -1) / size)


def _postures(path: Path, layout: str | None) -> tuple[Floats, float | None, tuple[str, ...]]:
    try:
        body = skeletons.read(path, layout=layout)
    except DataError as error:
        table = _table(path, error)
        spread = table.std(0)
        return (table - table.mean(0)) / np.where(spread > 0, spread, 1), None, ()
    return posture(body), body.rate, body.notes


def _table(path: Path, otherwise: DataError) -> Floats:
    """Read a table of channels; if it is none either, say what was wrong with its joints."""
    try:
        return signals.kinematics(path).astype(np.float64)
    except DataError:
        raise otherwise from None


def _rest(postures: Floats) -> Floats:
    """Return the posture (D,) that the recording comes back to most; the first and the last count for more."""
    looks = postures[thinned(len(postures), _LOOKS)]
    apart = cdist(looks, looks)
    near = apart <= _ALIKE * np.quantile(apart, 0.95)
    score = near.mean(1) + 0.25 * (near[:, 0].astype(float) + near[:, -1])
    best = int(score.argmax())
    return np.asarray(np.median(looks[near[best]], axis=0))


def _peaks(away: Floats, rate: float) -> list[int]:
    typical = np.quantile(away, 0.95)
    if typical == 0:
        return []
    found, _ = find_peaks(away, prominence=_STANDS_OUT * typical, distance=max(1, _SHORTEST * rate))
    return [int(k) for k in found]


def _falls(away: Floats, left: int, peak: int, right: int) -> tuple[int, int]:
    """Return the rows before and after a peak at which the distance has fallen to near the lowest on that side."""
    first, last = (_fall(side) for side in (away[left : peak + 1][::-1], away[peak : right + 1]))
    return peak - first, peak + last


def _fall(away: Floats) -> int:
    low = away.min() + _NEAR * (away[0] - away.min())
    return int(np.argmax(away <= low))


def _borders(speed: Floats, after: int, before: int) -> tuple[int, int]:
    """Return where one repetition ends and the next begins, between rows in which both are close to rest."""
    between = speed[after : before + 1]
    still = np.clip(_MORE * np.quantile(between, 0.25), _STILL * speed.max(), _MOVING * speed.max())
    rests = np.flatnonzero(between <= still)
    if not len(rests):
        middle = after + int(between.argmin())
        return middle, middle
    return after + int(rests[0]), after + int(rests[-1])
