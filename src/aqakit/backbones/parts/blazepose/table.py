"""A person's joints as a table: one row for each frame, and cells without a number where the body was not found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aqakit.backbones.parts.blazepose.finding import Person
from aqakit.recordings.skeletons.parts.layouts import LAYOUTS
from aqakit.system.files import write_text

LAYOUT = LAYOUTS["blazepose33"]


def columns() -> list[str]:
    """The names of the columns: seconds, then x, y in pixels of the upright picture and visibility of each joint."""
    return ["time_s", *(f"{joint}_{what}" for joint in LAYOUT.joints for what in ("x", "y", "visibility"))]


def write(file: Path, person: Person, joints: NDArray[np.float32]) -> None:
    """Write the table as CSV.

    Args:
        file: where to.
        person: its times and visibility are written.
        joints: (T, 33, 2 or 3) its joints, perhaps filled and smoothed; a frame that was filled has visibility 0.
    """
    lines = [",".join(columns())]
    for time, points, visible in zip(person.times, joints, person.visibility):
        lines.append(f"{time:.6f},{_cells(points, visible)}")
    write_text(file, "\n".join(lines) + "\n")


def _cells(points: NDArray[np.float32], visible: NDArray[np.float32]) -> str:
    if not np.isfinite(points[0, 0]):
        return ",".join([",,"] * len(LAYOUT.joints))
    return ",".join(f"{x:.2f},{y:.2f},{seen:.3f}" for (x, y), seen in zip(points[:, :2], visible))
