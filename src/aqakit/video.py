"""Frames of a video by their number: any container FFmpeg reads, GIF, or a folder of numbered pictures.

A frame's number is its place in the order of showing, from 0, so it is exact where the frame rate varies. Frames
are turned upright as the file says and come as (H, W, 3) uint8 RGB.

Damage: what cannot be opened, has no pictures or claims more than :data:`MAX_PIXELS` per frame is refused. Of a file
that is cut short or has flipped bytes, what is readable is used: a wanted frame that is missing is replaced by the
nearest earlier readable one (at the start, by the first readable one). That and the frames that the decoder flags
as corrupt are counted in a :class:`Report`; with fewer than :data:`READABLE` of the frames there, it is refused.
"""

from __future__ import annotations

import re
import stat
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.codec.context import CodecContext
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from aqakit.errors import VideoError

MAX_PIXELS = 2**26
"""The largest frame that is read: 67 million pixels, twice 8K."""

READABLE = 0.5
"""The least share of the frames, of those wanted and of those the file promises, that must be readable."""

JUMP = 100
"""Decoding starts at the last keyframe before the first wanted frame if that skips so many frames or more."""

RETRIES = 100
"""How often reading goes on behind a place where the container is damaged."""

PICTURES = {".jpg": "mjpeg", ".jpeg": "mjpeg", ".png": "png", ".bmp": "bmp", ".webp": "webp"}
"""Endings of the pictures in a folder of frames, and their FFmpeg decoders."""

_TEXT = {"ansi", "xbin", "idf", "bintext"}  # FFmpeg renders text files as video
_LIMITS = {"max_pixels": str(MAX_PIXELS)}

Size = tuple[int, int] | Callable[[int, int], tuple[int, int]]
Image = NDArray[np.uint8]


@dataclass(frozen=True)
class VideoInfo:
    """What a video holds.

    Attributes:
        path: the file or the folder of pictures.
        frames: how many frames there are, counted.
        promised: how many there should be by the file's header or index; more than ``frames`` if it is cut short.
        width, height: of an upright frame, in pixels.
        rate: average frames per second; 0 for a folder of pictures.
        duration: in seconds; 0 for a folder of pictures.
        codec: FFmpeg's name of it.
        rotation: degrees, anticlockwise, by which stored frames are turned to stand upright.
    """

    path: Path
    frames: int
    promised: int
    width: int
    height: int
    rate: float
    duration: float
    codec: str
    rotation: int


@dataclass
class Report:
    """How reading went, summed over the calls that were given it.

    Attributes:
        requested: distinct frames wanted.
        decoded: how many of them were readable.
        corrupt: how many of the readable ones the decoder flagged as damaged.
        missing: how many were replaced by another frame.
    """

    requested: int = 0
    decoded: int = 0
    corrupt: int = 0
    missing: int = 0

    def sentence(self) -> str:
        """In words.

        >>> Report(160, 157, 2, 3).sentence()
        '157 of 160 frames readable; 3 missing, replaced by the frame before; 2 flagged corrupt'
        """
        parts = [f"{self.decoded} of {self.requested} frames readable"]
        parts += [f"{self.missing} missing, replaced by the frame before"] * (self.missing > 0)
        parts += [f"{self.corrupt} flagged corrupt"] * (self.corrupt > 0)
        return "; ".join(parts)


def probe(path: Path | str) -> VideoInfo:
    """Count the frames of a video without decoding more than the first.

    Raises:
        VideoError: it is missing, no video, or too damaged.
    """
    return _source(Path(path)).info


def stream(
    path: Path | str,
    numbers: Iterable[int] | None = None,
    *,
    size: Size | None = None,
    interpolation: Literal["bilinear", "bicubic", "area"] = "bilinear",
    report: Report | None = None,
) -> Iterator[tuple[int, Image]]:
    """Wanted frames in one forward pass; memory does not grow with the length of the video.

    Args:
        path: a video file or a folder of numbered pictures.
        numbers: of the wanted frames, in any order; None for all.
        size: (height, width) to resize upright frames to, or a function from (height, width) to it. This is done
            before the conversion to RGB, with a filter as wide as the reduction, so that nothing aliases.
        interpolation: the filter of the resizing.
        report: is added to.

    Yields:
        Number and (H, W, 3) uint8 RGB of each distinct wanted frame, in increasing order.

    Raises:
        VideoError: the video cannot be used, a number is outside it, or too few wanted frames were readable.
    """
    source = _source(Path(path))
    wanted = _wanted(source.info, numbers)
    convert = _Converter(source.info, size, interpolation)
    return _read(source, wanted, convert, report or Report())


def frames(
    path: Path | str,
    numbers: Iterable[int] | NDArray[np.integer],
    *,
    size: Size | None = None,
    interpolation: Literal["bilinear", "bicubic", "area"] = "bilinear",
    report: Report | None = None,
) -> Image:
    """Frames in the order of ``numbers``, which may repeat and may be a table of clips: (*numbers, H, W, 3) uint8.

    Arguments and errors are those of :func:`stream`.
    """
    table = np.asarray(numbers if isinstance(numbers, np.ndarray) else list(numbers))
    found = stream(path, table.ravel(), size=size, interpolation=interpolation, report=report)
    images: Image | None = None
    for number, image in found:
        if images is None:
            images = np.empty((*table.shape, *image.shape), np.uint8)
        images[table == number] = image
    assert images is not None, "stream yields at least one frame or raises"
    return images


def _read(source: _Source, wanted: Sequence[int], convert: _Converter, report: Report) -> Iterator[tuple[int, Image]]:
    decoded = missing = 0
    with closing(source.decode(wanted)) as found:
        for number, frame, exact in _match(found, wanted):
            decoded += exact
            missing += not exact
            report.corrupt += exact and frame.is_corrupt
            yield number, convert(frame)
    report.requested += len(wanted)
    report.decoded += decoded
    report.missing += missing
    if decoded < READABLE * len(wanted):
        raise VideoError(
            f"{source.info.path}: only {decoded} of the {len(wanted)} frames needed could be read; "
            "the file is too damaged to be used"
        )


def _match(
    decoded: Iterator[tuple[int, VideoFrame]], wanted: Sequence[int]
) -> Iterator[tuple[int, VideoFrame, bool]]:
    """For each wanted number the frame to show, and whether it is that very frame."""
    position, previous = 0, None
    for number, frame in decoded:
        while wanted[position] < number:
            yield wanted[position], previous or frame, False
            position += 1
            if position == len(wanted):
                return
        if wanted[position] == number:
            yield number, frame, True
            position += 1
            if position == len(wanted):
                return
        previous = frame
    if previous is not None:
        for number in wanted[position:]:
            yield number, previous, False


def _wanted(info: VideoInfo, numbers: Iterable[int] | None) -> Sequence[int]:
    if numbers is None:
        return range(info.frames)
    wanted = sorted({int(n) for n in numbers})
    count = max(info.frames, info.promised)
    if not wanted:
        raise VideoError(f"{info.path}: no frame was asked for")
    if wanted[0] < 0 or wanted[-1] >= count:
        outside = wanted[0] if wanted[0] < 0 else wanted[-1]
        raise VideoError(f"{info.path}: frame {outside} was asked for, but it has frames 0 to {count - 1}")
    return wanted


class _Converter:
    """From a decoded frame to an upright RGB array of a fixed size."""

    def __init__(self, info: VideoInfo, size: Size | None, interpolation: str) -> None:
        natural = (info.height, info.width)
        self.height, self.width = size(*natural) if callable(size) else size or natural
        if min(self.height, self.width) < 1 or self.height * self.width > MAX_PIXELS:
            raise VideoError(f"{info.path}: frames cannot be resized to {self.height}×{self.width} pixels")
        self._filter = Interpolation[interpolation.upper()]
        self._reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame) -> Image:
        turns = round(frame.rotation / 90) % 4
        width, height = (self.height, self.width) if turns % 2 else (self.width, self.height)
        rgb = self._reformatter.reformat(frame, width, height, "rgb24", interpolation=self._filter)
        return np.ascontiguousarray(np.rot90(rgb.to_ndarray(), turns)).astype(np.uint8, copy=False)


@dataclass(frozen=True)
class _Folder:
    """A folder of numbered pictures."""

    info: VideoInfo
    paths: tuple[Path, ...]

    def decode(self, wanted: Sequence[int]) -> Generator[tuple[int, VideoFrame]]:
        """Wanted pictures; for an unreadable one, the nearest before it."""
        done = -1
        for number in wanted:
            tries = ((n, _picture(self.paths[n])) for n in range(number, done, -1))
            found = next(((n, frame) for n, frame in tries if frame is not None), None)
            if found is not None:
                yield found
            done = number


@dataclass(frozen=True)
class _File:
    """A video file, after one pass over its packets.

    ``times`` are the presentation times of all frames, in order, where the container can be trusted with them:
    they tell a frame's number even behind frames that are lost. AVI has none; there frames are counted, and each
    packet that cannot be decoded counts as one frame.
    """

    info: VideoInfo
    times: tuple[int, ...]
    keys: tuple[int, ...]

    def decode(self, wanted: Sequence[int]) -> Generator[tuple[int, VideoFrame]]:
        """All readable frames in order, from the first wanted one or an earlier one on."""
        key = self._key(wanted[0])
        if key is not None:
            jumped = self._decode(key)
            first = next(jumped, None)
            if first is not None and first[0] <= wanted[0]:
                yield first
                yield from jumped
                return
        yield from self._decode(None)

    def _key(self, number: int) -> int | None:
        """Time of the keyframe to start from for that frame; None to start from the beginning."""
        place = bisect_right(self.keys, self.times[number]) - 1 if number < len(self.times) else -1
        key = self.keys[place] if place >= 0 else None
        return key if key is not None and bisect_left(self.times, key) >= JUMP else None

    def _decode(self, start: int | None) -> Generator[tuple[int, VideoFrame]]:
        number = -1
        with _open(self.info.path) as (container, track):
            track.thread_type = "AUTO"
            if start is not None and not _seek(container, track, start):
                return
            for packet in _packets(container, track):
                decoded = _decoded(track, packet)
                number += decoded is None
                for frame in decoded or ():
                    place = self._number(frame, number + 1)
                    if place is not None and place > number:
                        number = place
                        yield number, frame

    def _number(self, frame: VideoFrame, counted: int) -> int | None:
        if not self.times:
            return counted
        place = bisect_left(self.times, frame.pts) if frame.pts is not None else len(self.times)
        return place if place < len(self.times) and self.times[place] == frame.pts else None


def _source(path: Path) -> _Folder | _File:
    if path.is_dir():
        return _survey_folder(path)
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise VideoError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(status.st_mode):
        raise VideoError(f"{path} is neither a video file nor a folder of pictures")
    if status.st_size == 0:
        raise VideoError(f"{path} is empty (0 bytes)")
    return _survey_file(path, status.st_size, status.st_mtime_ns)


def _survey_folder(path: Path) -> _Folder:
    try:
        inside = [p for p in path.iterdir() if p.suffix.lower() in PICTURES and not p.name.startswith(".")]
    except OSError as error:
        raise VideoError(f"{path}: {error.strerror}") from error
    if not inside:
        raise VideoError(f"{path} is a folder without pictures ({', '.join(PICTURES)}); a video's frames are expected")
    paths = tuple(sorted(inside, key=_by_number))
    frame = next((f for p in paths if (f := _picture(p)) is not None), None)
    if frame is None:
        raise VideoError(f"{path}: none of its {len(paths)} pictures can be read")
    return _Folder(_info(path, frame, PICTURES[paths[0].suffix.lower()], len(paths), len(paths), 0.0), paths)


def _by_number(path: Path) -> list[str | int]:
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.name)]


def _picture(path: Path) -> VideoFrame | None:
    context = CodecContext.create(PICTURES[path.suffix.lower()], "r")
    context.options = _LIMITS
    try:
        return next(iter([*context.decode(Packet(path.read_bytes())), *context.decode(None)]), None)
    except (FFmpegError, OSError):
        return None


@lru_cache(maxsize=4)
def _survey_file(path: Path, size: int, modified: int) -> _File:
    """Count the packets and decode the first frame; ``size`` and ``modified`` mark the version of the file."""
    times, keys = [], []
    frame: VideoFrame | None = None
    with _open(path) as (container, track):
        for packet in _packets(container, track):
            if frame is None:
                frame = next(iter(_decoded(track, packet) or ()), None)
            if packet is not None and _shown(packet, track.name):
                times.append(packet.pts)
                keys += [packet.pts] * packet.is_keyframe
        if frame is None:
            raise VideoError(f"{path}: not one frame of its {track.name} video can be decoded")
        trusted = container.format.name != "avi" and None not in times and len(set(times)) == len(times)
        ...


@contextmanager
def _open(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    try:
        limits = {**_LIMITS, "protocol_whitelist": "file"}
        container = av.open(f"file:{path}", options=limits, metadata_errors="replace")
    except FFmpegError as error:
        raise VideoError(
            f"{path} cannot be opened as a video ({error.strerror}); it may be of another kind, or cut off"
        ) from error
    with container:
        yield container, _track(container, path)


def _track(container: InputContainer, path: Path) -> VideoStream:
    tracks = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not tracks:
        raise VideoError(f"{path} has no video track, only {_kinds(container)}")
