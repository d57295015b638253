"""Several people in a picture: followed through the recording, and one chosen."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_Array = NDArray[np.float64]

_LOST = 30
"""Frames after which somebody who was lost is not found again."""

_STEP = 0.6
"""Mean distance of a person's joints from one frame to the next, in body sizes, beyond which it is somebody else."""

_NEARLY = 0.7
"""Share of the chosen person's size × time from which another is mentioned."""


@dataclass(frozen=True)
class Person:
    """One person in one frame.

    Attributes:
        joints: (J, 2 or 3), NaN where a joint is missing.
        confidence: (J,); None if there is none.
        name: what the file calls this person in all frames; None if it does not tell them apart.
    """

    joints: _Array
    confidence: _Array | None = None
    name: Hashable | None = None

    @property
    def size(self) -> float:
        """Diagonal of the box around the joints; 0 if none is there."""
        there = self.joints[~np.isnan(self.joints).any(1)]
        return float(np.linalg.norm(np.ptp(there, axis=0))) if len(there) else 0.0


@dataclass
class _Track:
    members: dict[int, Person] = field(default_factory=dict)
    last: int = 0

    def add(self, frame: int, person: Person) -> None:
        self.members[frame], self.last = person, frame

    @property
    def weight(self) -> float:
        return sum(person.size for person in self.members.values())


def choose(frames: Sequence[Sequence[Person]]) -> tuple[_Array, _Array | None, tuple[str, ...]]:
    """Follow people and choose the one whose size, summed over the frames, is the largest.

    Args:
        frames: for each frame, people with equally many joints; at least one person in all.

    Returns:
        Joints (T, J, C), NaN where that person is not there; confidence (T, J) or None; what was chosen, if there was
        a choice.
    """
    if all(len(people) <= 1 for people in frames):
        tracks = [_Track({at: people[0] for at, people in enumerate(frames) if people})]
    else:
        tracks = sorted(_named(frames) or _followed(frames), key=lambda track: -track.weight)
    members = tracks[0].members
    some = next(iter(members.values()))
    joints = np.full((len(frames), *some.joints.shape), np.nan)
    for at, person in members.items():
        joints[at] = person.joints
    confidence = None
    if some.confidence is not None:
        confidence = np.zeros(joints.shape[:2])
        for at, person in members.items():
            confidence[at] = person.confidence
    return joints, confidence, _told(frames, tracks)


def _named(frames: Sequence[Sequence[Person]]) -> list[_Track]:
    """Tracks by the names that the file gives; none if somebody has no name, or two in a frame have the same."""
    tracks: dict[Hashable, _Track] = {}
    for at, people in enumerate(frames):
        names = [person.name for person in people]
        if None in names or len(set(names)) < len(names):
            return []
        for person in people:
            tracks.setdefault(person.name, _Track()).add(at, person)
    return list(tracks.values())


def _followed(frames: Sequence[Sequence[Person]]) -> list[_Track]:
    """Tracks by distance: the nearest pairs of one before and one now, each in body sizes."""
    tracks: list[_Track] = []
    for at, people in enumerate(frames):
        alive = [track for track in tracks if at - track.last <= _LOST]
        pairs = [
            (_distance(track, at, person), i, j) for i, track in enumerate(alive) for j, person in enumerate(people)
        ]
        taken: tuple[set[int], set[int]] = (set(), set())
        for distance, i, j in sorted(pairs):
            if distance < 1 and i not in taken[0] and j not in taken[1]:
                alive[i].add(at, people[j])
                taken[0].add(i)
                taken[1].add(j)
        for j in sorted(set(range(len(people))) - taken[1]):
            tracks.append(_Track())
            tracks[-1].add(at, people[j])
    return tracks


def _distance(track: _Track, at: int, person: Person) -> float:
    """Mean distance of common joints, as a share of how far they may be by now; infinite without common joints."""
    before = track.members[track.last]
    apart = np.linalg.norm(before.joints - person.joints, axis=1)
    apart = apart[~np.isnan(apart)]
    reach = _STEP * max(before.size, person.size) * np.sqrt(at - track.last)
    return float(apart.mean() / reach) if len(apart) and reach > 0 else np.inf


def _told(frames: Sequence[Sequence[Person]], tracks: list[_Track]) -> tuple[str, ...]:
    most = max(len(people) for people in frames)
    if most < 2:
        return ()
    told = (
        f"up to {most} people in a frame: the one that is largest and longest in sight was taken, in "
        f"{len(tracks[0].members)} of {len(frames)} frames"
    )
    if len(tracks) > 1 and tracks[1].weight > _NEARLY * tracks[0].weight:
        return told, "another person is nearly as large and as long in sight: see that the right one was taken"
    return (told,)
