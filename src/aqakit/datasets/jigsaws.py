"""JIGSAWS: robotic surgery, video, kinematics and gestures.

Trials on a bench-top model, each rated on six items.

Gao et al., "The JHU-ISI Gesture and Skill Assessment Working Set", M2CAI 2014.

``root`` holds one folder per task, as released: ``<task>/meta_file_<task>.txt``,
``<task>/video/<trial>_capture1.avi`` and ``<task>/kinematics/AllGestures/<trial>.txt`` (or ``.txt.gz``).
A trial is named ``<task>_<surgeon letter><repetition>``. The score is the global rating: the sum of six items, each
from 1 to 5.

The gestures of a trial, ``<task>/transcriptions/<trial>.txt``, are its named segments: lines of first frame, last frame
and gesture, counted from 1 at 30 Hz, for video and kinematics alike. ``plan=gestures`` of a backbone takes one clip for
each gesture; an explanation names clips by them. Frames before, between and after them are in no clip. The gestures
were annotated by people who watched the trial, those of test trials too: a run with ``plan=gestures`` needs them for
every new recording (``--segments``), so compare it with others that have them. ``count_gestures`` makes the number of
times that each gesture occurs an attribute, a label that methods may learn to predict.

Measured on kinematics, protocol ``four-fold`` (the published folds), rule ``held-out``, one seed, all settings at their
defaults; the mean over folds of Spearman's correlation:

| | Suturing, five windows | Suturing, gestures | Knot_Tying, five windows | Knot_Tying, gestures |
| --- | --- | --- | --- | --- |
| ``dae`` | 0.833 | 0.693 | 0.809 | 0.726 |
| ``core`` | 0.798 | 0.707 | 0.845 | 0.741 |
| floor: SVR on mean features | 0.838 | 0.779 | 0.702 | 0.833 |
| floor: length only | 0.368 | 0.368 | 0.713 | 0.713 |

The 95 % intervals of the first three rows are 0.3 to 0.7 wide, and within each column these rows do not differ beyond
noise. In all four comparisons, ``dae`` and ``core`` rank worse with gestures as clips: gestures tell where points are
lost, and were no better input. The command is ``aqakit benchmark jigsaws --root JIGSAWS --task Suturing --backbone
kinematics:plan=gestures --methods dae,core``.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from aqakit.errors import DataError
from aqakit.recordings import segments
from aqakit.types import LabelSpec, Sample, ScoreScale, Split

SCALE = ScoreScale(6, 30, "GRS")
LICENCE = "research use, on request from its owners at Johns Hopkins University and Intuitive Surgical"
CITATION = "Gao et al., The JHU-ISI Gesture and Skill Assessment Working Set (JIGSAWS), M2CAI 2014"

ITEMS = (
    "respect for tissue",
    "suture and needle handling",
    "time and motion",
    "flow of operation",
    "overall performance",
    "quality of the final product",
)
LEVELS = "NIE"  # self-proclaimed: novice, intermediate, expert

GESTURES = {
    "G1": "reaching for the needle, right hand",
    "G2": "positioning the needle",
    "G3": "pushing the needle through the tissue",
    "G4": "handing the needle from left to right",
    "G5": "moving to the centre with the needle",
    "G6": "pulling the suture, left hand",
    "G7": "pulling the suture, right hand",
    "G8": "orienting the needle",
    "G9": "tightening the suture with the help of the right hand",
    "G10": "loosening more suture",
    "G11": "dropping the suture, moving to the end points",
    "G12": "reaching for the needle, left hand",
    "G13": "making a C loop around the right hand",
    "G14": "reaching for the suture, right hand",
    "G15": "pulling the suture, both hands",
}
MOST = 9
"""Most occurrences of a gesture that its attribute tells apart from more."""

# The folds of the results published since USDL (Tang et al., CVPR 2020); a surgeon may be in several of them.
FOLDS = {
    "Suturing": (
        "I002 G004 F004 B001 C003 C002 E001 D004 E004",
        "D003 C004 H001 F005 G002 C005 D005 H005 E003 G003",
        "B005 H004 F001 F002 E005 I004 D001 B003 F003 I005",
        "B002 I003 E002 C001 H003 B004 G001 D002 I001 G005",
    ),
    "Needle_Passing": (
        "B003 B002 C002 D004 B004 E004 F004",
        "E003 I004 D001 E005 D005 H002 H005",
        "C005 C003 I002 F003 B001 E001 C004",
        "F001 I005 I003 C001 D002 H004 D003",
    ),
    "Knot_Tying": (
        "H005 G003 C004 H003 G001 F005 I001 I002 B001",
        "E001 G005 E004 G004 B004 E002 E005 E003 D005",
        "D001 B002 H004 I005 D002 F001 C001 G002 B003",
        "C002 D003 F004 C005 C003 D004 I003 F003 F002",
    ),
}


def samples(
    root: Path | None,
    *,
    task: Annotated[
        Literal["all", "Suturing", "Needle_Passing", "Knot_Tying"],
        Field(description="one task, or all tasks found"),
    ] = "all",
    transcriptions: Annotated[
        Path | None,
        Field(description="folder of TASK/transcriptions, the gestures (root, root/gestures)"),
    ] = None,
    count_gestures: Annotated[
        bool, Field(description=f"how often each gesture occurs, up to {MOST} times, as attributes")
    ] = False,
) -> list[Sample]:
    """Return the scored trials that have a recording, by task; a trial may lack its kinematics or its video.

    Raises:
        DataError: ``root`` does not have the released layout, or an annotation cannot be read; with ``count_gestures``,
            a trial has no transcription.
    """
    if transcriptions is not None and not transcriptions.is_dir():
        raise DataError(
            f"{transcriptions} is not a folder; transcriptions should be the folder with <task>/transcriptions"
        )
    folder = _checked(root)
    wanted = FOLDS if task == "all" else (task,)
    tasks = [t for t in wanted if (folder / t).is_dir()]
    if not tasks:
        raise DataError(
            f"{folder} has no folder {' or '.join(wanted)}; root should be the JIGSAWS folder "
            "that holds one folder per task"
        )
    places = [transcriptions] if transcriptions else [folder, folder / "gestures"]
    found = [_with_gestures(sample, places) for t in tasks for sample in _trials(folder, t)]
    return [_counted(sample, places) for sample in found] if count_gestures else found


def labels(samples: Sequence[Sample]) -> LabelSpec:
    """Return the label description: the global rating scale, 6 to 30, as the sum of six items; and the gestures."""
    counted = {name for sample in samples for name, count in sample.attributes.items() if name in GESTURES and count}
    return LabelSpec(
        SCALE,
        judges=len(ITEMS),
        marks=ScoreScale(1, 5, "GRS"),
        rule="sum_of_items",
        attributes={"skill": len(LEVELS)} | {name: MOST + 1 for name in GESTURES if name in counted},
        segments=GESTURES if any(sample.segments for sample in samples) else {},
    )


def splits(samples: Sequence[Sample], root: Path | None) -> dict[str, list[Split]]:
    """Return the three protocols of the literature, each applied to one task at a time.

    ``four-fold`` uses the published folds, in which a surgeon may be on both sides; ``leave-one-user-out`` holds
    out one surgeon; ``leave-one-supertrial-out`` holds out the i-th repetition of every surgeon.
    """
    protocols: dict[str, Callable[[Sample], str | None]] = {
        "four-fold": _published_fold,
        "leave-one-user-out": lambda sample: sample.group,
        "leave-one-supertrial-out": lambda sample: sample.id[-1],
    }
    tasks = [list(trials) for _, trials in groupby(samples, key=lambda sample: sample.action)]
    return {name: [s for task in tasks for s in _hold_out(task, key)] for name, key in protocols.items()}


def known_errors(samples: Sequence[Sample], root: Path | None) -> Iterator[tuple[str, str, Iterable[str]]]:
    """Yield errors of the release that its samples do not show, as severity, sentence and ids."""
    bare = [s.id for s in samples if not s.segments]
    if len(bare) < len(samples):
        yield "warning", "trials without a transcription of their gestures", bare


def _published_fold(sample: Sample) -> str | None:
    folds = FOLDS[str(sample.action)]
    return next((str(k) for k, names in enumerate(folds, 1) if sample.id[-4:] in names.split()), None)


def _hold_out(trials: Sequence[Sample], fold: Callable[[Sample], str | None]) -> Iterable[Split]:
    """Yield one split per value of ``fold``; trials without a value are in none of them."""
    folds = {sample.id: fold(sample) for sample in trials}
    for held_out in sorted({value for value in folds.values() if value is not None}):
        train = tuple(i for i, value in folds.items() if value not in (held_out, None))
        test = tuple(i for i, value in folds.items() if value == held_out)
        yield Split(f"{trials[0].action}-{held_out}", train, test)


def _checked(root: Path | None) -> Path:
    if root is None:
        raise DataError("JIGSAWS needs root: the folder that holds Suturing, Needle_Passing and Knot_Tying")
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; root should be the JIGSAWS folder that holds one folder per task")
    if list(root.glob("meta_file_*.txt")):
        raise DataError(f"{root} is the folder of one task; use the folder above it as root, {root.absolute().parent}")
    return root


def _trials(root: Path, task: str) -> list[Sample]:
    found = [_trial(root / task, task, line, where) for where, line in _lines(root, task)]
    present = [sample for sample in found if sample.sources]
    if not present:
        raise DataError(
            f"{root / task} has none of its {len(found)} recordings; expected video/<trial>_capture1.avi "
            "or kinematics/AllGestures/<trial>.txt"
        )
    if len(present) < len(found):
        warnings.warn(
            f"{root / task}: {len(found) - len(present)} of {len(found)} scored trials have neither video "
            "nor kinematics and are skipped",
            stacklevel=2,
        )
    return present


def _lines(root: Path, task: str) -> list[tuple[str, str]]:
    """Return the location (file and line number) and the text of each annotation line."""
    path = root / task / f"meta_file_{task}.txt"
    if not path.is_file():
        raise DataError(f"{path} is missing; it holds the scores of {task}, take it from the release")
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = [(f"{path}, line {n}", line) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise DataError(f"{path} is empty; it should hold the scores of {task}, take it from the release")
    return lines


def _trial(folder: Path, task: str, line: str, where: str) -> Sample:
    pattern = rf"({task}_([A-Z])\d{{3}})\s+([{LEVELS}])\s+([0-9]+)((?:\s+[0-9]+){{{len(ITEMS)}}})\s*"
    match = re.fullmatch(pattern, line)
    if match is None:
        raise DataError(
            f"{where}: expected a trial such as {task}_B001, a level (N, I or E), the total and "
            f"{len(ITEMS)} items; got {line[:80]!r}"
        )
    trial, surgeon, level, total, items = match.groups()
    return Sample(
        id=trial,
        sources=_sources(folder, trial),
        action=task,
        group=surgeon,
        score=float(total),
        judges=tuple(map(float, items.split())),
        attributes={"skill": LEVELS.index(level)},
    )


def _with_gestures(sample: Sample, places: Sequence[Path]) -> Sample:
    """Add the gestures of a trial, if there is a transcription."""
    files = [place / str(sample.action) / "transcriptions" / f"{sample.id}.txt" for place in places]
    file = next((file for file in files if file.is_file()), None)
    return replace(sample, segments=segments.read(file, GESTURES)) if file else sample


def _counted(sample: Sample, places: Sequence[Path]) -> Sample:
    """Add how often each gesture occurs as attributes."""
    if not sample.segments:
        file = places[0] / str(sample.action) / "transcriptions" / f"{sample.id}.txt"
        raise DataError(
            f"{file} is missing, so the gestures of {sample.id} cannot be counted; take it from the release"
        )
    counts = Counter(segment.name for segment in sample.segments)
    return replace(sample, attributes={**sample.attributes, **{g: min(counts[g], MOST) for g in GESTURES}})


def _sources(folder: Path, trial: str) -> dict[str, Path]:
    kinematics = folder / "kinematics" / "AllGestures"
    candidates = {
        "video": [folder / "video" / f"{trial}_capture1.avi"],
        "signal": [kinematics / f"{trial}.txt", kinematics / f"{trial}.txt.gz"],
    }
    found = {kind: next((p for p in paths if p.is_file()), None) for kind, paths in candidates.items()}
    return {kind: path for kind, path in found.items() if path is not None}
