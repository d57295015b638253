"""One person's joints over time, as every format gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aqakit.recordings.skeletons.parts.layouts import Layout

Up = Literal["-y", "+y", "+z"]
"""Which way is up: pictures count y downwards, Kinect upwards, motion capture often has z upwards."""


@dataclass(frozen=True)
class Body:
    """Joints of one person over time.

    Attributes:
        joints: (T, J, 2 or 3) float32, finite: gaps up to the stated length are filled, longer ones too, but flagged.
        layout: which joint is which; None if the file does not tell and the number fits none.
        seen: (T, J) bool, False where a joint was missing for longer than the stated gap; it is filled in all the same.
        confidence: (T, J) in [0, 1] as the estimator gave it; None if it gave none.
        rate: frames per second; None if the file does not tell.
        unit: ``pixels``, ``metres``, ``body`` sizes, or ``unknown``.
        up: the axis that points up.
        notes: sentences on what was assumed or filled.
    """

    joints: NDArray[np.float32]
    layout: Layout | None
    seen: NDArray[np.bool_]
    confidence: NDArray[np.float32] | None = None
    rate: float | None = None
    unit: str = "unknown"
    up: Up = "-y"
    notes: tuple[str, ...] = ()
