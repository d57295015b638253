"""UI-PRMD: rehabilitation exercises, done right and wrong.

Ten movements by ten healthy people, ten repetitions each done as they should be and ten as patients do them, recorded
with a Kinect and with Vicon markers. The score is 1 for a right and 0 for a wrong repetition.

Vakanski et al., "A Data Set of Human Body Movements for Physical Rehabilitation Exercises", Data 2018.

``root`` holds the released folders of single repetitions:
``Segmented Movements/<Kinect or Vicon>/Positions/m01_s01_e01_positions.txt`` and
``…/Angles/m01_s01_e01_angles.txt``, and the same under ``Incorrect Segmented Movements`` with names that end in
``_positions_inc.txt`` and ``_angles_inc.txt``; all also as ``.gz``. A repetition is named by movement, subject and
number. Subjects 2, 7 and 10 use the other side.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from aqakit.datasets.parts import release
from aqakit.datasets.parts.splits import five_fold, leave_one_group_out
from aqakit.errors import DataError
from aqakit.types import LabelSpec, Sample, ScoreScale, Split

SCALE = ScoreScale(0, 1, "right")
LICENCE = "public for research (University of Idaho); Open Data Commons Public Domain Dedication and Licence"
CITATION = (
    "Vakanski et al., A Data Set of Human Body Movements for Physical Rehabilitation Exercises, Data 2018. "
    "https://doi.org/10.3390/data3010002"
)

MOVEMENTS = {
    "m01": "deep squat",
    "m02": "hurdle step",
    "m03": "inline lunge",
    "m04": "side lunge",
    "m05": "sit to stand",
    "m06": "standing active straight leg raise",
    "m07": "standing shoulder abduction",
    "m08": "standing shoulder extension",
    "m09": "standing shoulder internal-external rotation",
    "m10": "standing shoulder scaption",
}
_PARTS = (("Segmented Movements", "", 1.0), ("Incorrect Segmented Movements", "_inc", 0.0))
_WHAT = "Segmented Movements and Incorrect Segmented Movements"
_KINDS = {"skeleton": ("Positions", "positions"), "signal": ("Angles", "angles")}


def samples(
    root: Path | None,
    *,
    device: Annotated[
        Literal["kinect", "vicon"], Field(description="whose recordings: kinect, 22 joints; vicon, 39 markers")
    ] = "kinect",
    movement: Annotated[str, Field(description="one movement, m01 to m10; or all that are there")] = "all",
) -> list[Sample]:
    """Return the repetitions by movement, right ones first, then by subject; joints as skeleton, angles as signal.

    Raises:
        DataError: ``root`` does not have the released layout, a repetition has a name of another form, or there is no
            such movement.
    """
    folder = _checked(root)
    if movement not in ("all", *MOVEMENTS):
        raise DataError(f"there is no movement {movement!r}; the movements of UI-PRMD are m01 to m10")
    found = [s for part in _PARTS for s in _repetitions(folder, device.capitalize(), *part)]
    kept = [s for s in found if movement in ("all", s.id[:3])]
    if not kept:
        which = f"of the movement {movement} " if found else ""
        raise DataError(
            f"{folder} has no repetition {which}of the {device.capitalize()}; expected files such as {_PARTS[0][0]}/"
            f"{device.capitalize()}/Positions/m01_s01_e01_positions.txt"
        )
    return sorted(kept, key=lambda sample: sample.id[:3])


def labels(samples: Sequence[Sample]) -> LabelSpec:
    """Return the label description: 1 is right, 0 is wrong."""
    return LabelSpec(SCALE)


def splits(samples: Sequence[Sample], root: Path | None) -> dict[str, list[Split]]:
    """Return two protocols, each applied to one movement at a time; no subject is on both sides.

    ``five-fold`` holds out two subjects at a time, ``leave-one-subject-out`` one.
    """
    protocols: dict[str, Callable[[str | None, Sequence[Sample]], Iterable[Split]]] = {
        "five-fold": five_fold,
        "leave-one-subject-out": leave_one_group_out,
    }
    movements = [(name, list(own)) for name, own in groupby(samples, key=lambda sample: sample.action)]
    return {name: [fold for one in movements for fold in folds(*one)] for name, folds in protocols.items()}


def _checked(root: Path | None) -> Path:
    folder = release.folder(root, "UI-PRMD", _WHAT)
    if not any((folder / name).is_dir() for name, _, _ in _PARTS):
        above = next((one for one in folder.absolute().parents if (one / _PARTS[0][0]).is_dir()), None)
        hint = f"; use {above} as root" if above else ""
        raise DataError(f"{folder} has no folder {_PARTS[0][0]}; root should be the folder with {_WHAT}{hint}")
    return folder


def _repetitions(root: Path, device: str, part: str, ending: str, score: float) -> list[Sample]:
    sources: dict[tuple[str, str, str], dict[str, Path]] = {}
    for kind, (folder, word) in _KINDS.items():
        for path in sorted((root / part / device / folder).glob("*.txt*")):
            sources.setdefault(_name(path, f"{word}{ending}"), {})[kind] = path
    return [
        Sample(
            id="_".join(name) + ending,
            sources=dict(found),
            action=MOVEMENTS[name[0]],
            group=name[1],
            score=score,
        )
        for name, found in sorted(sources.items())
    ]


def _name(path: Path, ending: str) -> tuple[str, str, str]:
    """Movement, subject and repetition."""
    found = re.fullmatch(rf"(m\d\d)_(s\d\d)_(e\d\d)_{ending}\.txt(\.gz)?", path.name)
    if found is None or found[1] not in MOVEMENTS:
        raise DataError(f"{path}: expected a name such as m01_s01_e01_{ending}.txt; rename it or take it away")
    return found[1], found[2], found[3]
