"""Names of columns such as ``left_knee_x``: which column is which coordinate of which joint."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_NAME = re.compile(r"(?P<joint>.+?)[_.: -]+(?P<what>[A-Za-z]+)(?:[_ ]\(?(?P<unit>px|pixels?|mm|cm|m)\)?)?")
_CLOCK = re.compile(
    r"|#|t|(?:time|timestamp|seconds?)s?(?:[_ (]*(?P<unit>s|sec|ms)\)?)?|frames?#?|frame[_ ]?(?:id|index|number|no|nr)|"
    r"index|unnamed: 0",
    re.IGNORECASE,
)
"""Columns that count or time the rows."""

_CONFIDENCE = {
    "visibility", "vis", "confidence", "conf", "likelihood", "score", "presence", "prob", "probability", "state",
    "trackingstate", "tracking", "tracked", "c", "v", "p", "s",
}  # fmt: skip
UNITS = {
    None: ("unknown", 1.0),
    "p": ("pixels", 1.0),
    "m": ("metres", 1.0),
    "mm": ("metres", 1e-3),
    "cm": ("metres", 1e-2),
}
"""Unit of a body, and by what values are multiplied, by the unit in a name."""


@dataclass(frozen=True)
class Columns:
    """Columns of a table of joints.

    Attributes:
        names: (J,) as in the file.
        places: (J, C) number of the column of each coordinate.
        confidence: (J,) number of the column of each joint's confidence; None without any.
        states: whether the confidence is a tracking state: 0 not tracked, 1 inferred, 2 tracked.
        time: number of a column of times, and how many of its units make a second; None without any.
        frame: number of a column that counts frames; None without any.
        unit: a key of :data:`UNITS`.
    """

    names: tuple[str, ...]
    places: tuple[tuple[int, ...], ...]
    confidence: tuple[int, ...] | None = None
    states: bool = False
    time: tuple[int, float] | None = None
    frame: int | None = None
    unit: str | None = None


def parse(head: Sequence[str]) -> Columns | None:
    """Read names of columns: of each joint x, y and, of all or none, z, in this order; None if they are not such.

    >>> parse(["time_s", "nose_x", "nose_y", "nose_visibility"]).confidence
    (3,)
    """
    joints: dict[str, dict[str, int]] = {}
    clocks: list[tuple[int, re.Match[str]]] = []
    units: set[str | None] = set()
    state = False
    for at, cell in enumerate(head):
        clock = _CLOCK.fullmatch(cell)
        named = None if clock else _NAME.fullmatch(cell)
        what = named["what"].lower() if named else ""
        if named and (what in {"x", "y", "z"} or what in _CONFIDENCE):
            kind = what if what in {"x", "y", "z"} else "confidence"
            state |= "track" in what or what == "state"
            if kind != "confidence":
                units.add(named["unit"] and named["unit"].lower())
            elif kind in joints.get(named["joint"], {}):
                continue  # visibility and presence
            if joints.setdefault(named["joint"], {}).setdefault(kind, at) != at:
                return None
        elif clock:
            clocks.append((at, clock))
        else:
            return None
    return _columns(joints, clocks, units, state)


def _columns(
    joints: dict[str, dict[str, int]], clocks: list[tuple[int, re.Match[str]]], units: set[str | None], state: bool
) -> Columns | None:
    axes = "xyz" if any("z" in one for one in joints.values()) else "xy"
    if not joints or any(not set(axes) <= set(one) for one in joints.values()):
        return None
    places = tuple(tuple(one[axis] for axis in axes) for one in joints.values())
    if any(list(place) != sorted(place) for place in places) or len(units) > 1:
        return None
    confident = [one.get("confidence") for one in joints.values()]
    given = tuple(at for at in confident if at is not None)
    if given and len(given) != len(joints):
        return None
    unit = next(iter(units))
    return Columns(
        names=tuple(joints),
        places=places,
        confidence=given or None,
        states=state,
        time=next((_time(at, clock) for at, clock in clocks if clock[0].lower().startswith(("t", "sec"))), None),
        frame=next((at for at, clock in clocks if clock[0].lower().startswith("frame")), None),
        unit="p" if unit and unit.startswith("p") else unit,
    )


def _time(at: int, clock: re.Match[str]) -> tuple[int, float]:
    return at, 1000.0 if (clock["unit"] or "").lower() == "ms" else 1.0
