"""MediaPipe: landmarks as CSV or JSON, with visibility.

CSV with columns ``x0, y0, z0, v0`` … of 33 landmarks, or with a row for each landmark (``frame, landmark, x, y, z,
visibility``); JSON with a list of landmarks for each frame, under names such as ``pose_landmarks`` or
``worldLandmarks``, perhaps of several people. Columns such as ``nose_x`` are read by the format ``table``.
https://ai.google.dev/edge/mediapipe/solutions/vision/pose_landmarker
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqakit.errors import DataError
from aqakit.recordings.skeletons.parts import clock, detections, naming, tables
from aqakit.recordings.skeletons.parts.found import Found
from aqakit.recordings.skeletons.parts.layouts import LAYOUTS, Layout
from aqakit.recordings.skeletons.parts.people import Person
from aqakit.recordings.skeletons.parts.source import Source

_LAYOUT = LAYOUTS["blazepose33"]
_COLUMN = re.compile(r"(?P<what>x|y|z|v|vis|visibility|p|presence|c|s|score)[_ ]?(?P<joint>[0-9]+)", re.IGNORECASE)
_LONG = {
    "frame": ("frame", "frame_id", "frame_number", "frame_index", "image"),
    "joint": ("landmark", "landmark_id", "landmark_index", "landmark_name", "joint", "id", "index", "name", "keypoint"),
    "confidence": ("visibility", "vis", "v", "score", "confidence"),
}
"""Names of columns in a table with a row for each landmark, beside x, y and z."""

_WORLD = ("pose_world_landmarks", "world_landmarks", "poseWorldLandmarks", "worldLandmarks")
_PICTURE = ("pose_landmarks", "poseLandmarks", "landmarks", "landmark", "keypoints")
_FRAMES = ("frames", "results", "data", "poses")
_FRACTIONS = "x and y are fractions of the picture's width and height: measures are right if the picture is square"


def fits(source: Source) -> bool:
    """Whether it has numbered columns, a row for each landmark, or objects with x and y."""
    if source.kind == "json":
        return _has_landmarks(source.json, 6)
    if source.kind != "text":
        return False
    return _numbered(source.head) is not None or _long(source.head) is not None


def read(source: Source) -> Found:
    """Read the landmarks of one person.

    Raises:
        DataError: a landmark has no x or y, or frames have different numbers of them.
    """
    if source.kind == "json":
        return _of_json(source)
    table = _numbered(source.head)
    return _of_rows(source) if table is None else _of_columns(source, table)


def _numbered(head: list[str]) -> dict[str, list[int]] | None:
    """Columns of x, y, z and confidence in the order of the landmarks' numbers; None if they are not so named."""
    found: dict[str, dict[int, int]] = {}
    for at, cell in enumerate(head):
        if named := _COLUMN.fullmatch(cell):
            what = named["what"].lower()
            kind = what if what in {"x", "y", "z"} else "v" if what[0] in "vcs" else "p"
            found.setdefault(kind, {})[int(named["joint"])] = at
        elif cell and cell.lower() not in {"frame", "time", "timestamp", "class", "index", "time_s", "timestamp_ms"}:
            return None
    numbers = sorted(found.get("x", {}))
    if len(numbers) < 5 or any(sorted(found.get(kind, numbers)) != numbers for kind in "yzv") or "y" not in found:
        return None
    return {kind: [places[number] for number in numbers] for kind, places in found.items()}


def _of_columns(source: Source, places: dict[str, list[int]]) -> Found:
    skip = source.first + 1
    if "class" in (cell.lower() for cell in source.head):
        raise DataError(f"{source.path}, line {skip}: a column of classes is no motion; leave it out")
    table = tables.numbers(source.path, source.lines, skip, source.mark)
    if table.shape[1] != len(source.head):
        raise DataError(
            f"{source.path}: line {skip} names {len(source.head)} columns, but the rows have {table.shape[1]}; export "
            "it again"
        )
    values = np.stack([table[:, places[axis]] for axis in "xyz" if axis in places], 2)
    return _finished(source.path, values, table[:, places["v"]] if "v" in places else None)


def _finished(path: Path, values: NDArray[np.float64], confidence: NDArray[np.float64] | None) -> Found:
    lost = (np.nan_to_num(values) == 0).all(2)
    values = np.where(lost[..., None], np.nan, values)
    layout = _LAYOUT if values.shape[1] == len(_LAYOUT.joints) else None
    return Found(values, layout=layout, confidence=confidence, up="-y", notes=_about(values))


def _about(values: NDArray[np.floating]) -> tuple[str, ...]:
    xy = values[..., :2]
    inside = np.nanmax(np.abs(xy), initial=0.0) < 3 and np.nanmin(xy, initial=1.0) > -0.5
    return (_FRACTIONS,) if inside else ()


def _long(head: list[str]) -> dict[str, int] | None:
    """Columns of a table with a row for each landmark; None if it is none."""
    cells = [cell.lower() for cell in head]
    found = {axis: cells.index(axis) for axis in "xyz" if axis in cells}
    for kind, names in _LONG.items():
        at = next(
            (cells.index(name) for name in names if name in cells and cells.index(name) not in found.values()), None
        )
        if at is not None:
            found[kind] = at
    return found if {"frame", "joint", "x", "y"} <= set(found) else None


def _of_rows(source: Source) -> Found:
    path, place = source.path, _long(source.head) or {}
    rows: dict[float, dict[str, list[float]]] = {}
    keys = [key for key in ("x", "y", "z", "confidence") if key in place]
    for at, line in enumerate(source.lines[source.first + 1 :], source.first + 2):
        if not line.strip(" \t,;"):
            continue
        row = [cell.strip().strip('"') for cell in line.split(source.mark)]
        if len(row) != len(source.head):
            raise DataError(
                f"{path}, line {at}: it has {len(row)} columns, not {len(source.head)}; export the file again"
            )
        frame = tables.value(path, at, place["frame"] + 1, row[place["frame"]])
        if np.isnan(frame):
            raise DataError(f"{path}, line {at}: the frame has no number; export the file again")
        joints = rows.setdefault(frame, {})
        if row[place["joint"]] in joints:
            raise DataError(
                f"{path}, line {at}: landmark {row[place['joint']]!r} twice in frame {frame:g}; keep one person"
            )
        joints[row[place["joint"]]] = [tables.value(path, at, place[key] + 1, row[place[key]]) for key in keys]
    if not rows:
        raise DataError(f"{path} has no rows of landmarks; export it again")
    names, layout = _names(path, rows)
    order = sorted(rows)
    blank = [np.nan] * len(keys)
    table = np.array([[rows[frame].get(name, blank) for name in names] for frame in order])
    confidence = np.nan_to_num(table[..., -1]) if "confidence" in place else None
    values = table[..., : len(keys) - ("confidence" in place)]
    values, confidence, told = clock.with_gaps(path, np.array(order), values, confidence)
    return Found(values, layout=layout, confidence=confidence, up="-y", notes=(*told, *_about(values)))


def _names(path: Path, rows: dict[float, dict[str, list[float]]]) -> tuple[list[str], Layout | None]:
    """The landmarks in their order, and their layout."""
    names = list(dict.fromkeys(name for joints in rows.values() for name in joints))
    if all(re.fullmatch(r"[0-9]+(?:\.0)?", name) for name in names):
        names.sort(key=float)
        return names, _LAYOUT if len(names) == len(_LAYOUT.joints) else None
    called = naming.canonical(names)
    if set(called) == set(_LAYOUT.joints):
        return [names[called.index(joint)] for joint in _LAYOUT.joints], _LAYOUT
    layout = naming.layout_of(called)
    return names, layout if naming.is_known(called) else None


def _has_landmarks(value: Any, depth: int) -> bool:
    """Whether the first objects on the way down have x and y."""
    if isinstance(value, dict):
        if "x" in value and "y" in value:
            return True
        keys = [key for key in (*_WORLD, *_PICTURE, *_FRAMES) if key in value]
        return depth > 0 and any(_has_landmarks(value[key], depth - 1) for key in keys)
    return depth > 0 and isinstance(value, list) and any(_has_landmarks(one, depth - 1) for one in value[:1000])


def _of_json(source: Source) -> Found:
    loaded = source.json
    if isinstance(loaded, dict):
        loaded = next((loaded[key] for key in _FRAMES if isinstance(loaded.get(key), list)), [loaded])
    if loaded and all(_is_landmark(one) for one in loaded):
        loaded = [loaded]
    world = any(isinstance(one, dict) and any(one.get(key) for key in _WORLD) for one in loaded)
    frames: dict[float, list[Person]] = {}
    for at, one in enumerate(loaded):
        number = one.get("frame", at) if isinstance(one, dict) else at
        where = f"frame {at}, counted from 0"
        place = detections.frame_number(source.path, at, number, frames)
        frames[place] = [_person(source.path, where, some) for some in _people(source.path, where, one, world)]
    seconds = _seconds(loaded)
    layouts = {len(_LAYOUT.joints): _LAYOUT}
    found = detections.found_in(
        source.path,
        frames,
        layouts,
        up="-y",
        unit="metres" if world else "unknown",
        rate=None if seconds is None else clock.rate_of(source.path, seconds),
    )
    return found if world else Found(**{**vars(found), "notes": (*found.notes, *_about(found.values))})


def _is_landmark(one: Any) -> bool:
    return isinstance(one, dict) and "x" in one and "y" in one


def _people(path: Path, where: str, frame: Any, world: bool) -> list[list[Any]]:
    """Return the lists of landmarks of the people in a frame."""
    while isinstance(frame, dict):
        key = next((key for key in ((*_WORLD, *_PICTURE) if world else (*_PICTURE, *_WORLD)) if key in frame), None)
        if key is None:
            raise DataError(f"{path}, {where}: no landmarks; export the file again")
        frame = frame[key]
    if frame is None or frame == []:
        return []
    if not isinstance(frame, list):
        raise DataError(
            f"{path}, {where}: landmarks should be a list, not {detections.kind_of(frame)}; export it again"
        )
    if all(isinstance(one, dict) and not _is_landmark(one) and "landmark" in one for one in frame):
        frame = [one["landmark"] for one in frame]
    people = frame if all(isinstance(one, list) for one in frame) else [frame]
    return [one for one in people if one]


def _person(path: Path, where: str, landmarks: Any) -> Person:
    if not isinstance(landmarks, list) or not all(map(_is_landmark, landmarks)):
        raise DataError(f"{path}, {where}: a landmark without x and y; export the file again")
    axes = "xyz" if all("z" in one for one in landmarks) else "xy"
    flat = [one[axis] for one in landmarks for axis in axes]
    values = detections.numbers(path, where, flat, len(axes))
    key = next((key for key in ("visibility", "score", "presence") if all(key in one for one in landmarks)), None)
    seen = detections.numbers(path, where, [one[key] for one in landmarks], 1)[:, 0] if key else None
    return Person(values, seen)


def _seconds(frames: list[Any]) -> NDArray[np.float64] | None:
    """Times of all frames in seconds; None if not all have one."""
    for key, units in (("time_s", 1.0), ("timestamp_ms", 1e3), ("timestampMs", 1e3), ("time", 1.0)):
        times = [one.get(key) if isinstance(one, dict) else None for one in frames]
        if all(isinstance(time, int | float) and abs(time) < 2**53 for time in times):
            return np.array(times, np.float64) / units
    return None
