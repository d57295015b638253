"""Damage of every kind to a file of every format: one sentence that names the file, the place, and what to do."""

import gzip
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aqakit.errors import DataError
from aqakit.recordings import skeletons
from tests.walkers import CASES, Case

Change = Callable[[str], str]
_NUMBER = re.compile(r"-?[0-9]+\.[0-9]{2,}|-?[0-9]+,[0-9]{5}")
"""A number of the motion: numbers of frames and joints, and versions, have fewer decimals."""


def _nth(text: str, share: float) -> re.Match[str]:
    found = list(_NUMBER.finditer(text))
    return found[int(share * len(found))]


def _replaced(new: str) -> Change:
    def change(text: str) -> str:
        at = _nth(text, 0.6)
        return text[: at.start()] + new + text[at.end() :]

    return change


def _cut(text: str) -> str:
    """End in the middle of a line, or of the JSON."""
    if text.lstrip()[0] in "[{":
        return text[: len(text) * 2 // 3]
    lines = text.splitlines()
    return "\n".join([*lines[:-1], lines[-1][: len(lines[-1]) // 2]])


def _longer(text: str) -> str:
    """One value too many in one line of numbers, in the mark of that line."""
    lines = text.splitlines()
    at = len(lines) - 3
    mark = next((m for m in ("\t", ";", ",", " ") if m in lines[at]), " ")
    lines[at] = f"1.00000{mark}" + lines[at]
    return "\n".join(lines) + "\n"


def _shorter(text: str) -> str:
    lines = text.splitlines()
    at = len(lines) - 3
    mark = next((m for m in ("\t", ";", ",", " ") if m in lines[at]), " ")
    lines[at] = lines[at].partition(mark)[2]
    return "\n".join(lines) + "\n"


def _all(new: str) -> Change:
    return lambda text: _NUMBER.sub(new, text)


TEXT: dict[str, Change] = {
    "empty": lambda text: "",
    "blank": lambda text: " \n\n\t\n",
    "cut": _cut,
    "a word": _replaced('"left"'),
    "huge": _replaced("1e39"),
    "infinite": _replaced("1e999"),
    "nothing seen": lambda text: re.sub(r"-?[0-9]+\.[0-9]+|-?[0-9]+,[0-9]{5}", "NaN", text),
    "all words": _all("x"),
}
TABLES: dict[str, Change] = {"longer": _longer, "shorter": _shorter}


def _first_list(loaded: Any) -> Any:
    """The innermost list of numbers, or of joints, that comes first."""
    if isinstance(loaded, list) and loaded and isinstance(loaded[0], int | float):
        return loaded
    inside = loaded.values() if isinstance(loaded, dict) else loaded if isinstance(loaded, list) else ()
    return next((found for one in inside if (found := _first_list(one)) is not None), None)


def _one_less(text: str) -> str:
    loaded = json.loads(text)
    numbers = _first_list(loaded)
    if numbers is None:  # objects with x and y
        return text.replace('"y"', '"why"', 1)
    del numbers[-1]
    return json.dumps(loaded)


def _deeper(text: str) -> str:
    """A list where a number should be."""
    at = _nth(text, 0.4)
    return text[: at.start()] + "[1, 2]" + text[at.end() :]


JSON: dict[str, Change] = {
    "one less": _one_less,
    "deeper": _deeper,
    "an object inside": lambda text: (lambda at: text[: at.start()] + '{"a": 1}' + text[at.end() :])(_nth(text, 0.5)),
    "nothing inside": lambda text: "[]",
    "an empty object": lambda text: "{}",
    "a number": lambda text: "7",
    "text": lambda text: '"joints"',
    "nested": lambda text: "[" * 100_000,
    "null": lambda text: "null",
}


def _target(path: Path) -> Path:
    """The file of a recording that is damaged: of a folder, one in the middle."""
    return sorted(path.iterdir())[7] if path.is_dir() else path


def _changed(path: Path, change: Change) -> None:
    data = path.read_bytes()
    packed = data[:2] == b"\x1f\x8b"
    text = change((gzip.decompress(data) if packed else data).decode())
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())


OTHERS = {
    "openpose 18", "alphapose", "coco annotations", "mmpose inferencer", "mmpose predictions", "mediapipe x1",
    "mediapipe world", "kinect plain", "kinect time", "trc millimetres", "array five", "array json.gz", "array txt.gz",
    "array pandas", "table 2-D", "table confidence", "ui-prmd folders",
}  # fmt: skip
"""Forms that are read by the same lines as another case."""


def _damages() -> Iterator[tuple[str, Case, Change | None]]:
    for case in CASES:
        if case.name in OTHERS or "np" in case.name or case.format == "h36m":
            continue
        kinds = dict(TEXT)
        is_json = case.format in ("openpose", "coco", "mmpose") or "json" in case.name
        kinds |= JSON if is_json or "lists" in case.name else TABLES
        for name, change in kinds.items():
            yield f"{case.name}: {name}", case, change


DAMAGES = list(_damages())
SEEN_ELSEWHERE = {"nothing seen", "nothing inside"}
"""In one file of a folder these are no damage: nobody is seen in that frame."""


def _refused(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        skeletons.read(path)
    told = str(caught.value)
    assert str(path) in told or str(path.parent) in told, told
    assert "\n" not in told
    assert len(told) < 600
    return told


@pytest.mark.parametrize(("name", "case", "change"), DAMAGES, ids=[name for name, _, _ in DAMAGES])
def test_damage_is_one_sentence(name: str, case: Case, change: Change, tmp_path: Path):
    path = case.write(tmp_path)
    kind = name.rpartition(": ")[2]
    if path.is_dir() and kind in SEEN_ELSEWHERE:
        for file in path.iterdir():
            _changed(file, TEXT["nothing seen"])
    else:
        _changed(_target(path), change)
    told = _refused(path)
    if kind in ("a word", "huge", "infinite", "longer", "shorter", "one less", "deeper", "an object inside"):
        assert re.search(r"\b(line|frame|row|joint|result|index|lists)\b", told), told


def test_there_are_more_than_a_hundred():
    assert len(DAMAGES) > 100


ARRAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "one dimension": lambda a: a.ravel(),
    "five dimensions": lambda a: a[None, None],
    "no frames": lambda a: a[:0],
    "nothing seen": lambda a: np.full_like(a, np.nan),
    "infinite": lambda a: np.where(np.arange(a.size).reshape(a.shape) == 77, np.inf, a),
    "huge": lambda a: np.where(np.arange(a.size).reshape(a.shape) == 77, 1e39, a.astype(np.float64)),
    "text": lambda a: a.astype(str),
    "complex": lambda a: a.astype(complex),
    "four coordinates": lambda a: np.concatenate([a, a[..., :1]], 2),
    "objects": lambda a: a.astype(object),
}


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("case", [c for c in CASES if c.name in ("array npy", "array npy.gz", "array npz", "h36m npz")],
                         ids=lambda case: case.name)  # fmt: skip
def test_damaged_arrays_are_one_sentence(name: str, case: Case, tmp_path: Path):
    path = case.write(tmp_path)
    array = ARRAYS[name](case.joints)
    if path.suffix == ".npz":
        np.savez(path, **{"positions_3d" if case.format == "h36m" else "joints": array}, allow_pickle=True)
    elif path.suffix == ".gz":
        with gzip.open(path, "wb") as file:
            np.save(file, array)
    else:
        np.save(path, array)
    _refused(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    _refused(path)


@pytest.mark.parametrize("number", [10**400, -1, 0.5, "one", True, None, 7])
@pytest.mark.parametrize("name", ["mmpose inferencer", "mediapipe json"])
def test_odd_numbers_of_frames_are_one_sentence(number: Any, name: str, tmp_path: Path):
    (case,) = (case for case in CASES if case.name == name)
    path = case.write(tmp_path)
    loaded = json.loads(path.read_text())
    frames = loaded if isinstance(loaded, list) else loaded["frames"]
    frames[8]["frame_id" if name.startswith("mm") else "frame"] = number  # 7 is taken
    path.write_text(json.dumps(loaded))
    assert "frame 8" in _refused(path)


def test_a_pipe_in_a_folder_is_left(tmp_path: Path):
    path = CASES[0].write(tmp_path)
    os.mkfifo(path / "walk2_000000000099_keypoints.json")
    assert len(skeletons.read(path).joints) == len(CASES[0].joints)
