"""The joints that a run has found in a video, to be drawn over it. Runs in a process that may die."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aqakit.backbones.blazepose import BlazePose
from aqakit.errors import DataError
from aqakit.recordings import video
from aqakit.recordings.clip_plan import thinned
from aqakit.recordings.skeletons import LAYOUTS
from aqakit.training.run import Run
from aqakit.web.limits import Limits
from aqakit.web.models import Pose

LAYOUT = LAYOUTS["blazepose33"]

MOST = 3000
"""Frames that are told; of a longer video, as many evenly over the time."""

FINE = 10_000
"""Units of the width and of the height of the picture."""


def finder(run: Run) -> BlazePose | None:
    """Return the backbone by which a run finds joints in videos, if it has one."""
    return next((one for one in run.backbones.values() if isinstance(one, BlazePose)), None)


def pose(path: Path, run: Run, limits: Limits) -> Pose:
    """Find the joints of the subject as the run does.

    Raises:
        DataError: nobody is found, or the run does not look for anybody.
        VideoError: the video cannot be read, or is too long or too large.
    """
    backbone, rate = finder(run), run.sample(path).rate
    if backbone is None:
        raise DataError(f"{run.folder} does not look for joints in videos")
    limits.check(video.probe(path, rate))
    person, joints = backbone.follow(path, rate=rate)
    rows = thinned(len(joints), MOST)
    height, width = person.size
    shares = joints[rows] / [width, height] * FINE
    places = [[None if np.isnan(x) else round(x) for x in frame] for frame in shares.reshape(len(rows), -1).tolist()]
    return Pose(
        joints=list(LAYOUT.joints), bones=list(LAYOUT.bones), times=person.times[rows].round(4).tolist(), places=places
    )
