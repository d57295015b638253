"""Read frames of a video by number, from a file or a folder of pictures."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from aqakit.errors import VideoError
from aqakit.recordings.video import files, folders
from aqakit.recordings.video.info import MAX_PIXELS, READABLE, Decoded, Report, Source, VideoInfo
from aqakit.recordings.video.orientation import Orientation

Size = tuple[int, int] | Callable[[int, int], tuple[int, int]]
Image = NDArray[np.uint8]


Rate = Literal["stored", "constant"]
"""How frames are counted: as they are stored, or as the pictures that FFmpeg writes of a file at a constant rate."""


def probe(path: Path | str, rate: Rate = "stored") -> VideoInfo:
    """Return the metadata of a video: count its frames, but decode only the first.

    Raises:
        VideoError: it is missing, not a video, or too damaged.
    """
    return _source(Path(path), rate).info


def times(path: Path | str, rate: Rate = "stored") -> NDArray[np.float64] | None:
    """Return the seconds (T,) at which each frame is shown, from the first one on; None for a folder of pictures.

    They are those of the container, if it has them, so that pauses and changes of the rate are in them; else frames
    are taken to be evenly spaced.

    Raises:
        VideoError: it is missing, not a video, or too damaged.
    """
    source = _source(Path(path), rate)
    if not source.info.rate:
        return None
    clock = source.clock if isinstance(source, files.File) else ()
    if len(clock) != source.info.frames:
        return np.arange(source.info.frames) / source.info.rate
    return np.array(clock) - clock[0]


def verify(path: Path | str, parts: Iterable[Iterable[int]] | None = None, rate: Rate = "stored") -> Report:
    """Decode frames only to report how well they can be read; too few are no error here.

    Args:
        path: a video file or a folder of numbered pictures.
        parts: numbers of the frames, in parts that are far from each other; None for all frames.
        rate: what the numbers count.

    Raises:
        VideoError: the video cannot be used at all, or a number is outside it.
    """
    source, report = _source(Path(path), rate), Report()
    for numbers in parts if parts is not None else [None]:
        for _ in _decode(source, _wanted(source.info, numbers), report):
            pass
    report.absent, report.gaps = source.info.promised - source.info.frames, source.info.gaps
    return report


def stream(
    path: Path | str,
    numbers: Iterable[int] | None = None,
    *,
    size: Size | None = None,
    interpolation: Literal["bilinear", "bicubic", "area"] = "bilinear",
    rate: Rate = "stored",
    report: Report | None = None,
) -> Iterator[tuple[int, Image]]:
    """Yield frames in one forward pass; memory does not grow with the length of the video.

    Args:
        path: a video file or a folder of numbered pictures.
        numbers: numbers of the requested frames, in any order; None for all.
        size: (height, width) to resize upright frames to, or a function from (height, width) to it. Frames are resized
            before the conversion to RGB, with a filter as wide as the reduction, to avoid aliasing.
        interpolation: filter used for resizing.
        rate: what the numbers count.
        report: updated with the counts of this call.

    Yields:
        Number and (H, W, 3) uint8 RGB of each distinct requested frame, in increasing order.

    Raises:
        VideoError: the video cannot be used, a number is outside it, or too few requested frames are readable.
    """
    source = _source(Path(path), rate)
    wanted = _wanted(source.info, numbers)
    convert = _Converter(source.info, size, interpolation)
    return _read(source, wanted, convert, report or Report())


def frames(
    path: Path | str,
    numbers: Iterable[int] | NDArray[np.integer],
    *,
    size: Size | None = None,
    interpolation: Literal["bilinear", "bicubic", "area"] = "bilinear",
    rate: Rate = "stored",
    report: Report | None = None,
) -> Image:
    """Return frames in the order of ``numbers``, which may repeat or be a table of clips: (*numbers, H, W, 3) uint8.

    The other arguments and the errors are those of :func:`stream`.
    """
    table = np.asarray(numbers if isinstance(numbers, np.ndarray) else list(numbers))
    found = stream(path, table.ravel().tolist(), size=size, interpolation=interpolation, rate=rate, report=report)
    images: Image | None = None
    for number, image in found:
        if images is None:
            images = np.empty((*table.shape, *image.shape), np.uint8)
        images[table == number] = image
    assert images is not None, "stream yields at least one frame or raises"
    return images


def _read(source: Source, wanted: Sequence[int], convert: _Converter, report: Report) -> Iterator[tuple[int, Image]]:
    before = report.decoded
    for number, frame in _decode(source, wanted, report):
        yield number, convert(frame)
    if (decoded := report.decoded - before) < READABLE * len(wanted):
        raise VideoError(
            f"{source.info.path}: only {decoded} of the {len(wanted)} frames needed can be read, and at least "
            f"{READABLE:.0%} must be; it is too damaged to be used"
        )


def _decode(source: Source, wanted: Sequence[int], report: Report) -> Iterator[tuple[int, VideoFrame]]:
    """Yield each requested number with the frame to use for it, and count."""
    report.requested += len(wanted)
    report.absent += source.info.promised - source.info.frames
    report.gaps += source.info.gaps
    left = len(wanted)
    try:
        with closing(source.decode(wanted)) as found:
            for number, one in _match(found, wanted):
                left -= 1
                exact = one.number == number
                report.decoded += exact
                report.missing += not exact
                report.corrupt += exact and one.corrupt
                yield number, one.frame
    except GeneratorExit:
        report.requested -= left  # nobody wanted the others
        raise
    report.missing += left  # of a video without a single readable frame


def _match(decoded: Iterable[Decoded], wanted: Sequence[int]) -> Iterator[tuple[int, Decoded]]:
    """Yield each requested number, and the frame to use for it: itself, else the one before, else the one after."""
    queue = iter(wanted)
    due, previous = next(queue, None), None
    for one in decoded:
        while due is not None and due <= one.number:
            yield due, one if due == one.number or previous is None else previous
            due = next(queue, None)
        if due is None:
            return
        previous = one
    while due is not None and previous is not None:
        yield due, previous
        due = next(queue, None)


def _wanted(info: VideoInfo, numbers: Iterable[int] | None) -> Sequence[int]:
    if numbers is None:
        return range(info.frames)
    wanted = sorted({int(n) for n in numbers})
    if not wanted:
        raise VideoError(f"{info.path}: no frame was requested")
    if wanted[0] < 0 or wanted[-1] >= info.promised:
        outside = wanted[0] if wanted[0] < 0 else wanted[-1]
        raise VideoError(f"{info.path}: frame {outside} was requested, but it has 0 to {info.promised - 1}")
    return wanted


class _Converter:
    """Converts a decoded frame to an upright RGB array of a fixed size."""

    def __init__(self, info: VideoInfo, size: Size | None, interpolation: str) -> None:
        natural = (info.height, info.width)
        self.height, self.width = size(*natural) if callable(size) else size or natural
        if min(self.height, self.width) < 1 or self.height * self.width > MAX_PIXELS:
            raise VideoError(f"{info.path}: frames cannot be resized to {self.height}×{self.width} pixels")
        self._filter = Interpolation[interpolation.upper()]
        self._resize, self._colour = VideoReformatter(), VideoReformatter()

    def __call__(self, frame: VideoFrame) -> Image:
        orientation = Orientation.of_frame(frame)
        height, width = orientation.size(self.height, self.width)
        resized = (frame.width, frame.height) != (width, height)
        if resized and frame.format.name.startswith("yuv"):  # faster and more exact than resizing RGB
            frame = self._resize.reformat(frame, width, height, interpolation=self._filter, threads=1)
        rgb = self._colour.reformat(frame, width, height, "rgb24", interpolation=self._filter, threads=1)
        return np.ascontiguousarray(orientation.apply(rgb.to_ndarray()), np.uint8)


def _source(path: Path, rate: Rate) -> Source:
    if path.is_dir():
        return folders.survey(path)  # its pictures are counted one by one at any rate
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise VideoError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(status.st_mode):
        raise VideoError(f"{path} is neither a video file nor a folder of pictures")
    if status.st_size == 0:
        raise VideoError(f"{path} is empty (0 bytes)")
    file = files.survey(path, status.st_size, status.st_mtime_ns)
    return files.ConstantRate(file) if rate == "constant" else file


def folder_of(path: Path) -> folders.Folder:
    """Return the pictures of a folder in the order of reading.

    Raises:
        VideoError: it is not one sequence, or none of its pictures can be read.
    """
    return folders.survey(path)
