"""What formats of people found in pictures share: lists of numbers, frames by number, names by the number of joints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqakit.errors import DataError
from aqakit.recordings.skeletons.parts import clock, naming, people
from aqakit.recordings.skeletons.parts.found import Found
from aqakit.recordings.skeletons.parts.layouts import LAYOUTS, Layout
from aqakit.recordings.skeletons.parts.people import Person
from aqakit.recordings.skeletons.parts.tables import in_range

_COCO = LAYOUTS["coco17"].joints
_FEET = ("left_toe", "left_small_toe", "left_heel", "right_toe", "right_small_toe", "right_heel")
_HALPE = ("head_top", "neck", "pelvis", "left_toe", "right_toe", "left_small_toe", "right_small_toe", "left_heel")
LAYOUT_OF = {
    17: LAYOUTS["coco17"],
    23: naming.layout_of((*_COCO, *_FEET)),
    26: naming.layout_of((*_COCO, *_HALPE, "right_heel")),
}
"""Layouts of key points by their number: COCO, COCO-WholeBody without hands and face, Halpe."""

_WHOLE_BODY = 133
"""Key points of COCO-WholeBody, of which the first 23 are body and feet."""


def numbers(path: Path, where: str, values: Any, step: int) -> NDArray[np.float64]:
    """Return a list of numbers as (n, step), ``null`` as NaN.

    Raises:
        DataError: it is no such list.
    """
    if not isinstance(values, list):
        raise DataError(f"{path}, {where}: expected a list of numbers, not {kind_of(values)}; export it again")
    if any(isinstance(value, str | bool | list | dict) for value in values):
        wrong = next(value for value in values if isinstance(value, str | bool | list | dict))
        raise DataError(f"{path}, {where}: {str(wrong)[:20]!r} is not a finite number; export it again")
    if len(values) % step or not values:
        raise DataError(f"{path}, {where}: {len(values)} numbers are no {step} for each joint; export it again")
    try:
        found = np.array(values, np.float64).reshape(-1, step)
    except (ValueError, OverflowError, TypeError):
        raise DataError(f"{path}, {where}: not all of its values are finite numbers; export it again") from None
    if np.isinf(in_range(found)).any():
        joint = int(np.argwhere(np.isinf(in_range(found)))[0][0])
        raise DataError(f"{path}, {where}, joint {joint}, counted from 0: not a finite number; export it again")
    return found


def frame_number(path: Path, at: int, number: Any, taken: Mapping[float, object]) -> float:
    """Return the number of a frame.

    Raises:
        DataError: it is no whole number from 0, or another frame has it.
    """
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 2**53 or number in taken:
        raise DataError(
            f"{path}, frame {at}, counted from 0: its number is no whole one of its own; number them 0, 1, 2, …"
        )
    return float(number)


def kind_of(value: Any) -> str:
    """Return what a value of JSON is, in words."""
    words = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return words.get(type(value), "a number")


def person(joints: NDArray[np.float64], confidence: NDArray[np.float64] | None, name: Any = None) -> Person:
    """Make a person; a joint with no confidence, or with none at the corner of the picture, is missing."""
    if confidence is not None:
        joints = np.where((np.nan_to_num(confidence) > 0)[:, None], joints, np.nan)
    if len(joints) == _WHOLE_BODY:
        joints, confidence = joints[:23], confidence[:23] if confidence is not None else None
    return Person(joints, confidence, name if isinstance(name, int | str) else None)


def found_in(
    path: Path,
    frames: Mapping[float, Sequence[Person]],
    layouts: Mapping[int, Layout] = LAYOUT_OF,
    **about: Any,
) -> Found:
    """Choose one person of frames by number, and put in the frames that are not there.

    Args:
        path: of the file, for messages.
        frames: people by the number of their frame.
        layouts: layouts by number of joints.
        about: fields of :class:`Found`.

    Raises:
        DataError: there is nobody, or people have different numbers of joints.
    """
    order = sorted(frames)
    listed = [list(frames[number]) for number in order]
    sizes = {one.joints.shape: number for number, some in zip(order, listed, strict=True) for one in some}
    if not sizes:
        raise DataError(f"{path}: nobody is seen in any of {len(order)} frames; estimate the poses again")
    if len(sizes) > 1:
        (a, _), (b, at) = sorted(sizes.items(), key=lambda item: item[1])[:2]
        raise DataError(
            f"{path}, frame {at:g}: {b[0]} joints in {b[1]} dimensions, but other frames have {a[0]} in {a[1]}; use "
            "one model for all frames"
        )
    places = clock.slots(path, np.array(order))
    spread: list[list[Person]] = [[] for _ in range(int(places[-1]) + 1)]
    for place, some in zip(places, listed, strict=True):
        spread[place] = some
    joints, confidence, told = people.choose(spread)
    lost = len(spread) - len(listed)
    notes = (f"{lost} frames are missing from the numbers of the file",) if lost else ()
    about.setdefault("layout", layouts.get(joints.shape[1]))
    notes += about.pop("notes", ())
    return Found(joints, confidence=confidence, notes=(*notes, *told), **about)
