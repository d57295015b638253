"""Bodies followed through the frames in which the detector looked, and which of them is the subject."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aqakit.backbones.parts.blazepose.detection import Candidate
from aqakit.backbones.parts.blazepose.regions import Region, difference
from aqakit.errors import OptionError

PATIENCE = 1.0
"""Seconds after which a body that was not found again is another one."""

SIMILAR = 0.5
"""Share of the subject's size × time from which on another body is said to be likely the subject too."""

RULES = ("largest", "central", "moving")


class Subject(NamedTuple):
    """Which body is meant.

    Attributes:
        rule: ``largest`` by size × time, ``central``, ``moving``, or ``at`` for the one at a place.
        x, y: the place in pixels, or in shares of the picture if both are below 1.
        time: seconds at which it is there; None for most of the time.
    """

    rule: str = "largest"
    x: float = 0.0
    y: float = 0.0
    time: float | None = None

    @classmethod
    def parse(cls, text: str) -> Subject:
        """Read ``largest``, ``central``, ``moving``, ``x,y`` or ``x,y@seconds``.

        >>> Subject.parse("320,180@2.5")
        Subject(rule='at', x=320.0, y=180.0, time=2.5)

        Raises:
            OptionError: it is none of them.
        """
        if text in RULES:
            return cls(text)
        place, mark, time = text.partition("@")
        try:
            x, y = (float(part) for part in place.split(","))
            seconds = float(time) if mark else None
        except ValueError:
            x, y, seconds = math.nan, math.nan, None
        if not all(math.isfinite(one) and one >= 0 for one in (x, y, seconds or 0.0)):
            raise OptionError(
                f"subject {text!r} should be {', '.join(RULES)}, or a place x,y in pixels, or x,y@t with the second t "
                "at which it is there"
            )
        return cls("at", x, y, seconds)


@dataclass
class Track:
    """One body: the frames in which it was found, in order, its region there, and the confidence."""

    frames: list[int] = field(default_factory=list)
    found: list[Candidate] = field(default_factory=list)

    def add(self, frame: int, one: Candidate) -> None:
        """Add what was found in a later frame."""
        self.frames.append(frame)
        self.found.append(one)

    @property
    def middles(self) -> NDArray[np.float64]:
        """(n, 2) where it was."""
        return np.array([one.region[:2] for one in self.found])

    @property
    def sides(self) -> NDArray[np.float64]:
        """(n,) how large it was."""
        return np.array([one.region.side for one in self.found])


def link(looked: Sequence[tuple[int, Sequence[Candidate]]], times: NDArray[np.float64]) -> list[Track]:
    """Follow bodies from frame to frame: each goes on where it is most alike, if it is alike enough.

    Args:
        looked: frames in order, and the bodies found in each.
        times: (T,) seconds of all frames.
    """
    tracks: list[Track] = []
    for frame, found in looked:
        alive = [track for track in tracks if times[frame] - times[track.frames[-1]] <= PATIENCE]
        pairs = sorted(
            (cost, at, number)
            for at, track in enumerate(alive)
            for number, one in enumerate(found)
            if (cost := _cost(track, one, float(times[frame] - times[track.frames[-1]]))) < 1
        )
        used: set[int] = set()
        taken: set[int] = set()
        for _, at, number in pairs:
            if at not in used and number not in taken:
                used.add(at)
                taken.add(number)
                alive[at].add(frame, found[number])
        for number, one in enumerate(found):
            if number not in taken:
                tracks.append(Track([frame], [one]))
    return tracks


def _cost(track: Track, one: Candidate, seconds: float) -> float:
    """How unlike a body is the one last seen; from 1 on it is another."""
    off = difference(track.found[-1].region, one.region)
    return math.hypot(off.distance / (0.3 + 2.5 * seconds), off.size / (0.5 + seconds))


def choose(
    tracks: Sequence[Track], subject: Subject, times: NDArray[np.float64], size: tuple[int, int]
) -> tuple[Track, str | None]:
    """Return the subject, as one track, and a sentence if another body is as likely.

    Tracks that follow one another are joined to the subject where a body of its size is seen while it is not.

    Args:
        tracks: at least one.
        subject: which one is meant.
        times: (T,) seconds of all frames.
        size: height and width of the picture.
    """
    scores = [_score(track, subject, times, size) for track in tracks]
    best = int(np.argmax(scores))
    chosen = Track(list(tracks[best].frames), list(tracks[best].found))
    for at in sorted(range(len(tracks)), key=lambda at: _away(tracks[at], tracks[best])):
        if at != best:
            chosen = _joined(chosen, tracks[at], times)
    rivals = [
        at for at, track in enumerate(tracks)
        if scores[at] >= SIMILAR * scores[best] and at != best and _beside(track, chosen)
    ]  # fmt: skip
    if subject.rule == "at" or not rivals:
        return chosen, None
    middle = np.median(tracks[max(rivals, key=lambda at: scores[at])].middles, 0)
    return chosen, (
        f"another body is almost as likely to be the subject, around x {middle[0]:.0f}, y {middle[1]:.0f}; "
        f"choose it with subject={middle[0]:.0f},{middle[1]:.0f}"
    )


def _score(track: Track, subject: Subject, times: NDArray[np.float64], size: tuple[int, int]) -> float:
    """How likely a track is the subject; 0 or more."""
    height, width = size
    sides = np.minimum(track.sides, max(size))  # a face that fills the picture has a body far beyond it
    weight = float((sides * [one.confidence for one in track.found]).sum())
    if subject.rule == "central":
        away = np.hypot(*((track.middles - [width / 2, height / 2]) / [width / 2, height / 2]).T)
        return float((len(track.frames) * np.exp(-4 * away**2)).mean())
    if subject.rule == "moving":
        return _path(track)
    if subject.rule == "at":
        shares = subject.x < 1 and subject.y < 1
        place = np.array([subject.x, subject.y]) * ([width, height] if shares else 1)
        off = np.hypot(*(track.middles - place).T) / track.sides
        if subject.time is None:
            return len(track.frames) * float(np.exp(-np.median(off)))
        late = np.abs(times[track.frames] - subject.time)
        return float(np.exp(-off - late).max())
    return weight


def _path(track: Track) -> float:
    """Pixels that the middle and the head's end of a body went, without the trembling of the detector."""
    ends = np.stack([[one.region.to_picture(np.array([[0.5, 0.5], [0.5, 0.1]])) for one in track.found]])[0]
    steps = np.linalg.norm(np.diff(ends, axis=0), axis=2).mean(1)
    return float(steps[steps > 0.03 * track.sides[1:]].sum())


def _away(one: Track, other: Track) -> int:
    """Frames between two tracks."""
    return max(one.frames[0] - other.frames[-1], other.frames[0] - one.frames[-1], 0)


def _joined(chosen: Track, other: Track, times: NDArray[np.float64]) -> Track:
    """Add of another track what may be the same body while it was not found: about as large, and not far away."""
    seconds = times[chosen.frames]
    known = dict(zip(chosen.frames, chosen.found))
    for frame, one in zip(other.frames, other.found):
        late = np.abs(seconds - times[frame])
        off = difference(chosen.found[int(late.argmin())].region, one.region)
        if late.min() > 0.2 and off.size < math.log(2.5) and off.distance < min(1 + late.min(), 2):
            known[frame] = one
    return Track(sorted(known), [known[frame] for frame in sorted(known)])


def _beside(one: Track, chosen: Track) -> bool:
    """Whether a track is another body, seen at the same time at another place, and not the same one found twice."""
    there = dict(zip(chosen.frames, chosen.found))
    off = [difference(there[k].region, c.region).distance for k, c in zip(one.frames, one.found) if k in there]
    return len(off) > 1 and float(np.median(off)) > 0.5


def near(track: Track, looked: Sequence[tuple[int, Sequence[Candidate]]]) -> dict[int, list[Region]]:
    """Return all regions in which the subject may have been found, by frame: the detector may be unsure of its turn.

    They are of about its size, and where it is in the nearest frame in which it was found.
    """
    found: dict[int, list[Region]] = {}
    own = np.array(track.frames)
    for frame, some in looked:
        at = int(np.abs(own - frame).argmin())
        off = [difference(track.found[at].region, one.region) for one in some]
        close = [one.region for one, far in zip(some, off) if far.distance < 0.6 and far.size < math.log(2.5)]
        if close:
            found[frame] = close[:3]
    return found
