"""COCO: a list of key-point results, as AlphaPose and detectors write it too.

Each result has ``image_id``, ``keypoints`` (x, y, score of each joint, in pixels) and ``score``; so have the
``annotations`` of a data set, whose third number is 0, not labelled, 1, hidden, or 2, seen.
https://cocodataset.org/#format-results
"""

from __future__ import annotations

from typing import Any

import numpy as np

from aqakit.errors import DataError
from aqakit.recordings.skeletons.parts import detections, files
from aqakit.recordings.skeletons.parts.found import Found
from aqakit.recordings.skeletons.parts.people import Person
from aqakit.recordings.skeletons.parts.source import Source


def fits(source: Source) -> bool:
    """Whether it is a list of objects with ``image_id`` and ``keypoints``."""
    found = _results(source.json) if source.kind == "json" else []
    return any(isinstance(one, dict) and "image_id" in one and "keypoints" in one for one in found)


def read(source: Source) -> Found:
    """Read the joints of one person; frames are in the order of ``image_id``, or of the last number in it.

    Raises:
        DataError: a result has no picture or no joints.
    """
    path = source.path
    frames: dict[float, list[Person]] = {}
    for at, one in enumerate(_results(source.json)):
        where = f"result {at}, counted from 0"
        if not isinstance(one, dict) or "image_id" not in one or "keypoints" not in one:
            raise DataError(f"{path}, {where}: it has no image_id, or no keypoints; export the file again")
        number = _number(one["image_id"])
        if number is None:
            raise DataError(f"{path}, {where}: image_id has no number; number the pictures of the recording 0, 1, 2, …")
        values = detections.numbers(path, where, one["keypoints"], 3)
        confidence = values[:, 2] / 2 if _is_flag(values[:, 2]) else values[:, 2]
        name = one.get("track_id", one.get("idx"))
        frames.setdefault(number, []).append(detections.person(values[:, :2], confidence, name))
    return detections.found_in(path, frames, unit="pixels", up="-y")


def _results(loaded: Any) -> list[Any]:
    found = loaded.get("annotations") if isinstance(loaded, dict) else loaded
    return found if isinstance(found, list) else []


def _number(image: Any) -> float | None:
    if isinstance(image, str):
        number = files.number_in(image.rpartition(".")[0] or image)
        return None if number < 0 else float(number)
    return float(image) if isinstance(image, int) and not isinstance(image, bool) and 0 <= image < 2**53 else None


def _is_flag(third: Any) -> bool:
    return bool(np.isin(third, (0, 1, 2)).all() and (third == 2).any())
