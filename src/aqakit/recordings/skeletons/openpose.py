"""OpenPose: a folder with a JSON file for each frame, or one JSON file.

``pose_keypoints_2d`` is x, y and confidence of 25 or 18 joints, in pixels; a joint that was not found is 0, 0, 0.
https://github.com/CMU-Perceptual-Computing-Lab/openpose/blob/master/doc/02_output.md
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aqakit.errors import DataError
from aqakit.recordings import csv_text
from aqakit.recordings.skeletons.parts import detections, files
from aqakit.recordings.skeletons.parts.detections import kind_of
from aqakit.recordings.skeletons.parts.found import Found
from aqakit.recordings.skeletons.parts.layouts import LAYOUTS
from aqakit.recordings.skeletons.parts.people import Person
from aqakit.recordings.skeletons.parts.source import Source, parse_json
from aqakit.system.files import check_size

_JSON = 1 / 8
_BODIES = (("pose_keypoints_2d", 3), ("pose_keypoints", 3), ("pose_keypoints_3d", 4))
"""Names of the list of joints, and numbers for each joint, of which the last is the confidence."""
_LAYOUT_OF = {18: LAYOUTS["openpose18"], 25: LAYOUTS["openpose25"]}


def fits(source: Source) -> bool:
    """Whether it is a folder of JSON, or JSON with ``people``."""
    if source.kind == "folder":
        return bool(files.frames_in(source.path))
    return source.kind == "json" and bool(_frames(source.json))


def read(source: Source) -> Found:
    """Read the joints of one person; frames are in the order of the last number in the names of their files.

    Raises:
        DataError: a file is no frame of OpenPose, or there is nobody in any.
    """
    if source.kind == "folder":
        frames = _folder(source.path)
    else:
        found = _frames(source.json)
        frames = {float(at): _people(source.path, f"frame {at}", one) for at, one in enumerate(found)}
    return detections.found_in(source.path, frames, _LAYOUT_OF, unit="pixels", up="-y")


def _frames(loaded: Any) -> list[Any]:
    """Return the frames of one JSON file: itself, or a list of such, or such by name; nothing if they are not."""
    found = loaded
    if isinstance(found, dict) and "people" in found:
        found = [found]
    elif isinstance(found, dict):
        found = found.get("frames", list(found.values()))
    listed = isinstance(found, list) and found
    return found if listed and any(isinstance(one, dict) and "people" in one for one in found) else []


def _folder(folder: Path) -> dict[float, list[Person]]:
    frames: dict[float, list[Person]] = {}
    paths = files.frames_in(folder)
    check_size(folder, sum(path.stat().st_size for path in paths), _JSON)
    several = len(paths) > 1
    for at, path in enumerate(paths):
        number = float(files.number_in(path.name)) if several else 0.0
        if number in frames or number < 0:
            raise DataError(f"{path}: its name has no frame number of its own; keep the names that OpenPose gives")
        loaded = parse_json(path, csv_text.read(path, _JSON))
        frames[number] = _people(path, f"frame {at}", loaded)
    return frames


def _people(path: Path, where: str, frame: Any) -> list[Person]:
    people = frame.get("people") if isinstance(frame, dict) else None
    if not isinstance(people, list):
        raise DataError(f"{path}, {where}: no list of people, as OpenPose writes it; remove it, or run OpenPose again")
    found = []
    for one in people:
        if not isinstance(one, dict):
            raise DataError(f"{path}, {where}: a person is {kind_of(one)}, not an object; run OpenPose again")
        name, step = next(((name, step) for name, step in _BODIES if one.get(name)), ("", 0))
        if not name:
            if any(isinstance(one.get(key), list) for key, _ in _BODIES):
                continue  # hands or a face without a body
            raise DataError(
                f"{path}, {where}: a person without pose_keypoints_2d; run OpenPose again, with --write_json"
            )
        values = detections.numbers(path, where, one[name], step)
        track = one.get("person_id")
        known = track[0] if isinstance(track, list) and track and isinstance(track[0], int) and track[0] >= 0 else None
        found.append(detections.person(values[:, :-1], values[:, -1], known))
    return found
