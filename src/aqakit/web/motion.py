"""A recording of motion, a table or a skeleton, as channels over time. Runs in a process that may die."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from aqakit.backbones.skeleton import body_size
from aqakit.errors import DataError
from aqakit.explanation.comparison import Track, track
from aqakit.recordings import signals, skeletons
from aqakit.recordings.clip_plan import thinned
from aqakit.recordings.repetitions import RATE
from aqakit.training.run import Run
from aqakit.web.models import Motion

CHANNELS = 6
"""Curves that are drawn: those of the channels that move most."""

POINTS = 300
"""Points of a curve."""

_SUFFIX = re.compile(r".*?((\.[A-Za-z0-9]{1,8}){1,2})", re.DOTALL)


def suffix_of(name: str) -> str:
    """Return the ending of a visitor's file, by which formats of motion are told apart.

    >>> suffix_of("Squat.TXT.gz"), suffix_of("squat")
    ('.txt.gz', '')
    """
    found = _SUFFIX.fullmatch(name)
    return found[1].lower() if found else ""


@contextmanager
def with_suffix(path: Path, name: str) -> Iterator[Path]:
    """Lend a path that ends as the visitor's file does."""
    with tempfile.TemporaryDirectory(prefix="aqakit-") as folder:
        link = Path(folder) / f"recording{suffix_of(name)}"
        link.symlink_to(path.resolve())
        yield link


def layout_of(run: Run) -> str | None:
    """Return the layout in which a run reads joints; None if it takes that of each file."""
    backbones = run.backbones.values()
    given = [getattr(one, option, None) for one in backbones for option in ("order", "layout")]
    return next((name for name in given if name in skeletons.LAYOUTS), None)


def curves(path: Path, kind: str, layout: str | None = None) -> Motion:
    """Return the channels that move most, relative to the others of their unit, in the order of the file.

    Raises:
        DataError: it cannot be read.
    """
    found = channels(path, kind, layout)
    values, units = found.values, found.units
    spread = values.std(0)
    moves = spread / [max(spread[k] for k, other in enumerate(units) if other == unit) or 1.0 for unit in units]
    chosen = sorted(np.argsort(-moves, kind="stable")[:CHANNELS].tolist())
    rows = thinned(len(values), POINTS)
    return Motion(
        rate=found.rate if kind == "skeleton" else 0.0,
        length=len(values),
        names=[found.names[k] for k in chosen],
        units=[units[k] for k in chosen],
        rows=rows.tolist(),
        values=[[float(f"{x:.5g}") for x in values[rows, k]] for k in chosen],
        channels=len(found.names),
    )


def channels(path: Path, kind: str, layout: str | None = None) -> Track:
    """Read a recording as channels over time, by a rate that is assumed if the file does not tell one.

    Args:
        path: the file.
        kind: ``skeleton``, for the angles and places of its joints, or ``signal``, for the columns of a table.
        layout: which joint is which, if the file does not tell.

    Raises:
        DataError: it cannot be read.
    """
    if kind == "skeleton":
        try:
            return track(path, layout)
        except DataError:  # too short, or without joints that angles need
            return _places(path, layout)
    values = signals.kinematics(path).astype(np.float64)
    if values.ndim != 2 or not len(values):
        raise DataError(f"{path}: is no table of motion")
    width = values.shape[1]
    return Track(values, RATE, tuple(f"column {k}" for k in range(1, width + 1)), ("",) * width)


def _places(path: Path, layout: str | None) -> Track:
    """The coordinates of the joints, around the middle of the body."""
    body = skeletons.read(path, layout=layout)
    joints = body.joints.astype(np.float64)
    values = (joints - joints.mean((0, 1))) / body_size(body.joints)
    count = joints.shape[1]
    named = body.layout.joints if body.layout else tuple(f"joint {k + 1}" for k in range(count))
    names = tuple(f"{name.replace('_', ' ')} {axis}" for name in named for axis in "xyz"[: joints.shape[2]])
    return Track(values.reshape(len(joints), -1), body.rate or RATE, names, ("body sizes",) * len(names))
