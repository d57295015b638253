"""From a video to one person's joints in every frame: look for bodies, choose the subject, follow it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from aqakit.backbones.parts.blazepose import detection, tracks
from aqakit.backbones.parts.blazepose.detection import Candidate
from aqakit.backbones.parts.blazepose.following import PRESENT, Follower, Frame, Sees
from aqakit.backbones.parts.blazepose.networks import JOINTS, SIZE, Seen
from aqakit.backbones.parts.blazepose.regions import Image, Region, letterbox
from aqakit.backbones.parts.blazepose.tracks import Subject, Track
from aqakit.errors import DataError, VideoError
from aqakit.recordings import video
from aqakit.system.prefetch import read_ahead

T = TypeVar("T")
R = TypeVar("R")

LOOK = 0.13
"""Seconds between two frames in which bodies are looked for, to choose the subject."""

LEAST = 0.3
"""Confidence of the detector from which on a body is followed."""

UNKNOWN_RATE = 25.0
"""Pictures per second of a folder, which has no clock."""

_SHARP = 1.5  # pixels of the decoded frame for one of the second network, at the subject
_TILES = 3  # a picture without anybody is looked at again in so many by so many overlapping parts
_BLOCK, _BYTES = 64, 192 << 20  # frames that are followed together, and the memory of their pictures
_AHEAD = 8  # frames that are decoded in advance


@dataclass(frozen=True)
class Person:
    """One person in a video.

    Attributes:
        path: the video.
        numbers: (T,) numbers of its frames.
        times: (T,) seconds at which they are shown, from the first frame of the video on.
        joints: (T, 33, 3) x, y in pixels of the upright picture, and depth in the same scale; NaN where not found.
        visibility: (T, 33) in [0, 1], 0 where not found.
        size: height and width of the upright picture.
        rate: frames per second.
        notes: sentences on what a reader should know.
        seconds: how long it took, by stage.
    """

    path: Path
    numbers: NDArray[np.int64]
    times: NDArray[np.float64]
    joints: NDArray[np.float32]
    visibility: NDArray[np.float32]
    size: tuple[int, int]
    rate: float
    notes: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(T,) whether the body was found."""
        return np.isfinite(self.joints[:, 0, 0])

    @property
    def share(self) -> float:
        """Share of the frames in which it was found."""
        return float(self.seen.mean())


def find(
    path: Path,
    networks: Sees,
    *,
    subject: Subject = Subject(),  # noqa: B008  a constant
    window: tuple[int, int] | None = None,
    rate: video.Rate = "stored",
    report: video.Report | None = None,
    threads: int = 1,
    advance: Callable[[int], None] = lambda frames: None,
) -> Person:
    """Find the subject's joints in every frame; memory does not grow with the length of the video.

    Args:
        path: a video file or a folder of numbered pictures.
        networks: both networks.
        subject: which body is meant.
        window: first and last frame; None for the whole video.
        rate: what frame numbers count.
        report: counts the missing and damaged frames.
        threads: how much is computed at the same time.
        advance: called with numbers of frames, whose sum is twice the number of frames.

    Raises:
        VideoError: the video cannot be read, or the window is not inside it.
        DataError: there is nobody in it.
    """
    info = video.probe(path, rate)
    numbers = _window(info, window)
    clock, notes = _clock(path, rate, info)
    with ThreadPoolExecutor(threads) as pool:
        started = time.perf_counter()
        looked = _look(path, networks, numbers, info, rate, pool, threads, advance)
        found = tracks.link(looked, clock)
        if not found:
            raise DataError(
                f"{path}: nobody is found in its {len(numbers)} frames; is a whole person in view, and large enough?"
            )
        track, rival = tracks.choose(found, subject, clock, (info.height, info.width))
        middle = time.perf_counter()
        seen = _follow(path, networks, numbers, info, track, looked, rate, report, pool, advance)
        ended = time.perf_counter()
    if rival:
        notes.append(rival)
    seconds = {"look": middle - started, "follow": ended - middle}
    person = _person(path, np.asarray(numbers), clock, seen, info, tuple(notes), seconds)
    if not person.seen.any():
        raise DataError(f"{path}: bodies are found in it, but no joints; is a whole person in view, and large enough?")
    return person


def shows_person(path: Path, networks: Sees, looks: int = 3) -> bool:
    """Whether a body is seen in one of a few frames of a video, so that it is worth while to follow it.

    Raises:
        VideoError: the video cannot be read.
    """
    info = video.probe(path)
    size, _, _ = letterbox(info.height, info.width, 2 * SIZE)
    numbers = [(2 * k + 1) * info.frames // (2 * looks) for k in range(looks)]
    return any(
        networks.joints(picture, one.region).presence >= PRESENT
        for _, picture in video.stream(path, numbers, size=min(size, (info.height, info.width)))
        for one in networks.candidates(picture, LEAST)[:1]
    )


def _window(info: video.VideoInfo, window: tuple[int, int] | None) -> range:
    first, last = window or (0, info.frames - 1)
    if not 0 <= first <= last < info.frames:
        raise VideoError(
            f"{info.path} has frames 0 to {info.frames - 1}, but the window of the action is {first} to {last}"
        )
    return range(first, last + 1)


def _clock(path: Path, rate: video.Rate, info: video.VideoInfo) -> tuple[NDArray[np.float64], list[str]]:
    times = video.times(path, rate)
    if times is not None:
        return times, []
    note = f"it has no clock; its pictures are counted as {UNKNOWN_RATE:g} per second"
    return np.arange(info.frames) / UNKNOWN_RATE, [note]


def _look(
    path: Path,
    networks: Sees,
    numbers: range,
    info: video.VideoInfo,
    rate: video.Rate,
    pool: Executor,
    threads: int,
    advance: Callable[[int], None],
) -> list[tuple[int, list[Candidate]]]:
    """Return the bodies in some of the frames, in pixels of the video; in parts of the picture if there are none."""
    step = max(1, round(LOOK * (info.rate or UNKNOWN_RATE)))
    chosen = numbers[::step]
    for tiles in (1, _TILES):
        inside, _, _ = letterbox(info.height, info.width, detection.SIZE * (tiles + 1))
        size = inside if max(inside) < max(info.height, info.width) else (info.height, info.width)
        scale = info.width / size[1]
        found = []
        frames = video.stream(path, chosen, size=size, rate=rate)
        for number, some in _overlapped(pool, partial(_bodies, networks, tiles), frames, threads):
            found.append((number, [Candidate(one.region.scaled(scale), one.confidence) for one in some]))
            advance(step if tiles == 1 else 0)
        if any(some for _, some in found):
            break
    return found


def _bodies(networks: Sees, tiles: int, frame: tuple[int, Image]) -> tuple[int, list[Candidate]]:
    number, picture = frame
    if tiles == 1:
        return number, networks.candidates(picture, LEAST)
    height, width = picture.shape[:2]
    side = 2 * max(height, width) / (tiles + 1)
    middles = [(k + 1) * side / 2 for k in range(tiles)]
    found: list[Candidate] = []
    for x in middles:
        for y in middles:
            if y - side / 2 < height and x - side / 2 < width:
                found += networks.candidates_in(picture, Region(x, y, side, 0.0), LEAST)
    return number, found


def _follow(
    path: Path,
    networks: Sees,
    numbers: range,
    info: video.VideoInfo,
    track: Track,
    looked: Sequence[tuple[int, Sequence[Candidate]]],
    rate: video.Rate,
    report: video.Report | None,
    pool: Executor,
    advance: Callable[[int], None],
) -> list[Seen | None]:
    """Return what is seen of the subject in every frame, in pixels of the video."""
    factor = min(1.0, _SHARP * SIZE / float(np.quantile(track.sides, 0.1)))
    size = (max(1, round(info.height * factor)), max(1, round(info.width * factor)))
    factor = size[1] / info.width
    hints = {number: [one.scaled(factor) for one in some] for number, some in tracks.near(track, looked).items()}
    follower = Follower(networks, info.rate or UNKNOWN_RATE, pool)
    length = max(8, min(_BLOCK, _BYTES // (size[0] * size[1] * 3)))
    seen: list[Seen | None] = []
    waiting: list[Frame] = []
    read = partial(video.stream, path, numbers, size=size, rate=rate, report=report)
    with closing(read_ahead([read], threads=0, depth=_AHEAD)) as reads:
        for number, picture in next(reads):
            waiting.append(Frame(number, picture, tuple(hints.get(number, ()))))
            if len(waiting) >= length:
                done = follower.follow(waiting, more=True)
                seen += done
                advance(len(done))
                waiting = waiting[len(done) :]
        seen += follower.follow(waiting, more=False)
        advance(len(waiting))
    return [one and one.scaled(1 / factor) for one in seen]


def _overlapped(pool: Executor, work: Callable[[T], R], items: Iterator[T], threads: int) -> Iterator[R]:
    """Yield results in order, while the next items are read and worked on."""
    running = deque(pool.submit(work, item) for item in islice(items, threads + 1))
    while running:
        yield running.popleft().result()
        for item in items:
            running.append(pool.submit(work, item))
            break


def _person(
    path: Path,
    numbers: NDArray[np.int64],
    clock: NDArray[np.float64],
    seen: Sequence[Seen | None],
    info: video.VideoInfo,
    notes: tuple[str, ...],
    seconds: dict[str, float],
) -> Person:
    joints = np.full((len(seen), JOINTS, 3), np.nan, np.float32)
    visibility = np.zeros((len(seen), JOINTS), np.float32)
    for at, one in enumerate(seen):
        if one is not None:
            joints[at], visibility[at] = one.points[:JOINTS], one.visibility[:JOINTS] * one.presence
    size = (info.height, info.width)
    rate = info.rate or UNKNOWN_RATE
    return Person(path, numbers, clock[numbers], joints, visibility, size, rate, notes, seconds)
