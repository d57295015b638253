"""The subject followed from frame to frame, as BlazePose is meant to be run, and searched for where it was lost.

In most frames one call of the second network suffices: the points of a frame tell the region of the next. Frames in
which it sees no body, or in which the body jumps, are *hard*: there regions from both neighbours and from the detector,
on the whole frame and on turned close-ups, are all tried, and the likeliest sequence of them is taken (Viterbi).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from aqakit.backbones.parts.blazepose.detection import Candidate
from aqakit.backbones.parts.blazepose.likeliest import agree, jump, likely, path, places_between, unlike
from aqakit.backbones.parts.blazepose.networks import Seen
from aqakit.backbones.parts.blazepose.regions import Image, Region, difference

PRESENT = 0.5
"""Presence under which the body is lost."""

CHAIN = 16
"""Frames that are followed from one region of the detector; chains of a block are computed at the same time."""

REACH = 1.0
"""Seconds of a gap that is searched through; of a longer one, only the ends are, until the body is not found."""

STEP = 4
"""Frames of such an end that are searched at once."""

_LEAST = 0.3  # confidence of the detector in a hard frame
_MOST = 6  # regions that are looked at in a hard frame


class Sees(Protocol):
    """The two networks."""

    def candidates(self, picture: Image, least: float) -> list[Candidate]:
        """Bodies in a picture."""

    def candidates_in(self, picture: Image, region: Region, least: float) -> list[Candidate]:
        """Bodies in a region of it."""

    def joints(self, picture: Image, region: Region) -> Seen:
        """The joints of the body in a region."""


class Frame(NamedTuple):
    """One frame: its number, its picture, and regions in which the detector may have found the subject."""

    number: int
    picture: Image
    hints: tuple[Region, ...]


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

    def follow(self, frames: Sequence[Frame], *, more: bool) -> list[Seen | None]:
        """Return what is seen of the body in the frames of one block; None where it is lost.

        If there are ``more`` frames, the last ones are left out while the body is lost in them: they must be given
        again with the next, in which it may be found.
        """
        if not frames:
            return []
        starts = self._starts(frames)
        parts = [frames[a:b] for a, b in zip(starts, [*starts[1:], len(frames)])]
        before = self.last.next if self.last is not None and self.ago == 0 else None
        carried = [before] + [None] * (len(parts) - 1)
        chains = self.pool.map(self._chain, parts, carried)
        found = [one for chain in chains for one in chain]
        if more:
            found = found[: len(found) - self._open(found)]
        self._search(frames, found)
        seen = [at for at, one in enumerate(found) if one is not None]
        if seen:
            self.last, self.ago = found[seen[-1]], len(found) - 1 - seen[-1]
        else:
            self.ago += len(found)
        return found

    def _open(self, found: Sequence[Seen | None]) -> int:
        """How many frames at the end, in which the body is lost, are better searched together with the next ones."""
        lost = next((at for at, one in enumerate(reversed(found)) if one is not None), len(found))
        return min(lost, int(REACH * self.rate), len(found) // 2)

    def _starts(self, frames: Sequence[Frame]) -> list[int]:
        """Where chains begin: with the block, and at regions of the detector that are far enough from each other."""
        starts = [0]
        for at, frame in enumerate(frames):
            if frame.hints and at - starts[-1] >= CHAIN:
                starts.append(at)
        return starts

    def _chain(self, frames: Sequence[Frame], before: Region | None) -> list[Seen | None]:
        """Follow from one frame to the next; where the body is lost, go on at the next region of the detector."""
        found: list[Seen | None] = []
        region = before
        for frame in frames:
            seen = self._look(frame.picture, region) if region is not None else None
            if seen is None:
                some = [self._settled(frame.picture, hint) for hint in frame.hints]
                seen = max((one for one in some if one is not None), key=likely, default=None)
            found.append(seen)
            region = seen.next if seen is not None else None
        return found

    def _look(self, picture: Image, region: Region) -> Seen | None:
        seen = self.networks.joints(picture, region)
        return seen if seen.presence >= PRESENT and seen.next.is_usable else None

    def _settled(self, picture: Image, region: Region) -> Seen | None:
        """Look twice: the second time in the region that the first look tells, as a frame before would."""
        first = self._look(picture, region)
        if first is None or not unlike(region, first.next):
            return first
        return self._look(picture, first.next) or first

    def _search(self, frames: Sequence[Frame], found: list[Seen | None]) -> None:
        """Search hard frames, and write into ``found`` what is there."""
        for first, last in self._hard(frames, found):
            left = found[first - 1] if first else self._recent()
            right = found[last] if last < len(found) else None
            known = [at for at in range(first, last) if found[at] is not None or frames[at].hints]
            reach = max(REACH * self.rate, STEP)
            if left is not None and right is not None and (known or last - first <= reach):
                known = [first, last - 1]
            elif known and left is not None and known[0] - first <= reach:
                known[0] = first
            elif known and right is not None and last - known[-1] <= reach:
                known[-1] = last - 1
            begin, end = (known[0], known[-1] + 1) if known else (first, first)
            if known:
                ends = left if begin == first else None, right if end == last else None
                found[begin:end] = self._likeliest(frames[begin:end], *ends, found[begin:end])
            self._from_end(frames, found, range(end, last), found[end - 1] if end > first else left)
            self._from_end(frames, found, range(last - 1, end - 1, -1), right)
            self._from_end(frames, found, range(begin - 1, first - 1, -1), found[begin] if known else None)

    def _recent(self) -> Seen | None:
        return self.last if self.ago < REACH * self.rate else None

    def _from_end(self, frames: Sequence[Frame], found: list[Seen | None], order: range, seen: Seen | None) -> None:
        """Search on from one end of a gap, a few frames at once, until the body is not found in them.

        The last frame that is taken shows a body for sure: there is no other end to confirm what follows.
        """
        place, sure = 0, 0
        answers: list[Seen | None] = []
        while seen is not None and place < len(order):
            part = order[place : place + STEP]
            some = self._likeliest([frames[at] for at in part], seen, None, [found[at] for at in part])
            answers += some
            place += len(part)
            sure = max([sure, *(k + 1 for k, one in enumerate(answers) if one and one.presence >= PRESENT)])
            if place - sure >= 2 * STEP:
                break
            seen = next((one for one in reversed(some) if one is not None), None)
        for at, one in zip(order, answers[:sure]):
            found[at] = one

    def _hard(self, frames: Sequence[Frame], found: Sequence[Seen | None]) -> list[tuple[int, int]]:
        """Runs of frames, first and one past the last, in which the body is lost, jumps, or is not where it should be.

        Where an answer disagrees with the detector, all answers between two that agree with it are in doubt; and so are
        those between two jumps that are near each other.
        """
        hard = [one is None for one in found]
        doubtful, since, jumped = False, 0, -CHAIN
        for at, here in enumerate(found):
            before = found[at - 1] if at else None
            if before is not None and here is not None and jump(before.next, here.next, 1 / self.rate) > 0.5:
                begin = max(at - 2 if at - jumped > CHAIN else jumped, 0)
                hard[begin : at + 2] = [True] * len(hard[begin : at + 2])
                jumped = at
            if frames[at].hints and here is not None:
                agrees = any(agree(here.next, hint) for hint in frames[at].hints)
                if doubtful or not agrees:
                    hard[since : at + (not agrees)] = [True] * (at + (not agrees) - since)
                doubtful, since = not agrees, at + agrees
        return _runs(hard)

    def _likeliest(
        self, frames: Sequence[Frame], left: Seen | None, right: Seen | None, found: Sequence[Seen | None]
    ) -> list[Seen | None]:
        """Return the likeliest sequence for hard frames between two that are not; either of these may be None.

        First what following gives, from both ends and from all regions of the detector, forwards and backwards; then,
        where that is not enough, what the detector sees around the place on the frame itself.
        """
        ends = (left.next if left else None, right.next if right else None)
        places = [frame.hints or places_between(*ends, (k + 1) / (len(frames) + 1)) for k, frame in enumerate(frames)]
        tried: list[list[Seen]] = [[one] if one is not None else [] for one in found]
        hinted = [(at, hint) for at, frame in enumerate(frames) for hint in frame.hints]
        first = list(zip(hinted, self.pool.map(lambda one: self._refined(frames[one[0]].picture, one[1]), hinted)))
        starts = [(-1, 1, ends[0]), (len(frames), -1, ends[1])]
        starts += [(at, step, one.next) for (at, _), one in first for step in (1, -1)]
        known: dict[int, list[Seen]] = {}
        for (at, _), one in first:
            tried[at].append(one)
            known.setdefault(at, []).append(one)
        for answers in self.pool.map(lambda start: self._onwards(frames, known, *start), starts):
            for at, one in answers:
                tried[at].append(one)
        best = path(tried, places, ends, 1 / self.rate)
        weak = [at for at, one in enumerate(best) if one is None or one.presence < PRESENT]
        if not weak:
            return best
        around = [left, *best, right]
        for at, more in zip(weak, self.pool.map(lambda at: self._around(frames[at], places[at]), weak)):
            tried[at] += more + self._neighbours(frames[at], around[at], around[at + 2])
        return path(tried, places, ends, 1 / self.rate)

    def _neighbours(self, frame: Frame, *around: Seen | None) -> list[Seen]:
        return [self.networks.joints(frame.picture, one.next) for one in around if one is not None]

    def _onwards(
        self, frames: Sequence[Frame], hinted: Mapping[int, Sequence[Seen]], at: int, step: int, region: Region | None
    ) -> list[tuple[int, Seen]]:
        """Follow a region from a frame on, until there is nothing, or what the detector finds there is the same."""
        answers: list[tuple[int, Seen]] = []
        while region is not None and region.is_usable and 0 <= at + step < len(frames):
            at += step
            seen = self.networks.joints(frames[at].picture, region)
            answers.append((at, seen))
            region = seen.next if seen.presence >= 0.1 else None
            if any(not unlike(seen.next, one.next) for one in hinted.get(at, ())):
                break
        return answers

    def _around(self, frame: Frame, places: tuple[Region, ...]) -> list[Seen]:
        """What there is in a frame near a place, by the detector on the whole frame and on turned close-ups."""
        found = self.networks.candidates(frame.picture, _LEAST)
        if places:
            place = places[0]
            for quarter in range(4):
                close = Region(place.x, place.y, 1.6 * place.side, quarter * math.pi / 2)
                found += self.networks.candidates_in(frame.picture, close, _LEAST)[:2]
            found = [one for one in found if difference(place, one.region).distance < 1]
        found.sort(key=lambda one: -one.confidence)
        kept: list[Region] = []
        for region in (one.region for one in found):
            if all(unlike(region, other) for other in kept):
                kept.append(region)
        return [self._refined(frame.picture, region) for region in kept[:_MOST]]

    def _refined(self, picture: Image, region: Region) -> Seen:
        """The better of the first look and a second one, in the region that the first tells."""
        first = self.networks.joints(picture, region)
        if not first.next.is_usable:
            return first
        second = self.networks.joints(picture, first.next)
        return second if second.presence >= first.presence - 0.1 and second.next.is_usable else first


def _runs(hard: Sequence[bool]) -> list[tuple[int, int]]:
    """First, and one past the last, of each stretch of True."""
    edges = np.flatnonzero(np.diff(np.array([False, *hard, False]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist()))
