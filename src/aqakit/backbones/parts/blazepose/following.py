"""The subject followed from frame to frame, as BlazePose is meant to be run, and searched for where it was lost.

In most frames one call of the second network suffices: the points of a frame tell the region of the next. Frames in
which it sees no body, or in which the body jumps, are *hard*: there regions from both neighbours and from the detector,
on the whole frame and on turned close-ups, are all tried, and the likeliest sequence of them is taken (Viterbi).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from aqakit.backbones.parts.blazepose.detection import Candidate
from aqakit.backbones.parts.blazepose.networks import Seen
from aqakit.backbones.parts.blazepose.regions import Image, Region, between, difference

PRESENT = 0.5
"""Presence under which the body is lost."""

CHAIN = 12
"""Frames that are followed from one region of the detector; chains of a block are computed at the same time."""

REACH = 1.0
"""Seconds of a gap that is searched through; of a longer one, only the ends are, until the body is not found."""

STEP = 4
"""Frames of such an end that are searched at once."""

_LEAST = 0.3  # confidence of the detector in a hard frame
_MOST = 6  # regions that are looked at in a hard frame
_ABSENT = 2.5  # cost of a frame without the body: as of a presence of .08


class Sees(Protocol):
    """The two networks."""

    def candidates(self, picture: Image, least: float) -> list[Candidate]:
        """Bodies in a picture."""

    def candidates_in(self, picture: Image, region: Region, least: float) -> list[Candidate]:
        """Bodies in a region of it."""

    def joints(self, picture: Image, region: Region) -> Seen:
        """The joints of the body in a region."""


class Frame(NamedTuple):
    """One frame: its number, its picture, and the subject's region if the detector found it there."""

    number: int
    picture: Image
    hint: Region | None


@dataclass
class Follower:
    """Follows one body through blocks of frames, in order.

    Attributes:
        networks: which see it.
        rate: frames per second.
        pool: computes what is independent at the same time; the result does not depend on it.
        last: what was seen last, and how many frames ago.
    """

    networks: Sees
    rate: float
    pool: Executor
    last: Seen | None = None
    ago: int = 0

    def follow(self, frames: Sequence[Frame]) -> list[Seen | None]:
        """Return what is seen of the body in the frames of one block; None where it is lost."""
        if not frames:
            return []
        starts = self._starts(frames)
        parts = [frames[a:b] for a, b in zip(starts, [*starts[1:], len(frames)])]
        before = self.last.next if self.last is not None and self.ago == 0 else None
        carried = [before] + [None] * (len(parts) - 1)
        chains = self.pool.map(self._chain, parts, carried)
        found = [one for chain in chains for one in chain]
        self._search(frames, found)
        seen = [at for at, one in enumerate(found) if one is not None]
        if seen:
            self.last, self.ago = found[seen[-1]], len(frames) - 1 - seen[-1]
        else:
            self.ago += len(frames)
        return found

    def _starts(self, frames: Sequence[Frame]) -> list[int]:
        """Where chains begin: with the block, and at regions of the detector that are far enough from each other."""
        starts = [0]
        for at, frame in enumerate(frames):
            if frame.hint is not None and at - starts[-1] >= CHAIN:
                starts.append(at)
        return starts

    def _chain(self, frames: Sequence[Frame], before: Region | None) -> list[Seen | None]:
        """Follow from one frame to the next; where the body is lost, go on at the next region of the detector."""
        found: list[Seen | None] = []
        region = before
        for frame in frames:
            seen = self._look(frame.picture, region) if region is not None else None
            if seen is None and frame.hint is not None:
                seen = self._settled(frame.picture, frame.hint)
            found.append(seen)
            region = seen.next if seen is not None else None
        return found

    def _look(self, picture: Image, region: Region) -> Seen | None:
        seen = self.networks.joints(picture, region)
        return seen if seen.presence >= PRESENT and seen.next.is_usable else None

    def _settled(self, picture: Image, region: Region) -> Seen | None:
        """Look twice: the second time in the region that the first look tells, as a frame before would."""
        first = self._look(picture, region)
        return (self._look(picture, first.next) or first) if first is not None else None

    def _search(self, frames: Sequence[Frame], found: list[Seen | None]) -> None:
        """Search hard frames, and write into ``found`` what is there."""
        for first, last in self._hard(frames, found):
            left = found[first - 1] if first else self._recent()
            right = found[last] if last < len(found) else None
            if left is None and right is None and all(frame.hint is None for frame in frames[first:last]):
                continue
            whole = last - first <= max(REACH * self.rate, STEP) and (left is None) == (right is None)
            if whole:
                found[first:last] = self._likeliest(frames[first:last], left, right, found[first:last])
                continue
            self._from_end(frames, found, range(first, last), left)
            self._from_end(frames, found, range(last - 1, first - 1, -1), right)

    def _recent(self) -> Seen | None:
        return self.last if self.ago < REACH * self.rate else None

    def _from_end(self, frames: Sequence[Frame], found: list[Seen | None], order: range, seen: Seen | None) -> None:
        """Search on from one end of a gap, a few frames at once, until the body is not found in them."""
        for place in range(0, len(order), STEP):
            part = order[place : place + STEP]
            if seen is None or all(found[at] is not None for at in part):
                return
            some = self._likeliest([frames[at] for at in part], seen, None, [found[at] for at in part])
            for at, one in zip(part, some):
                found[at] = one
            seen = some[-1]

    def _hard(self, frames: Sequence[Frame], found: Sequence[Seen | None]) -> list[tuple[int, int]]:
        """Runs of frames, first and one past the last, in which the body is lost or jumps."""
        hard = [one is None for one in found]
        for at in range(1, len(found)):
            before, here = found[at - 1], found[at]
            if before is not None and here is not None and self._jump(before.next, here.next, 1) > 0.5:
                for near in range(max(at - 2, 0), min(at + 2, len(found))):
                    hard[near] = True
        runs: list[tuple[int, int]] = []
        for at, one in enumerate(hard):
            if one and runs and runs[-1][1] == at:
                runs[-1] = (runs[-1][0], at + 1)
            elif one:
                runs.append((at, at + 1))
        return runs

    def _jump(self, first: Region, second: Region, frames: int) -> float:
        """Cost of a change of region: 0 as long as a body can move so fast, as in a somersault."""
        seconds = frames / self.rate
        off = difference(first, second)
        return (
            4 * max(0.0, off.distance - 0.1 - 3 * seconds)
            + 4 * max(0.0, off.size - 0.1 - 3 * seconds)
            + 2 * max(0.0, off.turn - 0.2 - 18 * seconds)
        )

    def _likeliest(
        self, frames: Sequence[Frame], left: Seen | None, right: Seen | None, found: Sequence[Seen | None]
    ) -> list[Seen | None]:
        """Return the likeliest sequence for hard frames between two that are not, of which one may be None."""
        ends = (left.next if left else None, right.next if right else None)
        places = [_between(*ends, (at + 1) / (len(frames) + 1), frame.hint) for at, frame in enumerate(frames)]
        tried: list[list[Seen]] = [[one] if one is not None else [] for one in found]
        for order, start in ((range(len(frames)), ends[0]), (range(len(frames) - 1, -1, -1), ends[1])):
            for at, seen in zip(order, self._onwards([frames[at] for at in order], start)):
                tried[at].append(seen)
        looks = self.pool.map(self._around, frames, places)
        for at, more in enumerate(looks):
            tried[at] += more
        best = self._path(tried, places, ends)
        again = [
            self._neighbours(frames[at], best[at - 1] if at else left, best[at + 1] if at + 1 < len(best) else right)
            if best[at] is None else [] for at in range(len(frames))
        ]  # fmt: skip
        for at, more in enumerate(again):
            tried[at] += more
        return self._path(tried, places, ends) if any(again) else best

    def _neighbours(self, frame: Frame, *around: Seen | None) -> list[Seen]:
        return [self.networks.joints(frame.picture, one.next) for one in around if one is not None]

    def _onwards(self, frames: Sequence[Frame], region: Region | None) -> Iterator[Seen]:
        """Follow a region through frames as long as there may be something."""
        for frame in frames:
            if region is None or not region.is_usable:
                return
            seen = self.networks.joints(frame.picture, region)
            yield seen
            if seen.presence < 0.1:
                return
            region = seen.next

    def _around(self, frame: Frame, place: Region | None) -> list[Seen]:
        """What there is in a frame near a place, by the detector on the whole frame and on turned close-ups."""
        found = self.networks.candidates(frame.picture, _LEAST)
        if place is not None:
            for quarter in range(4):
                close = Region(place.x, place.y, 1.6 * place.side, quarter * math.pi / 2)
                found += self.networks.candidates_in(frame.picture, close, _LEAST)[:2]
            found = [one for one in found if difference(place, one.region).distance < 1]
        found.sort(key=lambda one: -one.confidence)
        regions = [one.region for one in found] + ([frame.hint] if frame.hint is not None else [])
        kept: list[Region] = []
        for region in regions:
            if all(_unlike(region, other) for other in kept):
                kept.append(region)
        return [self._refined(frame.picture, region) for region in kept[:_MOST]]

    def _refined(self, picture: Image, region: Region) -> Seen:
        """The better of the first look and a second one, in the region that the first tells."""
        first = self.networks.joints(picture, region)
        if not first.next.is_usable:
            return first
        second = self.networks.joints(picture, first.next)
        return second if second.presence >= first.presence - 0.1 and second.next.is_usable else first

    def _path(
        self, tried: Sequence[Sequence[Seen]], places: Sequence[Region | None], ends: tuple[Region | None, Region | None]
    ) -> list[Seen | None]:
        """Return one of each frame's answers, or None, so that together they cost least."""
        states = [[*(one for one in some if one.next.is_usable), None] for some in tried]
        where = [[one.next if one else place for one in some] for some, place in zip(states, places)]
        total: list[float] = [0.0]
        before: Sequence[Region | None] = [ends[0]]
        back: list[list[int]] = []
        for some, here in zip(states, where):
            steps = [[total[k] + self._step(old, new) for k, old in enumerate(before)] for new in here]
            back.append([int(np.argmin(step)) for step in steps])
            total = [min(step) + _cost(one) for step, one in zip(steps, some)]
            before = here
        total = [sum_ + self._step(old, ends[1]) for sum_, old in zip(total, before)]
        at = int(np.argmin(total))
        chosen: list[Seen | None] = []
        for some, came in zip(reversed(states), reversed(back)):
            chosen.append(some[at])
            at = came[at]
        return chosen[::-1]

    def _step(self, old: Region | None, new: Region | None) -> float:
        return 0.0 if old is None or new is None else min(self._jump(old, new, 1), 6.0)


def _cost(seen: Seen | None) -> float:
    return _ABSENT if seen is None else -math.log(max(seen.presence, 1e-3))


def _between(left: Region | None, right: Region | None, share: float, hint: Region | None) -> Region | None:
    if hint is not None:
        return hint
    if left is None or right is None:
        return left or right
    return between(left, right, share)


def _unlike(one: Region, other: Region) -> bool:
    off = difference(one, other)
    return off.distance > 0.12 or off.size > 0.2 or off.turn > 0.25
