"""The moments of a recording, and what each does to its score: its clips, or parts of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aqakit.explanation import occlusion
from aqakit.explanation.contributions import Contribution
from aqakit.explanation.whole import Whole
from aqakit.training.run import Run
from aqakit.types import Batch, Sample

PARTS = 6
"""Least number of moments that are explained; clips are divided if there are fewer."""


@dataclass(frozen=True)
class Moments:
    """Moments in order of time.

    Attributes:
        clips: each with the points that it adds.
        greyed: whether points are what the score loses if the moment is greyed out; else they add up from the baseline.
    """

    clips: tuple[Contribution, ...]
    greyed: bool = False

    @property
    def decisive(self) -> Contribution:
        """The moment that changes the score most, up or down."""
        return max(self.clips, key=lambda one: abs(one.points))


def of(run: Run, whole: Whole) -> Moments:
    """Return the clips, which add up to the score; of a video that is seen as one clip, its parts."""
    clips = whole.explanation.clips
    spans = np.array([[one.first, one.last] for one in clips])
    found = divided(run, whole.sample, whole.video, spans) if len(clips) == 1 else None
    if found is None:
        return Moments(clips)
    parts = zip(found[0].tolist(), found[1].tolist())
    return Moments(tuple(Contribution(k, a, b, gain, 0.0) for k, ((a, b), gain) in enumerate(parts)), greyed=True)


def divided(
    run: Run, sample: Sample, video: Batch, spans: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Divide the few clips of a video into at least :data:`PARTS` parts, and grey out each in turn.

    Args:
        run: the run.
        sample: the video.
        video: its features as one batch.
        spans: first and last frame (N, 2) of each clip.

    Returns:
        First and last frame (M, 2) of each part, and the points (M,) that the score loses without it; None if there are
        enough clips, they are too short, or the run does not read pixels clip by clip.
    """
    parts = math.ceil(PARTS / len(spans))
    if parts == 1 or (spans[:, 1] - spans[:, 0]).min() + 1 < parts:
        return None
    change = occlusion.over_time(run, sample, video.features[0], parts)
    if change is None:
        return None
    cuts = np.linspace(spans[:, 0], spans[:, 1] + 1, parts + 1, axis=1).round().astype(int)  # (N, parts + 1)
    return np.stack([cuts[:, :-1], cuts[:, 1:] - 1], -1).reshape(-1, 2), -change.ravel()
