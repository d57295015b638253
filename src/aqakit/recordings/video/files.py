"""Video files: packets are scanned once, then decoded forwards for each request of frames."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from aqakit.errors import VideoError
from aqakit.recordings.video.clock import REORDERED, Shown, constant_rate, goes_back, spacing
from aqakit.recordings.video.containers import choices, decoded, opened, packets, seek
from aqakit.recordings.video.info import MAX_PIXELS, READABLE, Decoded, VideoInfo, describe

MOST_PICTURES = 2_000_000
"""Most pictures of a video at a constant rate; nine hours at 60 a second."""

JUMP = 100
"""Decoding starts at the last keyframe before the first requested frame if that skips at least this many frames."""

LARGE = 1280 * 720
"""From so many pixels on, FFmpeg decodes a video in several threads. For smaller pictures, these cost more than they
save: several videos are read at once."""


@dataclass(frozen=True)
class File:
    """A video file, after one pass over its packets.

    Attributes:
        info: what it holds.
        times: presentation times of all frames, in order, if the container's times are reliable: they give the
            number of a frame even after lost ones. Empty if not, as for AVI, which has none: then frames are counted,
            and a packet that cannot be decoded counts as one.
        keys: presentation times of the keyframes, in order.
        place: the track that is read, counted from the best.
        unordered: whether the container gives times in the order of decoding, which may not be that of showing.
        shown: how many pictures at a constant rate show each frame.
        unit: seconds of a unit of the times.
    """

    info: VideoInfo
    times: tuple[int, ...]
    keys: tuple[int, ...]
    place: int
    unordered: bool
    shown: tuple[int, ...]
    unit: float

    @property
    def clock(self) -> tuple[float, ...]:
        """Seconds at which all frames are shown; empty if the times are not reliable."""
        return tuple(time * self.unit for time in self.times)

    def decode(self, wanted: Sequence[int]) -> Generator[Decoded, None, None]:
        """Yield all readable frames in order, starting at the first requested one or earlier.

        Frames whose times run backwards while they are decoded have wrong times, as in an MP4 with B-frames but without
        composition times. Then frames are counted as the decoder outputs them, which is the order of showing.
        """
        done = -1
        try:
            for one in self._by_time(wanted):
                yield one
                done = one.number
        except _BackwardsError:
            for one in replace(self, times=()).decode(wanted):
                if one.number > done:
                    yield one

    def _by_time(self, wanted: Sequence[int]) -> Iterator[Decoded]:
        key = self._key(wanted[0])
        if key is not None:
            jumped = self._decode(key)
            first = next(jumped, None)
            if first is not None and first.number <= wanted[0]:
                yield first
                yield from jumped
                return
        yield from self._decode()

    def _key(self, number: int) -> int | None:
        """Return the time of the keyframe to start from, or None for the beginning."""
        place = bisect_right(self.keys, self.times[number]) - 1 if number < len(self.times) else -1
        key = self.keys[place] if place >= 0 else None
        return key if key is not None and bisect_left(self.times, key) >= JUMP else None

    def _decode(self, start: int | None = None) -> Iterator[Decoded]:
        with opened(self.info.path, self.place) as (container, track):
            if track.width * track.height < LARGE:
                track.codec_context.thread_count = 1
            else:
                track.thread_type = "AUTO"
            if start is not None and not seek(container, track, start):
                return
            found = (decoded(track, packet) for packet in packets(container, track))
            if self.times:
                yield from self._numbered(found, -1 if start is None else bisect_left(self.times, start) - 1)
            else:
                yield from _counted(found)

    def _numbered(self, found: Iterable[list[VideoFrame] | None], last: int) -> Iterator[Decoded]:
        """Number frames by their times. Where frames seem to be lost, look ahead whether they only come later."""
        damaged, held = False, deque[Decoded]()
        for frames in found:
            damaged |= frames is None
            for frame in frames or ():
                damaged |= frame.is_corrupt
                number = self._number(frame)
                newest = held[-1].number if held else last
                if 0 <= number < newest and (self.unordered or not damaged):
                    raise _BackwardsError
                if number > newest:
                    held.append(Decoded(number, frame, frame.is_corrupt))
            while held and (held[0].number == last + 1 or len(held) > REORDERED):
                last = held[0].number
                yield held.popleft()
        yield from held

    def _number(self, frame: VideoFrame) -> int:
        """Return the number of a frame; −1 if no frame should be at its time."""
        time = -1 if frame.pts is None else frame.pts
        place = bisect_left(self.times, time)
        return place if self.times[place : place + 1] == (time,) else -1


class _BackwardsError(Exception):
    """The times of decoded frames decrease."""


class ConstantRate:
    """A video file as the pictures that FFmpeg writes of it at a constant rate.

    Raises:
        VideoError: these are more than :data:`MOST_PICTURES`.
    """

    def __init__(self, file: File) -> None:
        count = sum(file.shown)
        if count > MOST_PICTURES:
            raise VideoError(
                f"{file.info.path}: FFmpeg would write {count} pictures at a constant rate; its clock jumps, or its "
                "rate is not known, so convert it to a constant rate"
            )
        self.file, self.pictures = file, np.repeat(np.arange(len(file.shown)), file.shown)
        absent = file.info.promised - file.info.frames
        self.info: VideoInfo = replace(file.info, frames=count, promised=count + absent, varies=False)

    def decode(self, wanted: Sequence[int]) -> Generator[Decoded, None, None]:
        """Yield the requested pictures."""
        asked = np.array(wanted, np.int64)
        asked = asked[asked < len(self.pictures)]
        shows, place = self.pictures[asked], 0
        if not len(asked):
            return
        for number, frame, corrupt in self.file.decode(np.unique(shows).tolist()):
            while place < len(asked) and shows[place] <= number:
                if shows[place] == number:
                    yield Decoded(int(asked[place]), frame, corrupt)
                place += 1
            if place == len(asked):
                return


@lru_cache(maxsize=4)
def survey(path: Path, size: int, modified: int) -> File:
    """Count the frames and decode the first one; ``size`` and ``modified`` distinguish versions of the file.

    Raises:
        VideoError: the file is not a video, cannot be decoded at all, or has less than half of its declared frames.
    """
    with opened(path) as (container, _):
        count = len(choices(container))
    problem: VideoError | None = None
    for place in range(count):
        try:
            return _survey(path, place)
        except VideoError as error:
            problem = problem or error
    raise problem or VideoError(f"{path} has no video track")


def _survey(path: Path, place: int) -> File:
    with opened(path, place) as (container, track):
        found, frame = _scan(container, track)
        codec = track.codec_context.name
        if frame is None or not found:
            why = f"it is damaged, or larger than {MAX_PIXELS} pixels"
            raise VideoError(f"{path}: no frame of its {codec} video can be decoded; {why}")
        coded = [one.time for one in found if one.time is not None]
        times, unit = sorted(coded), float(track.time_base or 0)
        exact = container.format.name != "avi" and len(set(times)) == len(found) and not goes_back(coded)
        between = spacing(times, unit)
        absent = _absent(_end(container, track, times), found, between)
        counted = 1 / (between * unit) if exact and between and unit else 0.0
        rate = counted or float(track.average_rate or track.guessed_rate or 0)
        shown = _at_constant_rate(container, track, found) if exact else [1] * len(found)
    varies = any(count != 1 for count in shown)
    info = describe(path, frame, codec, len(found), rate=rate, absent=absent, varies=varies)
    if info.frames < READABLE * info.promised:
        raise VideoError(f"{path} is cut off: only {info.frames} of about {info.promised} frames are there")
    keys = sorted(one.time for one in found if one.key and one.time is not None)
    kept = tuple(times) if exact else ()
    return File(info, kept, tuple(keys), place, coded == times, tuple(shown), unit)


def _scan(container: InputContainer, track: VideoStream) -> tuple[list[Shown], VideoFrame | None]:
    """Return all packets that become frames, and the first frame that can be decoded."""
    found: list[Shown] = []
    frame: VideoFrame | None = None
    for packet in packets(container, track):
        if frame is None:
            frame = next(iter(decoded(track, packet) or ()), None)
        if packet is not None and _shown(packet, track.codec_context.name):
            found.append(Shown(packet.pts, packet.duration or 0, packet.is_keyframe))
    return found, frame


def _shown(packet: Packet[VideoStream], codec: str) -> bool:
    """Whether the packet becomes a frame: neither removed by an edit list nor a hidden reference of VP8."""
    return not packet.is_discard and not (codec == "vp8" and not memoryview(packet)[0] & 0x10)


def _counted(found: Iterable[list[VideoFrame] | None]) -> Iterator[Decoded]:
    """Number frames in the order in which the decoder outputs them."""
    number = -1
    for frames in found:
        number += frames is None
        for frame in frames or ():
            number += 1
            yield Decoded(number, frame, frame.is_corrupt)


def _at_constant_rate(container: InputContainer, track: VideoStream, found: Sequence[Shown]) -> list[int]:
    rate, unit = float(track.guessed_rate or 25), float(track.time_base or 0)
    begin = (container.start_time or 0) / 1e6
    shown = [(one.time, one.duration) for one in found if one.time is not None]
    starts = [(time * unit - begin) * rate for time, _ in sorted(shown)]
    in_order = shown == sorted(shown)
    durations = [duration * unit * rate if in_order else 1.0 for _, duration in sorted(shown)]
    return constant_rate(starts, durations, alone=len(container.streams) == 1)


def _end(container: InputContainer, track: VideoStream, times: Sequence[int]) -> float | None:
    """Return the end of the video by its header or index, in the units of ``times``; None if not stated."""
    if not times or not track.time_base:
        return None
    if "matroska" in container.format.name:
        clock = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", track.metadata.get("DURATION", ""))
        hours, minutes, seconds = (float(part) for part in clock.groups()) if clock else (0.0, 0.0, 0.0)
        return (3600 * hours + 60 * minutes + seconds) / float(track.time_base)
    indexed = {"avi", "mov"} & set(container.format.name.split(","))
    return times[0] + track.duration if indexed and track.duration else None


def _absent(end: float | None, found: Sequence[Shown], between: float) -> int:
    """Estimate how many declared frames are missing after the last one."""
    if end is None or not between:
        return 0
    last = max(one.time + one.duration for one in found if one.time is not None)
    absent = round((end - last) / between)
    return absent if absent > 1 else 0  # containers round the time of the last frame
