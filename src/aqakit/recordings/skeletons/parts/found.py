"""From what a format found in a file to one body: layout, gaps, the axis that points up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aqakit.errors import DataError
from aqakit.recordings.skeletons.parts import gaps
from aqakit.recordings.skeletons.parts.body import Body, Up
from aqakit.recordings.skeletons.parts.layouts import LAYOUTS, Layout
from aqakit.recordings.skeletons.parts.tables import in_range
from aqakit.system.files import check_size

RATE = 30.0
"""Frames per second by which the longest gap is counted where a file does not tell."""

_AXES: dict[Up, tuple[int, int]] = {"-y": (1, -1), "+y": (1, 1), "+z": (2, 1)}


@dataclass(frozen=True)
class Found:
    """What a format found in a file.

    Attributes:
        values: (T, J, 2 or 3), NaN where a joint is missing.
        layout: what the format says of the joints; None if only their number is known.
        confidence: (T, J); None if there is none.
        rate: frames per second; None if the file does not tell.
        unit: as in :class:`Body`.
        up: the axis that points up; None if the format does not fix it.
        notes: sentences on what was assumed.
    """

    values: NDArray[np.floating]
    layout: Layout | None = None
    confidence: NDArray[np.floating] | None = None
    rate: float | None = None
    unit: str = "unknown"
    up: Up | None = None
    notes: tuple[str, ...] = ()


def body_of(path: Path, found: Found, wanted: Layout | None, gap: float) -> Body:
    """Finish what a format found.

    Args:
        path: of the file, for messages.
        found: see :class:`Found`.
        wanted: the layout that the user asked for.
        gap: seconds of the longest gap that is filled without a flag.

    Raises:
        DataError: a value is infinite, no joint is ever seen, or the joints are not those of the layout.
    """
    _check(path, found.values)
    found = _in_layout(path, found, wanted)
    missing: NDArray[np.bool_] = np.asarray(np.isnan(found.values).any(2))
    if missing.all():
        raise DataError(f"{path}: no joint is seen in any of {len(missing)} frames; export it again, with its joints")
    longest = int(np.floor(gap * (found.rate or RATE) + 1e-6))
    values, seen = found.values, ~missing
    if missing.any():
        values, seen, _ = gaps.fill(np.asarray(found.values, np.float64), longest)
    up, told = _up(found, values)
    return Body(
        joints=in_range(values),
        layout=found.layout,
        seen=seen,
        confidence=None if found.confidence is None else _shares(found.confidence),
        rate=found.rate,
        unit=found.unit,
        up=up,
        notes=(*found.notes, *told, *_about_gaps(found, missing, seen, longest)),
    )


def _check(path: Path, values: NDArray[np.floating]) -> None:
    if values.ndim != 3 or values.size == 0:
        raise DataError(f"{path} has no frames with joints; export it again, with its joints")
    check_size(path, values.size * 4)
    if values.shape[2] not in (2, 3):
        raise DataError(f"{path}: a joint must have 2 or 3 coordinates, not {values.shape[2]}; leave out other columns")
    bad = np.argwhere(np.isinf(in_range(values)))
    if len(bad):
        frame, joint, axis = bad[0]
        raise DataError(
            f"{path}, frame {frame}, joint {joint}, counted from 0: its {'xyz'[axis]} is not a finite number; correct "
            "it, or leave it empty"
        )
    half = np.isnan(values).any((0, 2)) & ~(~np.isnan(values)).all(2).any(0) & ~np.isnan(values).all((0, 2))
    if half.any():
        joint = int(np.flatnonzero(half)[0])
        raise DataError(
            f"{path}: of joint {joint}, counted from 0, never are all coordinates finite numbers; give them all, or "
            "none"
        )


def _in_layout(path: Path, found: Found, wanted: Layout | None) -> Found:
    """Name the joints: as the format says, as the user asks, or by their number."""
    number = found.values.shape[1]
    if found.layout is not None and wanted is not None and found.layout != wanted:
        return _chosen(path, found, found.layout, wanted)
    if found.layout is not None:
        return found
    if wanted is not None:
        if len(wanted.joints) != number:
            raise DataError(
                f"{path} has {number} joints, and {wanted.name} has {len(wanted.joints)}; give another layout"
            )
        return replace(found, layout=wanted)
    fitting = [layout for layout in LAYOUTS.values() if len(layout.joints) == number]
    if len(fitting) == 1:
        told = f"{number} joints without names are taken as {fitting[0].name}; layout= says otherwise"
        return replace(found, layout=fitting[0], notes=(*found.notes, told))
    if not fitting:
        return found
    names = " or ".join(layout.name for layout in fitting)
    told = f"{number} joints without names may be {names}; say which with layout={fitting[0].name}"
    return replace(found, notes=(*found.notes, told))


def _chosen(path: Path, found: Found, has: Layout, wanted: Layout) -> Found:
    """Take the joints of one layout out of another by their names."""
    places = [has.of(joint) for joint in wanted.joints]
    lacking = [joint for joint, place in zip(wanted.joints, places, strict=True) if place is None]
    if lacking:
        shown = ", ".join(lacking[:5])
        raise DataError(f"{path} has no {shown}, which {wanted.name} needs; leave out layout=, or give another")
    values = np.stack([found.values[:, list(place or ())].mean(1) for place in places], 1)
    confidence = found.confidence
    if confidence is not None:
        confidence = np.stack([confidence[:, list(place or ())].min(1) for place in places], 1)
    told = f"joints of {wanted.name} were taken by their names from {len(has.joints)} joints"
    return replace(found, values=values, confidence=confidence, layout=wanted, notes=(*found.notes, told))


def _up(found: Found, values: NDArray[np.floating]) -> tuple[Up, tuple[str, ...]]:
    """The axis that points up: as the format says; of pictures, against y; else the one from feet to head."""
    if found.up is not None:
        return found.up, ()
    if values.shape[2] == 2:
        return "-y", ()
    low, high = (_mean_of(found.layout, values, names) for names in (("left_ankle", "right_ankle"), ("neck", "nose")))
    if low is None or high is None:
        return "+y", ("y is taken to point up",)
    rise = high - low
    up = max(_AXES, key=lambda axis: rise[_AXES[axis][0]] * _AXES[axis][1])
    return up, (f"{up} is taken to point up, from the feet to the head",)


def _mean_of(
    layout: Layout | None, values: NDArray[np.floating], names: tuple[str, ...]
) -> NDArray[np.floating] | None:
    places = [place for name in names if layout and (place := layout.of(name))]
    numbers = [number for place in places for number in place]
    return values[:, numbers].mean((0, 1)) if numbers else None


def _shares(confidence: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.clip(np.nan_to_num(confidence, nan=0.0, posinf=1.0, neginf=0.0), 0, 1).astype(np.float32)


def _about_gaps(found: Found, missing: NDArray[np.bool_], seen: NDArray[np.bool_], longest: int) -> tuple[str, ...]:
    if not missing.any():
        return ()
    never: NDArray[np.bool_] = np.asarray(missing.all(0))
    told = []
    short = int((missing & seen).sum())
    long = int((~seen[:, ~never]).sum())
    whole = missing[:, ~never].size
    if short:
        told.append(f"{short} of {whole} positions were missing for at most {longest} frames and are interpolated")
    if long:
        told.append(f"{long} of {whole} positions were missing for more than {longest} frames: interpolated, not seen")
    if never.any():
        names = found.layout.joints if found.layout else [str(k) for k in range(len(never))]
        shown = ", ".join(names[k] for k in np.flatnonzero(never)[:5]) + (" …" if never.sum() > 5 else "")
        told.append(f"never seen: {shown}")
    return tuple(told)
