"""Video files: packets are scanned once, then decoded forwards for each request of frames."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from aqakit.errors import VideoError
from aqakit.recordings.video.info import LIMITS, MAX_PIXELS, READABLE, VideoInfo, describe

JUMP = 100
"""Decoding starts at the last keyframe before the first requested frame if that skips at least this many frames."""

RETRIES = 100
"""How often reading continues after a damaged place in the container."""

_TEXT = {"ansi", "xbin", "idf", "bintext"}  # FFmpeg's decoders that render text files


@dataclass(frozen=True)
class File:
    """A video file, after one pass over its packets.

    Attributes:
        info: what it holds.
        times: presentation times of all frames, in order, if the container's times are reliable: they give the
            number of a frame even after lost ones. Empty if not, as for AVI, which has none: then frames are counted,
            and a packet that cannot be decoded counts as one.
        keys: presentation times of the keyframes, in order.
    """

    info: VideoInfo
    times: tuple[int, ...]
    keys: tuple[int, ...]

    def decode(self, wanted: Sequence[int]) -> Generator[tuple[int, VideoFrame], None, None]:
        """Yield all readable frames in order, starting at the first requested one or earlier."""
        key = self._key(wanted[0])
        if key is not None:
            jumped = self._decode(key)
            first = next(jumped, None)
            if first is not None and first[0] <= wanted[0]:
                yield first
                yield from jumped
                return
        yield from self._decode()

    def _key(self, number: int) -> int | None:
        """Return the time of the keyframe to start from, or None for the beginning."""
        place = bisect_right(self.keys, self.times[number]) - 1 if number < len(self.times) else -1
        key = self.keys[place] if place >= 0 else None
        return key if key is not None and bisect_left(self.times, key) >= JUMP else None

    def _decode(self, start: int | None = None) -> Generator[tuple[int, VideoFrame], None, None]:
        number = -1
        with _open(self.info.path) as (container, track):
            track.thread_type = "AUTO"
            if start is not None and not _seek(container, track, start):
                return
            for packet in _packets(container, track):
                decoded = _decoded(track, packet)
                number += decoded is None and not self.times
                for frame in decoded or ():
                    place = self._number(frame, number + 1)
                    if place > number:
                        number = place
                        yield number, frame

    def _number(self, frame: VideoFrame, counted: int) -> int:
        """Return the number of a frame; −1 if no frame should be at its time."""
        if not self.times:
            return counted
        time = -1 if frame.pts is None else frame.pts
        place = bisect_left(self.times, time)
        return place if self.times[place : place + 1] == (time,) else -1


@dataclass(frozen=True)
class _Packet:
    """When a frame is shown, for how long, and whether it is a keyframe."""

    time: int | None
    duration: int
    key: bool


@lru_cache(maxsize=4)
def survey(path: Path, size: int, modified: int) -> File:
    """Count the frames and decode the first one; ``size`` and ``modified`` distinguish versions of the file.

    Raises:
        VideoError: the file is not a video, cannot be decoded at all, or has less than half of its declared frames.
    """
    with _open(path) as (container, track):
        packets, frame = _scan(container, track)
        codec = track.codec_context.name
        if frame is None or not packets:
            why = f"it is damaged, or larger than {MAX_PIXELS} pixels"
            raise VideoError(f"{path}: no frame of its {codec} video can be decoded; {why}")
        times = sorted(packet.time for packet in packets if packet.time is not None)
        exact = container.format.name != "avi" and len(set(times)) == len(packets)
        spacing = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 0.0
        absent = _absent(_end(container, track, times), packets, spacing)
        counted = 1 / (spacing * float(track.time_base or 0)) if exact and spacing else 0.0
        rate = counted or float(track.average_rate or track.guessed_rate or 0)
    info = describe(path, frame, codec, len(packets), rate=rate, absent=absent)
    if info.frames < READABLE * info.promised:
        raise VideoError(f"{path} is cut off: only {info.frames} of about {info.promised} frames are there")
    keys = sorted(packet.time for packet in packets if packet.key and packet.time is not None)
    return File(info, tuple(times) if exact else (), tuple(keys))


def _scan(container: InputContainer, track: VideoStream) -> tuple[list[_Packet], VideoFrame | None]:
    """Return all packets that become frames, and the first frame that can be decoded."""
    packets: list[_Packet] = []
    frame: VideoFrame | None = None
    for packet in _packets(container, track):
        if frame is None:
            frame = next(iter(_decoded(track, packet) or ()), None)
        if packet is not None and _shown(packet, track.codec_context.name):
            packets.append(_Packet(packet.pts, packet.duration or 0, packet.is_keyframe))
    return packets, frame


def _shown(packet: Packet[VideoStream], codec: str) -> bool:
    """Whether the packet becomes a frame: neither removed by an edit list nor a hidden reference of VP8."""
    return not packet.is_discard and not (codec == "vp8" and not memoryview(packet)[0] & 0x10)


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


def _absent(end: float | None, packets: Sequence[_Packet], spacing: float) -> int:
    """Estimate how many declared frames are missing after the last one."""
    if end is None or not spacing:
        return 0
    last = max(packet.time + packet.duration for packet in packets if packet.time is not None)
    absent = round((end - last) / spacing)
    return absent if absent > 1 else 0  # containers round the time of the last frame


@contextmanager
def _open(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    options = {**LIMITS, "protocol_whitelist": "file"}
    try:
        container = av.open(f"file:{path}", options=options, metadata_errors="replace")
    except FFmpegError as error:
        raise VideoError(f"{path} cannot be read as a video: {error.strerror}; is it a complete video file?") from error
    with container:
        yield container, _track(container, path)


def _track(container: InputContainer, path: Path) -> VideoStream:
    tracks = [track for track in container.streams.video if not track.disposition & Disposition.attached_pic]
    if not tracks:
        raise VideoError(f"{path} has no video track, only sound or data")
    context = tracks[0].codec_context
    if context is None:
        raise VideoError(f"{path}: there is no decoder for its video; convert it to H.264 in MP4")
    if context.name in _TEXT:
        raise VideoError(f"{path} is text, not a video")
    if context.width * context.height > MAX_PIXELS:
        size = f"{context.width}×{context.height}"
        raise VideoError(f"{path} declares frames of {size} pixels; the limit is {MAX_PIXELS}")
    return tracks[0]


def _packets(container: InputContainer, track: VideoStream) -> Iterator[Packet[VideoStream] | None]:
    """Yield all packets of the track, continuing after damage, then None, which flushes the decoder."""
    for _ in range(RETRIES):
        try:
            yield from (packet for packet in container.demux(track) if packet.size)
            break
        except FFmpegError:
            continue
    yield None


def _decoded(track: VideoStream, packet: Packet[VideoStream] | None) -> list[VideoFrame] | None:
    """Return the frames that the decoder outputs for a packet; None if it cannot be decoded."""
    try:
        return track.decode(packet)
    except FFmpegError:
        return None


def _seek(container: InputContainer, track: VideoStream, time: int) -> bool:
    try:
        container.seek(time, stream=track)
    except FFmpegError:
        return False
    return True
