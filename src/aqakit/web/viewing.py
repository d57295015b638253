"""The process that opens untrusted videos for the eye: it pairs two in time, or makes one that browsers play.

It does one task, given as JSON on the command line, within the limits of the worker, and writes JSON.
"""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from aqakit.errors import AqakitError, VideoError
from aqakit.explanation.comparison import warp
from aqakit.recordings import video
from aqakit.types import Floats
from aqakit.web.limits import Limits, confine

MOMENTS = 400
"""Frames of a video that are paired; of a longer one, as many evenly over the time."""

CELLS = 24
"""Rows and columns to which a frame is reduced to tell moments apart."""

TALL = 720
"""Largest height of a video made for browsers, in pixels."""

TICK = Fraction(1, 1000)
"""Unit of the times in such a video, in seconds."""

PACE = 25.0
"""Frames per second of a video that has no rate of its own."""


def align(first: Path, second: Path, limits: Limits) -> dict[str, Any]:
    """Pair the moments of two videos.

    Returns:
        ``pairs``, (time of the first, time of the second) in seconds, both never falling, one for each moment of the
        first; ``seconds``, the length of each; ``rates``, frames per second of each.

    Raises:
        VideoError: one of them cannot be read, or is longer or larger than allowed.
    """
    (times_a, a, rate_a), (times_b, b, rate_b) = (_signature(path, limits) for path in (first, second))
    pairs = warp(a, b)
    rows = np.unique(pairs[:, 0])
    partner = np.array([times_b[pairs[pairs[:, 0] == row, 1]].mean() for row in rows])
    found = np.stack([times_a[rows], np.maximum.accumulate(partner)], 1)
    ends = [float(times[-1]) + 1 / rate for times, rate in ((times_a, rate_a), (times_b, rate_b))]
    return {"pairs": np.round(found, 4).tolist(), "seconds": ends, "rates": [rate_a, rate_b]}


def _signature(path: Path, limits: Limits) -> tuple[Floats, Floats, float]:
    """Times (T,) in seconds, what moves in small grey frames (T, CELLS²), and the frame rate.

    The median over time is taken off, so that the background, which says nothing of the moment, is gone.
    """
    info = video.probe(path)
    limits.check(info)
    numbers = np.unique(np.linspace(0, info.frames - 1, MOMENTS).round().astype(int))
    read = video.stream(path, numbers.tolist(), size=(CELLS, CELLS), interpolation="area")
    grey = np.array([frame.mean(2).ravel() for _, frame in read])
    moving = grey - np.median(grey, 0)
    return _times(path, info.frames)[numbers], moving / (moving.std() or 1.0), info.rate or PACE


def _times(path: Path, frames: int) -> Floats:
    """Seconds (T,) at which a browser shows the frames."""
    found = video.times(path)
    return np.arange(frames) / PACE if found is None else found


def transcode(path: Path, out: Path, limits: Limits) -> dict[str, Any]:
    """Write a video as H.264 in MP4, or VP8 in WebM where FFmpeg has no encoder for it, upright and without sound.

    Returns:
        ``kind``: the media type.

    Raises:
        VideoError: it cannot be read, or is longer or larger than allowed.
    """
    info = video.probe(path)
    limits.check(info)
    h264 = "libx264" in av.codecs_available
    shrink = min(1.0, TALL / info.height)
    size = tuple(max(2, 2 * round(side * shrink / 2)) for side in (info.height, info.width))
    options = {"movflags": "+faststart"} if h264 else {}
    with av.open(str(out), "w", format="mp4" if h264 else "webm", options=options) as container:
        rate = Fraction(info.rate or PACE).limit_denominator(1001)  # told to the encoder; the times are those of frames
        made = container.add_stream("libx264" if h264 else "libvpx", rate=rate)
        made.height, made.width = size
        made.pix_fmt = "yuv420p"
        made.thread_count = 1
        if h264:
            made.options = {"preset": "veryfast", "crf": "23"}
        made.codec_context.time_base = TICK  # so that pauses and changes of the pace stay
        times = _times(path, info.frames)
        for number, frame in video.stream(path, size=(size[0], size[1]), interpolation="area"):
            container.mux(made.encode(_picture(frame, times[number])))
        container.mux(made.encode())
    return {"kind": "video/mp4" if h264 else "video/webm"}


def _picture(frame: NDArray[np.uint8], time: float) -> av.VideoFrame:
    made = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
    made.pts, made.time_base = round(time / TICK), TICK
    return made


def main(task: dict[str, Any]) -> dict[str, Any]:
    """Do a task; what is wrong with a video is said by its name and not by its path."""
    limits = Limits(**task["limits"])
    confine(limits.memory)
    paths = [Path(path) for path in task["paths"]]
    try:
        do = {"align": align, "transcode": transcode}[task["do"]]
        return do(paths[0], paths[1], limits)
    except AqakitError as error:
        said = str(error)
        for path, name in zip(task["paths"], task["names"]):
            said = said.replace(path, name)
        return {"problem": said}
    except (av.error.FFmpegError, MemoryError) as error:
        return {"problem": str(VideoError(f"{task['names'][0]} cannot be converted ({type(error).__name__})"))}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
