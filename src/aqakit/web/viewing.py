"""The process that opens untrusted recordings for the eye: it pairs two in time, or makes one that browsers show.

It does one task, given as JSON on the command line, within the limits of the worker, and writes JSON.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from aqakit.errors import AqakitError, VideoError
from aqakit.recordings import video
from aqakit.training.run import Run
from aqakit.web import aligning
from aqakit.web.aligning import PACE, frame_times
from aqakit.web.exemplars import glimpses
from aqakit.web.figures import figure
from aqakit.web.limits import Limits, confine
from aqakit.web.motion import with_suffix
from aqakit.web.poses import pose

OF_MOTION = ("align motion", "figure")
"""Tasks whose recordings are told apart by the ending of their name."""

TALL = 720
"""Largest height of a video made for browsers, in pixels."""

TICK = Fraction(1, 1000)
"""Unit of the times in such a video, in seconds."""


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
        times = frame_times(path, info.frames)
        for number, frame in video.stream(path, size=(size[0], size[1]), interpolation="area"):
            container.mux(made.encode(_picture(frame, times[number])))
        container.mux(made.encode())
    return {"kind": "video/mp4" if h264 else "video/webm"}


def _picture(frame: NDArray[np.uint8], time: float) -> av.VideoFrame:
    made = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
    made.pts, made.time_base = round(time / TICK), TICK
    return made


def main(task: dict[str, Any]) -> dict[str, Any]:
    """Do a task; what is wrong with a recording is said by its name and not by its path."""
    limits, more = Limits(**task["limits"]), task["options"]
    confine(limits.memory)
    paths, names = [Path(path) for path in task["paths"]], task["names"]
    tasks: dict[str, Callable[..., dict[str, Any]]] = {
        "align videos": lambda first, second: aligning.videos(first, second, limits),
        "align motion": lambda first, second: aligning.motion(first, second, **more),
        "figure": lambda path: figure(path, **more).model_dump(),
        "glimpses": lambda *some: {"found": [one.model_dump() for one in glimpses(some, names, **more)]},
        "pose": lambda path, run: pose(path, Run.load(run), limits).model_dump(),
        "transcode": lambda path, out: transcode(path, out, limits),
    }
    with ExitStack() as stack:
        if task["do"] in OF_MOTION:
            paths = [stack.enter_context(with_suffix(path, name)) for path, name in zip(paths, names, strict=True)]
        try:
            return tasks[task["do"]](*paths)
        except AqakitError as error:
            said = str(error)
            for path, name in zip(paths, names):
                said = said.replace(str(path), name)
            return {"problem": said}
        except (av.error.FFmpegError, MemoryError) as error:
            return {"problem": str(VideoError(f"{names[0]} cannot be shown ({type(error).__name__})"))}


if __name__ == "__main__":
    try:
        print(json.dumps(main(json.loads(sys.argv[1]))), flush=True)
    except BrokenPipeError:  # the server is gone
        os._exit(0)
