"""MMPose: the predictions of its demo and of its inferencer, in JSON.

Frames with ``instances``, each with ``keypoints`` (a list for each joint) and ``keypoint_scores``; of one picture, a
list of instances. https://mmpose.readthedocs.io/en/latest/user_guides/inference.html
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from aqakit.errors import DataError
from aqakit.recordings.skeletons.parts import detections, naming
from aqakit.recordings.skeletons.parts.found import Found
from aqakit.recordings.skeletons.parts.layouts import LAYOUTS, Layout
from aqakit.recordings.skeletons.parts.people import Person
from aqakit.recordings.skeletons.parts.source import Source


def fits(source: Source) -> bool:
    """Whether it has instances with ``keypoints`` and ``keypoint_scores``, alone or in frames."""
    if source.kind != "json":
        return False
    found = _listed(source.json)
    return any(_is_frame(one) or _is_instance(one) for one in found) or any(
        isinstance(one, list) and any(map(_is_instance, one)) for one in found
    )


def read(source: Source) -> Found:
    """Read the joints of one person; frames are in the order of ``frame_id``.

    Raises:
        DataError: a frame has no instances, or an instance has no joints.
    """
    path, found = source.path, _listed(source.json)
    if any(map(_is_instance, found)):  # one picture
        found = [found]
    frames: dict[float, list[Person]] = {}
    for at, one in enumerate(found):
        number = one.get("frame_id", at) if isinstance(one, dict) else at
        frames[detections.frame_number(path, at, number, frames)] = _people(path, f"frame {at}, counted from 0", one)
    sizes = {one.joints.shape for some in frames.values() for one in some}
    layout = _layout(source.json, *next(iter(sizes), (0, 0)))
    flat = not any(size == 3 for _, size in sizes)
    return detections.found_in(
        path, frames, layout=layout, unit="pixels" if flat else "unknown", up="-y" if flat else None
    )


def _listed(loaded: Any) -> list[Any]:
    if isinstance(loaded, dict):
        loaded = next((loaded[key] for key in ("instance_info", "predictions", "frames") if key in loaded), None)
    return loaded if isinstance(loaded, list) else []


def _is_frame(one: Any) -> bool:
    return isinstance(one, dict) and "instances" in one


def _is_instance(one: Any) -> bool:
    return isinstance(one, dict) and "keypoints" in one and "keypoint_scores" in one


def _people(path: Path, where: str, frame: Any) -> list[Person]:
    instances = frame.get("instances") if isinstance(frame, dict) else frame
    if not isinstance(instances, list):
        raise DataError(f"{path}, {where}: no list of instances; export it again")
    return [_person(path, where, one) for one in instances]


def _person(path: Path, where: str, one: Any) -> Person:
    joints = one.get("keypoints") if isinstance(one, dict) else None
    if not isinstance(joints, list) or not joints or not all(isinstance(joint, list) for joint in joints):
        raise DataError(f"{path}, {where}: an instance without keypoints, a list for each joint; export it again")
    if len(joints) == 1 and joints[0] and isinstance(joints[0][0], list):  # a batch of one
        joints = joints[0]
    size = len(joints[0])
    if size not in (2, 3) or any(not isinstance(joint, list) or len(joint) != size for joint in joints):
        raise DataError(f"{path}, {where}: its joints should all have 2, or all 3 coordinates; export it again")
    values = detections.numbers(path, where, [value for joint in joints for value in joint], size)
    scores = one.get("keypoint_scores")
    if scores is None:
        return detections.person(values, None, one.get("track_id"))
    if isinstance(scores, list) and len(scores) == 1 and isinstance(scores[0], list):
        scores = scores[0]
    confidence = detections.numbers(path, where, scores, 1)[:, 0]
    if len(confidence) != len(values):
        raise DataError(f"{path}, {where}: {len(confidence)} scores for {len(values)} joints; export it again")
    return detections.person(values, np.clip(confidence, 0, 1), one.get("track_id", one.get("instance_id")))


def _layout(loaded: Any, joints: int, size: int) -> Layout | None:
    """The layout by the names in the file; of 17 joints in three dimensions, Human3.6M's."""
    if (joints, size) == (17, 3):
        return LAYOUTS["h36m17"]
    about = loaded.get("meta_info") if isinstance(loaded, dict) else None
    named = about.get("keypoint_id2name") if isinstance(about, dict) else None
    if isinstance(named, dict) and all(isinstance(named.get(str(k)), str) for k in range(joints)):
        layout = naming.layout_of(naming.canonical([named[str(k)] for k in range(joints)]))
        if naming.is_known(layout.joints):
            return layout
    return detections.LAYOUT_OF.get(joints)
