"""Name clips by the named segments of their recording, and say what each name adds to the score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aqakit.types import LabelSpec, Segment


@dataclass(frozen=True)
class Part:
    """What all clips of one name add together.

    Attributes:
        name: of the segments, such as ``G3``.
        clips: number of clips.
        points: sum of what they add.
        error: sum of their standard errors, which that of ``points`` is not above.
        sentence: such as ``G3, pushing the needle through the tissue: −1.9 points``.
    """

    name: str
    clips: int
    points: float
    error: float
    sentence: str


def clip_names(spans: NDArray[np.int64], segments: Sequence[Segment]) -> list[str]:
    """Return for each span of frames (N, 2) the name that at least half of its frames have, or nothing.

    >>> clip_names(np.array([[0, 9], [10, 19], [12, 40]]), [Segment("run-up", 0, 12), Segment("take-off", 13, 19)])
    ['run-up', 'take-off', '']
    """
    named = []
    for first, last in spans.tolist():
        shares = Counter[str]()
        for segment in segments:
            shares[segment.name] += max(min(last, segment.last) - max(first, segment.first) + 1, 0)
        name, share = max(shares.items(), key=lambda one: one[1], default=("", 0))
        named.append(name if 2 * share >= last - first + 1 else "")
    return named


def parts(names: Sequence[str], points: Sequence[float], errors: Sequence[float], labels: LabelSpec) -> list[Part]:
    """Sum what the clips of each name add, the costliest first; clips without a name are left out.

    Args:
        names: of the clips.
        points: what each adds.
        errors: their standard errors.
        labels: say what names stand for, and the unit of points.
    """
    found = []
    for name in dict.fromkeys(filter(None, names)):
        own = [k for k, other in enumerate(names) if other == name]
        total = sum(points[k] for k in own)
        what = f"{name}, {labels.segments[name]}" if name in labels.segments else name
        amount = f"{abs(total):.1f}"
        sign = "" if not float(amount) else "+" if total > 0 else "−"
        said = f"{what}: {sign}{amount} {labels.scale.unit}"
        found.append(Part(name, len(own), total, sum(errors[k] for k in own), said))
    return sorted(found, key=lambda part: part.points)
