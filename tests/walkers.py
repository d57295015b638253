"""A person who walks, in closed form, and its files in every format of skeletons.

Each maker writes one recording into an empty folder. What :func:`aqakit.recordings.skeletons.read` should make of it is
in the same list: the joints, the layout, and how exact the numbers in the file are.
"""

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from aqakit.recordings.skeletons import LAYOUTS

T = 24
FRAMES_PER_SECOND = 30.0

_STANDING = {
    "pelvis": (0, 1.0), "spine": (0, 1.25), "thorax": (0, 1.45), "neck": (0, 1.5), "head": (0, 1.62),
    "head_top": (0, 1.75), "nose": (0, 1.6), "shoulder": (0.2, 1.45), "collar": (0.05, 1.45), "elbow": (0.25, 1.2),
    "wrist": (0.27, 0.95), "hand": (0.28, 0.9), "hand_tip": (0.28, 0.85), "thumb": (0.25, 0.9), "pinky": (0.3, 0.88),
    "index": (0.29, 0.87), "hip": (0.12, 0.98), "knee": (0.12, 0.52), "ankle": (0.12, 0.1), "toe": (0.13, 0.02),
    "small_toe": (0.16, 0.02), "heel": (0.12, 0.03), "eye": (0.03, 1.64), "eye_inner": (0.02, 1.64),
    "eye_outer": (0.04, 1.64), "ear": (0.08, 1.62), "mouth": (0.02, 1.57),
}  # fmt: skip
"""Half width and height of the joints, in metres; left is at positive x."""


def joint(name: str) -> np.ndarray:
    """(T, 3) metres, y up, of a joint by its name in ``LAYOUTS``: it walks along z, arms and legs swing."""
    side, _, kind = name.partition("_")
    sign = {"left": 1, "right": -1}.get(side, 0)
    width, height = _STANDING[kind if sign else name]
    time = np.arange(T) / FRAMES_PER_SECOND
    swing = sign * 0.3 * max(0.0, abs(1.2 - height)) * np.sin(2 * np.pi * time)
    return np.stack(
        [sign * width + 0.02 * np.sin(5 * time), height + 0.03 * np.cos(7 * time), 2.5 + 1.2 * time + swing], 1
    )


def metres(layout: str) -> np.ndarray:
    """(T, J, 3) all joints of a layout."""
    return np.stack([joint(name) for name in LAYOUTS[layout].joints], 1)


def pixels(layout: str) -> np.ndarray:
    """(T, J, 2) as a camera at the side sees it: x to the right, y down."""
    walker = metres(layout)
    return np.stack([100 + 150 * walker[..., 2], 460 - 240 * walker[..., 1]], 2)


def confidences(layout: str) -> np.ndarray:
    """(T, J) above 0 and at most 1."""
    return np.random.default_rng(0).uniform(0.3, 1, (T, len(LAYOUTS[layout].joints))).round(3)


def scored(layout: str) -> np.ndarray:
    """(T, J, 3): x, y, confidence."""
    return np.concatenate([pixels(layout), confidences(layout)[..., None]], 2)


@dataclass(frozen=True)
class Case:
    """A file that can be read.

    Attributes:
        name: of the case.
        format: the format that it is in.
        write: writes it into a folder and returns its path.
        joints: (T, J, C) what is in it.
        layout: name of the layout that the file tells; None if it does not.
        exact: largest difference from rounding in the file.
        about: fields of the body.
    """

    name: str
    format: str
    write: Callable[[Path], Path]
    joints: np.ndarray
    layout: str | None
    exact: float = 1e-3
    about: dict[str, Any] = field(default_factory=dict)


def written(folder: Path, name: str, text: str) -> Path:
    """Write text, compressed if the name says so."""
    data = text.encode()
    (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return folder / name


def rows(table: np.ndarray, mark: str = ",", digits: int = 5, end: str = "") -> str:
    """A line of numbers for each frame, and an empty cell for NaN."""
    return "".join(
        mark.join("" if np.isnan(v) else f"{v:.{digits}f}" for v in np.ravel(row)) + end + "\n" for row in table
    )


def openpose_frame(people: list[np.ndarray], **more: Any) -> str:
    """One frame of OpenPose: people (J, 3)."""
    shown = [{"person_id": [-1], "pose_keypoints_2d": one.round(4).ravel().tolist(), **more} for one in people]
    return json.dumps({"version": 1.3, "people": shown})


def openpose_folder(folder: Path, frames: list[list[np.ndarray]], numbers: Any = None) -> Path:
    """A folder with a file for each frame."""
    (folder / "walk").mkdir()
    for number, people in zip(numbers or range(len(frames)), frames, strict=True):
        written(folder / "walk", f"walk2_{number:012d}_keypoints.json", openpose_frame(people))
    return folder / "walk"


def _openpose(layout: str) -> Callable[[Path], Path]:
    return lambda folder: openpose_folder(folder, [[one] for one in scored(layout)])


def _openpose_single(folder: Path) -> Path:
    return written(folder, "walk.json", "[" + ",".join(openpose_frame([one]) for one in scored("openpose25")) + "]")


def coco_results(people: np.ndarray, image: Callable[[int], Any] = int) -> list[dict[str, Any]]:
    """Key-point results (T, J, 3) of one person."""
    return [
        {"image_id": image(t), "category_id": 1, "keypoints": one.round(3).ravel().tolist(), "score": 0.9}
        for t, one in enumerate(people)
    ]


def _coco(folder: Path) -> Path:
    return written(folder, "results.json", json.dumps(coco_results(scored("coco17"))))


def _alphapose(folder: Path) -> Path:
    results = coco_results(scored("coco17"), lambda t: f"{t}.jpg")
    return written(folder, "alphapose-results.json", json.dumps(results))


def _annotations(folder: Path) -> Path:
    seen = scored("coco17")
    seen[..., 2] = 2
    loaded = {"images": [], "annotations": coco_results(seen), "categories": []}
    return written(folder, "person_keypoints.json", json.dumps(loaded))


def instances(joints: np.ndarray, scores: np.ndarray) -> list[dict[str, Any]]:
    """Instances of MMPose in one frame: joints (J, C), scores (J,)."""
    return [{"keypoints": joints.round(4).tolist(), "keypoint_scores": scores.tolist(), "bbox_score": 0.9}]


def _mmpose(folder: Path) -> Path:
    names = {str(k): name for k, name in enumerate(LAYOUTS["coco17"].joints)}
    info = [
        {"frame_id": t + 1, "instances": instances(x, c)}
        for t, (x, c) in enumerate(zip(pixels("coco17"), confidences("coco17"), strict=True))
    ]
    loaded = {"meta_info": {"dataset_name": "coco", "keypoint_id2name": names}, "instance_info": info}
    return written(folder, "results_walk.json", json.dumps(loaded))


def _inferencer(layout: str, joints: np.ndarray) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        found = [
            {"frame_id": t, "instances": instances(x, c)}
            for t, (x, c) in enumerate(zip(joints, confidences(layout), strict=True))
        ]
        return written(folder, "walk.json", json.dumps(found))

    return write


def _predictions(folder: Path) -> Path:
    found = [instances(x, c) for x, c in zip(pixels("coco17"), confidences("coco17"), strict=True)]
    return written(folder, "walk.json", json.dumps({"predictions": found}))


def _blazepose() -> np.ndarray:
    """(T, 33, 4) fractions of a square picture, depth, visibility."""
    walker = pixels("blazepose33") / 640
    depth = metres("blazepose33")[..., :1] * 0.3
    return np.concatenate([walker, depth, confidences("blazepose33")[..., None]], 2)


def _mediapipe_wide(first: int) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        head = ",".join(f"{what}{k + first}" for k in range(33) for what in "xyzv")
        return written(folder, "landmarks.csv", head + "\n" + rows(_blazepose(), digits=7))

    return write


def _mediapipe_long(folder: Path) -> Path:
    lines = [
        f"{t},{k},{x:.7f},{y:.7f},{z:.7f},{v:.4f}\n"
        for t, frame in enumerate(_blazepose())
        for k, (x, y, z, v) in enumerate(frame)
    ]
    return written(folder, "landmarks.csv", "frame,landmark,x,y,z,visibility\n" + "".join(lines))


def landmarks(frame: np.ndarray) -> list[dict[str, float]]:
    """Landmarks of MediaPipe in one frame: (33, 4)."""
    return [dict(zip(("x", "y", "z", "visibility"), map(float, one), strict=True)) for one in frame.round(7)]


def _mediapipe_json(folder: Path) -> Path:
    frames = [{"frame": t, "pose_landmarks": [landmarks(one)]} for t, one in enumerate(_blazepose())]
    return written(folder, "landmarks.json", json.dumps({"frames": frames}))


def _mediapipe_lists(folder: Path) -> Path:
    return written(folder, "landmarks.json", json.dumps([landmarks(one) for one in _blazepose()]))


def _mediapipe_world(folder: Path) -> Path:
    world = np.concatenate([metres("blazepose33"), confidences("blazepose33")[..., None]], 2)
    frames = [
        {
            "timestamp_ms": round(1000 * t / 25),
            "poseLandmarks": {"landmark": landmarks(one)},
            "poseWorldLandmarks": {"landmark": landmarks(two)},
        }
        for t, (one, two) in enumerate(zip(_blazepose(), world, strict=True))
    ]
    return written(folder, "landmarks.json", json.dumps(frames))


def deeplabcut_text(joints: np.ndarray, names: tuple[str, ...], people: tuple[str, ...] = ()) -> str:
    """Joints (T, J, 3), for each of several people (T, people × J, 3)."""
    width = joints.shape[1]
    each = [part for name in names for part in [name] * 3]
    head = [["scorer", *["net"] * (3 * width)]]
    if people:
        head.append(["individuals", *[one for one in people for _ in each]])
    head += [["bodyparts", *each * max(1, len(people))], ["coords", *["x", "y", "likelihood"] * width]]
    body = np.concatenate([np.arange(len(joints))[:, None], joints.reshape(len(joints), -1)], 1)
    return "".join(",".join(row) + "\n" for row in head) + rows(body)


def _deeplabcut(folder: Path) -> Path:
    return written(folder, "walkDLC_resnet50.csv", deeplabcut_text(scored("coco17"), LAYOUTS["coco17"].joints))


def _kinect(*, states: bool, time: bool, names: bool, end: str = "") -> Callable[[Path], Path]:
    called = [
        "SpineBase", "SpineMid", "Neck", "Head", "ShoulderLeft", "ElbowLeft", "WristLeft", "HandLeft", "ShoulderRight",
        "ElbowRight", "WristRight", "HandRight", "HipLeft", "KneeLeft", "AnkleLeft", "FootLeft", "HipRight",
        "KneeRight", "AnkleRight", "FootRight", "SpineShoulder", "HandTipLeft", "ThumbLeft", "HandTipRight",
        "ThumbRight",
    ]  # fmt: skip

    def write(folder: Path) -> Path:
        table = metres("kinect25")
        if states:
            table = np.concatenate([table, np.full((T, 25, 1), 2.0)], 2)
        table = table.reshape(T, -1)
        head = [f"{name}_{what}" for name in called for what in ("X", "Y", "Z", "State")[: 3 + states]]
        if time:
            table = np.concatenate([np.arange(T)[:, None] / 25, table], 1)
            head = ["time", *head]
        text = (",".join(head) + "\n") * names + rows(table, end=end)
        return written(folder, "JointPosition260514_2.csv" if end else "body.txt", text)

    return write


def ntu_text(bodies: list[dict[int, np.ndarray]]) -> str:
    """Bodies (25, 3) by their id, for each frame."""
    lines = [str(len(bodies))]
    for frame in bodies:
        lines.append(str(len(frame)))
        for name, body in frame.items():
            lines += [f"{72057594037931000 + name} 0 1 1 0 0 0 0.1 -0.2 2", "25"]
            lines += [f"{x:.7f} {y:.7f} {z:.7f} 250.1 200.2 900.3 500.4 0.1 0.2 0.3 0.9 2" for x, y, z in body]
    return "\n".join(lines) + "\n"


def _ntu(folder: Path) -> Path:
    return written(folder, "S001C001P001R001A008.skeleton", ntu_text([{1: one} for one in metres("kinect25")]))


def turn(axis: str, degrees: np.ndarray) -> np.ndarray:
    """(…, 3, 3) rotation about an axis, written out."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    o, i = np.zeros_like(c), np.ones_like(c)
    entries = {"x": [i, o, o, o, c, -s, o, s, c], "y": [c, o, s, o, i, o, -s, o, c], "z": [c, -s, o, s, c, o, o, o, i]}
    return np.stack(entries[axis], -1).reshape(*np.shape(degrees), 3, 3)


TREE = (
    ("Hips", -1, (0.0, 0.0, 0.0)), ("Spine", 0, (0.0, 10.0, 1.0)), ("Neck", 1, (0.0, 40.0, 0.0)),
    ("Head", 2, (0.0, 10.0, 2.0)), ("LeftShoulder", 1, (3.0, 35.0, 0.0)), ("LeftArm", 4, (15.0, 0.0, 0.0)),
    ("LeftForeArm", 5, (28.0, 0.0, 0.0)), ("LeftHand", 6, (25.0, 0.0, 0.0)), ("RightShoulder", 1, (-3.0, 35.0, 0.0)),
    ("RightArm", 8, (-15.0, 0.0, 0.0)), ("RightForeArm", 9, (-28.0, 0.0, 0.0)), ("RightHand", 10, (-25.0, 0.0, 0.0)),
    ("LeftUpLeg", 0, (9.0, -5.0, 0.0)), ("LeftLeg", 12, (0.0, -42.0, 0.0)), ("LeftFoot", 13, (0.0, -40.0, 0.0)),
    ("LeftToeBase", 14, (0.0, -5.0, 14.0)), ("RightUpLeg", 0, (-9.0, -5.0, 0.0)), ("RightLeg", 16, (0.0, -42.0, 0.0)),
    ("RightFoot", 17, (0.0, -40.0, 0.0)), ("RightToeBase", 18, (0.0, -5.0, 14.0)),
)  # fmt: skip
TREE_JOINTS = (
    "pelvis", "spine", "neck", "head", "left_collar", "left_shoulder", "left_elbow", "left_wrist", "right_collar",
    "right_shoulder", "right_elbow", "right_wrist", "left_hip", "left_knee", "left_ankle", "left_toe", "right_hip",
    "right_knee", "right_ankle", "right_toe",
)  # fmt: skip
ORDERS = ("zxy", "zyx", "xyz", "yxz")
"""Orders of rotation channels, one joint after another."""


def angles(count: int) -> np.ndarray:
    """(T, count, 3) degrees about x, y, z: smooth, and different for each joint."""
    phase = np.random.default_rng(1).uniform(0, 6, (count, 3))
    return 25 * np.sin(np.arange(T)[:, None, None] / 6 + phase)


def forward(parents: list[int], offsets: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Positions (T, J, 3) by offsets (T, J, 3) and rotations (T, J, 3, 3), one frame and joint after another."""
    found, whole = np.zeros(offsets.shape), np.zeros(turns.shape)
    for t in range(len(offsets)):
        for j, parent in enumerate(parents):
            above = whole[t, parent] if parent >= 0 else np.eye(3)
            found[t, j] = (found[t, parent] if parent >= 0 else 0) + above @ offsets[t, j]
            whole[t, j] = above @ turns[t, j]
    return found


def _root() -> np.ndarray:
    return 100 * joint("pelvis")


def bvh_joints() -> np.ndarray:
    """(T, 20, 3) by rotations that are written out."""
    about = angles(len(TREE)).round(6)
    each = []
    for j in range(len(TREE)):
        first, second, third = (turn(axis, about[:, j, "xyz".index(axis)]) for axis in ORDERS[j % len(ORDERS)])
        each.append(first @ second @ third)
    turns = np.stack(each, 1)
    offsets = np.tile(np.array([offset for _, _, offset in TREE]), (T, 1, 1))
    offsets[:, 0] = _root().round(6)
    return forward([parent for _, parent, _ in TREE], offsets, turns)


def bvh_text() -> str:
    """A tree with every order of channels, and its motion."""
    children: dict[int, list[int]] = {}
    for at, (_, parent, _) in enumerate(TREE):
        children.setdefault(parent, []).append(at)
    lines, columns = ["HIERARCHY"], []

    def add(at: int, depth: int) -> None:
        name, parent, offset = TREE[at]
        blank, order = "\t" * depth, ORDERS[at % len(ORDERS)]
        lines.append(f"{blank}{'ROOT' if parent < 0 else 'JOINT'} {name}")
        lines.append(blank + "{")
        lines.append(blank + "\tOFFSET " + " ".join(map(str, offset)))
        turns = " ".join(f"{axis.upper()}rotation" for axis in order)
        moves = "Xposition Yposition Zposition " if parent < 0 else ""
        lines.append(f"{blank}\tCHANNELS {6 if moves else 3} {moves}{turns}")
        columns.append(at)
        for child in children.get(at, []):
            add(child, depth + 1)
        if at not in children:
            lines.extend([f"{blank}\tEnd Site", blank + "\t{", blank + "\t\tOFFSET 0 1 0", blank + "\t}"])
        lines.append(blank + "}")

    add(0, 0)
    about, root = angles(len(TREE)), _root()
    lines += ["MOTION", f"Frames: {T}", "Frame Time: 0.0333333"]
    for t in range(T):
        row = list(root[t])
        for at in columns:
            row += [about[t, at, "xyz".index(axis)] for axis in ORDERS[at % len(ORDERS)]]
        lines.append(" ".join(f"{value:.6f}" for value in row))
    return "\n".join(lines) + "\n"


def _bvh(folder: Path) -> Path:
    return written(folder, "walk.bvh", bvh_text())


TRC_MARKERS = (
    "CHip", "RHip", "RKnee", "RAnkle", "RBigToe", "RSmallToe", "RHeel", "LHip", "LKnee", "LAnkle", "LBigToe",
    "LSmallToe", "LHeel", "Neck", "Head", "Nose", "RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow", "LWrist",
)  # fmt: skip
TRC_JOINTS = (
    "pelvis", "right_hip", "right_knee", "right_ankle", "right_toe", "right_small_toe", "right_heel", "left_hip",
    "left_knee", "left_ankle", "left_toe", "left_small_toe", "left_heel", "neck", "head", "nose", "right_shoulder",
    "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
)  # fmt: skip


def trc_text(unit: str = "m", missing: tuple[int, int, int] | None = None) -> str:
    """A TRC of Pose2Sim; ``missing`` is a marker, and the first and the last frame without it."""
    scale = {"m": 1, "mm": 1000}[unit]
    count = len(TRC_MARKERS)
    lines = [
        "PathFileType\t4\t(X/Y/Z)\twalk.trc",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"60\t60\t{T}\t{count}\t{unit}\t60\t0\t{T}",
        "Frame#\tTime\t" + "\t\t\t".join(TRC_MARKERS) + "\t\t",
        "\t\t" + "\t".join(f"{axis}{k}" for k in range(1, count + 1) for axis in "XYZ") + "\t",
        "",
    ]
    table = np.stack([joint(name) for name in TRC_JOINTS], 1) * scale
    for t in range(T):
        cells = [f"{value:.5f}" for value in table[t].ravel()]
        if missing and missing[1] <= t <= missing[2]:
            cells[3 * missing[0] : 3 * missing[0] + 3] = [""] * 3
        lines.append("\t".join([str(t + 1), f"{t / 60:.5f}", *cells]))
    return "\n".join(lines) + "\n"


def _trc(unit: str) -> Callable[[Path], Path]:
    return lambda folder: written(folder, "walk.trc", trc_text(unit))


_MOVING = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)


def _h36m(folder: Path) -> Path:
    np.savez(folder / "walk.npz", positions_3d=metres("h36m17"), camera=np.zeros(3))
    return folder / "walk.npz"


def h36m_all(folder: Path) -> Path:
    whole = np.zeros((T, 32, 3))
    whole[:, _MOVING] = metres("h36m17")
    np.save(folder / "walk.npy", whole)
    return folder / "walk.npy"


def _array(name: str, table: np.ndarray) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        if name.endswith(".npz"):
            np.savez_compressed(folder / name, joints=table, other=np.zeros(2))
        elif name.endswith(".npy"):
            np.save(folder / name, table)
        elif name.endswith(".npy.gz"):
            with gzip.open(folder / name, "wb") as file:
                np.save(file, table)
        elif ".json" in name:
            written(folder, name, json.dumps(table.round(5).tolist()))
        elif name.startswith("comma"):
            written(folder, name, rows(table, ";").replace(".", ","))
        elif name.startswith("pandas"):
            flat = table.reshape(T, -1)
            counted = np.concatenate([np.arange(T)[:, None], flat], 1)
            written(folder, name, ",".join(["", *map(str, range(flat.shape[1]))]) + "\n" + rows(counted))
        else:
            written(folder, name, rows(table, " " if ".txt" in name else ","))
        return folder / name

    return write


def named_text(layout: str, what: tuple[str, ...], table: np.ndarray, mark: str = ",") -> str:
    """CSV with a column for each of ``what`` of each joint, as table (T, J, len(what))."""
    names = [f"{name}_{one}" for name in LAYOUTS[layout].joints for one in what]
    return mark.join(names) + "\n" + rows(table, mark)


def pose_text(missing: tuple[int, int] | None = None, end: str = "\n") -> str:
    """What ``aqakit pose`` writes; empty cells from the first to the last missing frame."""
    names = LAYOUTS["blazepose33"].joints
    lines = [",".join(["time_s", *(f"{name}_{what}" for name in names for what in ("x", "y", "visibility"))])]
    for t, frame in enumerate(scored("blazepose33")):
        gone = missing and missing[0] <= t <= missing[1]
        lines.append(",".join([f"{t / 25:.4f}", *("" if gone else f"{v:.4f}" for v in frame.ravel())]))
    return end.join(lines) + end


def _named(name: str, text: Callable[[], str]) -> Callable[[Path], Path]:
    return lambda folder: written(folder, name, text())


UI_PARENTS = [-1, 0, 1, 2, 3, 4, 2, 6, 7, 8, 2, 10, 11, 12, 0, 14, 15, 16, 0, 18, 19, 20]
_UI_OFFSETS = np.array(
    [[0, 0, 0], [0, 28, 0], [0, 20, 0], [0, 0.7, 0], [0, 6, 0], [0, 14, 0], [1, 0, 0], [12, 0, 0], [25, 0, 0],
     [27, 0, 0], [-2, 0, 0], [-16, 0, 0], [-23, 0, 0], [-19, 0, 0], [7, 0, 0], [0, -36, 0], [0, -40, 0], [0, 0, 15],
     [-6, 0, 0], [0, -36, 0], [0, -39, 0], [0, 0, 12]], float
)  # fmt: skip


def ui_prmd_tables() -> tuple[np.ndarray, np.ndarray]:
    """(T, 22, 3) offsets in centimetres, and degrees."""
    offsets = np.tile(_UI_OFFSETS, (T, 1, 1))
    offsets[:, 0] = _root()
    return offsets, angles(22)


def ui_prmd_joints() -> np.ndarray:
    """(T, 22, 3) metres, by Rz Rx Ry written out."""
    offsets, about = ui_prmd_tables()
    turns = turn("z", about[..., 2]) @ turn("x", about[..., 0]) @ turn("y", about[..., 1])
    return forward(UI_PARENTS, offsets, turns) / 100


def _ui_prmd(folders: bool, ending: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        paths = []
        for kind, table in zip(("positions", "angles"), ui_prmd_tables(), strict=True):
            inside = folder / kind.capitalize() if folders else folder
            inside.mkdir(exist_ok=True)
            paths.append(written(inside, f"m01_s01_e01_{kind}{ending}", rows(table, digits=6)))
        return paths[0]

    return write


_PIXELS = {"unit": "pixels", "up": "-y"}
_KINECT = {"unit": "metres", "up": "+y", "rate": 30.0}
_FIVE = np.random.default_rng(3).normal(size=(T, 5, 3))

CASES = [
    Case("openpose 25", "openpose", _openpose("openpose25"), pixels("openpose25"), "openpose25", about=_PIXELS),
    Case("openpose 18", "openpose", _openpose("openpose18"), pixels("openpose18"), "openpose18", about=_PIXELS),
    Case("openpose single", "openpose", _openpose_single, pixels("openpose25"), "openpose25", about=_PIXELS),
    Case("coco results", "coco", _coco, pixels("coco17"), "coco17", about=_PIXELS),
    Case("alphapose", "coco", _alphapose, pixels("coco17"), "coco17", about=_PIXELS),
    Case("coco annotations", "coco", _annotations, pixels("coco17"), "coco17", about=_PIXELS),
    Case("mmpose demo", "mmpose", _mmpose, pixels("coco17"), "coco17", about=_PIXELS),
    Case("mmpose inferencer", "mmpose", _inferencer("coco17", pixels("coco17")), pixels("coco17"), "coco17"),
    Case("mmpose 3-D", "mmpose", _inferencer("h36m17", metres("h36m17")), metres("h36m17"), "h36m17"),
    Case("mmpose predictions", "mmpose", _predictions, pixels("coco17"), "coco17", about=_PIXELS),
    Case("mediapipe x0", "mediapipe", _mediapipe_wide(0), _blazepose()[..., :3], "blazepose33", 1e-6),
    Case("mediapipe x1", "mediapipe", _mediapipe_wide(1), _blazepose()[..., :3], "blazepose33", 1e-6),
    Case("mediapipe rows", "mediapipe", _mediapipe_long, _blazepose()[..., :3], "blazepose33", 1e-6),
    Case("mediapipe json", "mediapipe", _mediapipe_json, _blazepose()[..., :3], "blazepose33", 1e-6),
    Case("mediapipe lists", "mediapipe", _mediapipe_lists, _blazepose()[..., :3], "blazepose33", 1e-6),
    Case("mediapipe world", "mediapipe", _mediapipe_world, metres("blazepose33"), "blazepose33", 1e-6,
         {"unit": "metres", "up": "-y", "rate": 25.0}),
    Case("deeplabcut", "deeplabcut", _deeplabcut, pixels("coco17"), "coco17", about=_PIXELS),
    Case("kinect plain", "kinect", _kinect(states=False, time=False, names=False), metres("kinect25"), "kinect25",
         1e-5, _KINECT),
    Case("kinect kimore", "kinect", _kinect(states=True, time=False, names=False, end=","), metres("kinect25"),
         "kinect25", 1e-5, _KINECT),
    Case("kinect time", "kinect", _kinect(states=True, time=True, names=False), metres("kinect25"), "kinect25", 1e-5,
         {**_KINECT, "rate": 25.0}),
    Case("kinect names", "kinect", _kinect(states=True, time=True, names=True), metres("kinect25"), "kinect25", 1e-5,
         {**_KINECT, "rate": 25.0}),
    Case("ntu", "ntu", _ntu, metres("kinect25"), "kinect25", 1e-6, _KINECT),
    Case("bvh", "bvh", _bvh, bvh_joints(), "file", 1e-3, {"up": "+y"}),
    Case("trc metres", "trc", _trc("m"), np.stack([joint(n) for n in TRC_JOINTS], 1), "file", 1e-5,
         {"unit": "metres", "up": "+y", "rate": 60.0}),
    Case("trc millimetres", "trc", _trc("mm"), np.stack([joint(n) for n in TRC_JOINTS], 1), "file", 1e-5,
         {"unit": "metres", "up": "+y", "rate": 60.0}),
    Case("h36m npz", "h36m", _h36m, metres("h36m17"), "h36m17", 1e-6, {"up": "+y"}),
    Case("array npy", "arrays", _array("a.npy", metres("kinect22")), metres("kinect22"), "kinect22", 1e-6),
    Case("array npy.gz", "arrays", _array("a.npy.gz", metres("kinect22")), metres("kinect22"), "kinect22", 1e-6),
    Case("array npz", "arrays", _array("a.npz", metres("coco17")), metres("coco17"), None, 1e-6),
    Case("array flat npy", "arrays", _array("a.npy", metres("coco17").reshape(T, -1)), metres("coco17"), None, 1e-6),
    Case("array json", "arrays", _array("a.json", pixels("openpose18")), pixels("openpose18"), "openpose18"),
    Case("array json.gz", "arrays", _array("a.json.gz", pixels("openpose18")), pixels("openpose18"), "openpose18"),
    Case("array flat csv", "arrays", _array("a.csv", pixels("coco17")), pixels("coco17"), None),
    Case("array five", "arrays", _array("a.csv", _FIVE), _FIVE, None),
    Case("array txt", "arrays", _array("a.txt", metres("blazepose33")), metres("blazepose33"), "blazepose33"),
    Case("array txt.gz", "arrays", _array("a.txt.gz", pixels("openpose25")), pixels("openpose25"), None),
    Case("array decimal comma", "arrays", _array("comma.csv", pixels("coco17")), pixels("coco17"), None),
    Case("array pandas", "arrays", _array("pandas.csv", pixels("coco17")), pixels("coco17"), None),
    Case("table 2-D", "table", _named("t.csv", lambda: named_text("coco17", ("x", "y"), pixels("coco17"))),
         pixels("coco17"), "coco17"),
    Case("table 3-D", "table", _named("t.csv.gz", lambda: named_text("kinect22", tuple("xyz"), metres("kinect22"))),
         metres("kinect22"), "kinect22"),
    Case("table confidence", "table",
         _named("t.csv", lambda: named_text("openpose25", ("x", "y", "confidence"), scored("openpose25"), ";")),
         pixels("openpose25"), "openpose25"),
    Case("aqakit pose", "table", _named("joints.csv", pose_text), pixels("blazepose33"), "blazepose33",
         about={"rate": 25.0}),
    Case("ui-prmd beside", "ui_prmd", _ui_prmd(False, ".txt"), ui_prmd_joints(), "kinect22", 1e-5, _KINECT),
    Case("ui-prmd folders", "ui_prmd", _ui_prmd(True, ".txt.gz"), ui_prmd_joints(), "kinect22", 1e-5, _KINECT),
]  # fmt: skip
"""One recording in every format and its usual forms."""
