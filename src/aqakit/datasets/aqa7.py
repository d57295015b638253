"""AQA-7: 1106 performances in six sports.

Diving, synchronised diving, gymnastic vault and big air. Each performance has its final score.

Parmar and Morris, "Action Quality Assessment Across Multiple Actions", WACV 2019.
http://rtis.oit.unlv.edu/datasets.html (of its seven actions, trampoline is not in the lists, and no one uses it)

``root`` holds ``consolidated_train_list.mat`` and ``consolidated_test_list.mat`` as released, or
``Split_4/split_4_train_list.mat`` and ``Split_4/split_4_test_list.mat`` as in CoRe. The recordings are in ``videos``,
or by default in ``root``, ``root/frames`` or ``root/videos``. Performance 21 of diving is ``diving-out/021/`` (a folder
of frames) or ``diving-out/021.avi``; instead of ``diving-out``, the folder may be named ``diving``. Without recordings,
the scores still load.

The six actions have different score ranges: 12.3 to 16.9 for the vault, 21.6 to 102.6 for diving. So one model is
trained per action, and ``action=NAME`` uses that action's own scale; all actions together use the scale of diving.
``scores=percent`` maps the lowest and highest score of each action to 0 and 100, as the published systems do. Note that
the lowest diving score is that of a test sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from aqakit.datasets.parts import release as release
from aqakit.errors import DataError
from aqakit.types import LabelSpec, Sample, ScoreScale, Split

SCALE = ScoreScale(0, 105)
LICENCE = "none stated by its owners"
CITATION = (
    "Parmar and Morris, Action Quality Assessment Across Multiple Actions, WACV 2019. https://arxiv.org/abs/1812.06367"
)

SCALES = {  # in the order of the class numbers in the files, which start at 1
    "diving": SCALE,
    "gym_vault": ScoreScale(0, 17),
    "ski_big_air": ScoreScale(0, 50),
    "snowboard_big_air": ScoreScale(0, 50),
    "sync_diving_3m": SCALE,
    "sync_diving_10m": SCALE,
}
RANGES = {  # lowest and highest score in the release
    "diving": (21.6, 102.6),
    "gym_vault": (12.3, 16.87),
    "ski_big_air": (8.0, 50.0),
    "snowboard_big_air": (8.0, 50.0),
    "sync_diving_3m": (46.2, 104.88),
    "sync_diving_10m": (49.8, 99.36),
}
PERCENT = ScoreScale(0, 100, "percent")

_LISTS = "the lists of AQA-7, consolidated_train_list.mat and consolidated_test_list.mat"
_BROKEN = (MatReadError, ValueError, TypeError, KeyError, IndexError, NotImplementedError, OSError, EOFError)


def samples(
    root: Path | None,
    *,
    action: Annotated[
        Literal["all", "diving", "gym_vault", "ski_big_air", "snowboard_big_air", "sync_diving_3m", "sync_diving_10m"],
        Field(description="one action, on its own scale, or all"),
    ] = "all",
    scores: Annotated[
        Literal["points", "percent"], Field(description="percent: 0 to 100 between an action's extreme scores")
    ] = "points",
    videos: Annotated[
        Path | None, Field(description="folder of the recordings (root, root/frames, root/videos)")
    ] = None,
) -> list[Sample]:
    """Return the performances of the training list, then those of the test list; ids are ``<action>-<number>``.

    Raises:
        DataError: a list is missing or cannot be read.
    """
    folder = release.folder(root, "aqa7", _LISTS)
    places = release.places(folder, videos)
    rows = [row for part in ("train", "test") for row in _rows(folder, part) if action in ("all", row[0])]
    return [_sample(name, number, score, scores == "percent", places) for name, number, score in rows]


def labels(samples: Sequence[Sample], *, scores: Literal["points", "percent"] = "points") -> LabelSpec:
    """Return the label description: a score only, on the scale of the action if there is just one."""
    if scores == "percent":
        return LabelSpec(PERCENT)
    actions = {str(sample.action) for sample in samples}
    return LabelSpec(SCALES[actions.pop()] if len(actions) == 1 else SCALE)


def splits(samples: Sequence[Sample], root: Path | None) -> dict[str, list[Split]]:
    """Return ``official``: 803 training and 303 test performances, with one fold per action."""
    folder = release.folder(root, "aqa7", _LISTS)
    train, test = ([(name, _id(name, number)) for name, number, _ in _rows(folder, part)] for part in ("train", "test"))
    actions = dict.fromkeys(str(sample.action) for sample in samples)
    sides = {action: [tuple(i for name, i in side if name == action) for side in (train, test)] for action in actions}
    return {"official": [Split(action, *side) for action, side in sides.items()]}


def _sample(action: str, number: int, points: float, percent: bool, places: Sequence[Path]) -> Sample:
    low, high = RANGES[action]
    names = [f"{folder}/{number:03d}" for folder in (f"{action}-out", action)]
    source = release.recording(places, names)
    return Sample(
        id=_id(action, number),
        sources={"video": source} if source else {},
        action=action,
        score=100 * (points - low) / (high - low) if percent else points,
    )


def _id(action: str, number: int) -> str:
    return f"{action}-{number:03d}"


def _rows(root: Path, part: str) -> list[tuple[str, int, float]]:
    """Return action, number and score in points for each row of one list.

    The released files hold scores in hundredths of a point, those of CoRe in points.
    """
    names = [f"consolidated_{part}_list.mat", f"Split_4/split_4_{part}_list.mat", f"split_4_{part}_list.mat"]
    path = release.file(root, names, "take it from AQA-7's owners, http://rtis.oit.unlv.edu/datasets.html")
    table = _table(path, f"consolidated_{part}_list")
    actions, unit = list(SCALES), 100 if path.name.startswith("consolidated") else 1
    return [(actions[int(which) - 1], int(number), round(score / unit, 2)) for which, number, score in table.tolist()]


def _table(path: Path, variable: str) -> np.ndarray[Any, Any]:
    """Return the (n, 3) table of class, number and score."""
    try:
        table = np.asarray(loadmat(path)[variable], dtype=float)
    except _BROKEN as error:
        raise DataError(f"{path} has no table {variable}: {' '.join(str(error).split())}") from error
    if table.ndim != 2 or table.shape[1] != 3 or not np.isfinite(table).all():
        raise DataError(f"{path}: each row of {variable} should have a class, a number and a score")
    if bad := sorted(set(table[:, 0]) - set(range(1, len(SCALES) + 1))):
        raise DataError(f"{path}: there is no class {bad[0]:g}; the classes of AQA-7 are 1 to {len(SCALES)}")
    return table
