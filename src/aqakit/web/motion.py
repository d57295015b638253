"""A recording of motion, a table or a skeleton, as the page draws it. Runs in the worker process."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from aqakit.errors import DataError
from aqakit.explanation.comparison import track
from aqakit.recordings import signals
from aqakit.types import Floats
from aqakit.web.models import Motion

CHANNELS = 6
"""Curves that are drawn: those of the channels that move most."""

POINTS = 300
"""Points of a curve."""

_SUFFIX = re.compile(r".*?((\.[A-Za-z0-9]{1,8}){1,2})", re.DOTALL)


@contextmanager
def with_suffix(path: Path, name: str) -> Iterator[Path]:
    """Lend a path that ends as the visitor's file does, by which formats of motion are told apart."""
    found = _SUFFIX.fullmatch(name)
    with tempfile.TemporaryDirectory(prefix="aqakit-") as folder:
        link = Path(folder) / f"recording{found[1].lower() if found else ''}"
        link.symlink_to(path.resolve())
        yield link


def curves(path: Path, kind: str) -> Motion:
    """Return the channels that move most, relative to the others of their unit, in the order of the file.

    Raises:
        DataError: it cannot be read.
    """
    values, rate, names, units = _read(path, kind)
    spread = values.std(0)
    moves = spread / [max(spread[k] for k, other in enumerate(units) if other == unit) or 1.0 for unit in units]
    chosen = sorted(np.argsort(-moves, kind="stable")[:CHANNELS].tolist())
    rows = np.unique(np.linspace(0, len(values) - 1, POINTS).round().astype(int))
    return Motion(
        rate=rate,
        length=len(values),
        names=[names[k] for k in chosen],
        units=[units[k] for k in chosen],
        rows=rows.tolist(),
        values=[[float(f"{x:.5g}") for x in values[rows, k]] for k in chosen],
        channels=len(names),
    )


def _read(path: Path, kind: str) -> tuple[Floats, float, tuple[str, ...], tuple[str, ...]]:
    if kind == "skeleton":
        found = track(path)
        return found.values, found.rate, found.names, found.units
    values = signals.kinematics(path).astype(np.float64)
    if values.ndim != 2 or not len(values):
        raise DataError(f"{path}: is no table of motion")
    width = values.shape[1]
    return values, 0.0, tuple(f"column {k}" for k in range(1, width + 1)), ("",) * width
