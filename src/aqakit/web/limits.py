"""Limits on what visitors may ask of the server."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass

from aqakit.errors import VideoError
from aqakit.recordings.video import VideoInfo

MEGABYTE = 2**20


@dataclass(frozen=True)
class Limits:
    """Limits on uploads, videos and the workers.

    Attributes:
        upload: bytes of a video.
        queue: videos that may wait.
        share: part of the queue that one client may hold.
        disk: bytes of all stored videos.
        spare: bytes of the disk that are left free for scores.
        rate: bytes per second that an upload must have on average over every ``window``.
        window: seconds.
        patience: seconds for which an upload waits until others make room for it.
        duration: seconds of a video.
        frames: frames of a video.
        pixels: pixels of a frame, width × height.
        seconds: time to score one video, including loading the run.
        memory: bytes of data of a worker process.
        workers: number of these.
        keep: seconds after which a video is removed; its score stays.
        forget: seconds after which the score is removed too.
    """

    upload: int = 200 * MEGABYTE
    queue: int = 500
    share: float = 0.5
    disk: int = 20_000 * MEGABYTE
    spare: int = 2 * MEGABYTE
    rate: float = 1024.0
    window: float = 10.0
    patience: float = 5.0
    duration: float = 600.0
    frames: int = 36_000
    pixels: int = 4096 * 2304
    seconds: float = 600.0
    memory: int = 6_000 * MEGABYTE
    workers: int = 1
    keep: float = 24 * 3600.0
    forget: float = 30 * 24 * 3600.0

    def check(self, video: VideoInfo) -> None:
        """Refuse a video that is too long or too large, before more than its first frame is decoded.

        Raises:
            VideoError: the video is too long or too large.
        """
        if video.duration > self.duration:
            raise VideoError(f"{video.path} is {video.duration:.0f} s long; the limit is {self.duration:g} s")
        if video.frames > self.frames:
            raise VideoError(f"{video.path} has {video.frames} frames; the limit is {self.frames}")
        if video.width * video.height > self.pixels:
            size = f"{video.width} × {video.height}"
            raise VideoError(f"{video.path} has frames of {size} pixels; the limit is {self.pixels} pixels")


def confine(memory: int) -> None:
    """Limit this process permanently: its data size, no core dumps, and a lower priority than the server.

    The limit applies to data, not to address space: the mapped libraries of PyTorch alone take gigabytes of it.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    bound = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(5)
