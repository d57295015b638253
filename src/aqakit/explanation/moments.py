"""The moments of a recording, and what each does to its score: the clips, or the parts of the only clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aqakit.explanation import occlusion
from aqakit.explanation.contributions import Contribution
from aqakit.explanation.whole import Whole
from aqakit.training.run import Run

PARTS = 6
"""Into which the only clip of a recording is divided."""


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
    """Return the clips; of a video that is seen as one clip, its parts, each of which is greyed out in turn."""
    clips = whole.explanation.clips
    if len(clips) > 1 or not occlusion.can_occlude(run):
        return Moments(clips)
    (only,) = clips
    change = occlusion.of_sample(run, whole.sample, 0, cells=1, moments=PARTS)[:, 0, 0]
    length = only.last - only.first + 1
    ends = only.first + np.arange(PARTS + 1) * length // PARTS
    points = [-float(part.mean()) for part in np.array_split(change, PARTS) if len(part)]
    parts = zip(ends.tolist(), ends[1:].tolist(), points)
    return Moments(tuple(Contribution(k, a, max(a, b - 1), gain, 0.0) for k, (a, b, gain) in enumerate(parts)), True)
