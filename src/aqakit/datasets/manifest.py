"""Your own recordings, listed in a CSV file or a sheet.

``root`` is the file: CSV (separated by commas, semicolons or tabs) or the first sheet of an ``.xlsx`` file. It has the
columns ``id``, ``path``, ``score`` (empty if unlabelled) and, optionally,

- ``video``, ``signal``, ``skeleton``, ``features``: recordings by kind; the kind of ``path`` follows from its suffix:
  joints in CSV, TXT, NPY or NPZ need the column ``skeleton``;
- ``start``, ``end``: first and last frame of the action; ``action``, ``group``, ``caption``;
- ``kind``, ``step_list``, ``boundaries``, ``segments``: what was declared, where phases change, and named parts;
- ``difficulty``, ``judge_1`` … ``judge_J``: the values the score is computed from;
- ``split``: ``train``, ``validation`` (never trained on: recalibrates the intervals, may choose the epoch) or ``test``;
- any other column of whole numbers: an attribute, such as ``somersaults``. Other columns are left aside.

Other common names are understood, such as ``name``, ``file``, ``points``, ``DD``, ``athlete`` or ``Judge 1``. An empty
cell, ``NA`` and ``-`` mean that there is no value. Numbers have a decimal point or comma and no thousands sign. What
was assumed is said. Paths are relative to the folder of the file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from aqakit import discovery
from aqakit.datasets.parts import attributes as attributes_of
from aqakit.datasets.parts.declared import declared, shares, steps
from aqakit.datasets.parts.sheet import Row, Sheet, listed
from aqakit.datasets.parts.splits import five_fold, leave_one_group_out, testable
from aqakit.errors import DataError, OptionError
from aqakit.recordings import listing, segments, skeletons
from aqakit.scores.rules import RULES
from aqakit.system import terminal
from aqakit.system.files import at_home
from aqakit.system.numbers import number, positive, whole
from aqakit.types import RATE, LabelSpec, Sample, ScoreScale, Split

SCALE = None
LICENCE = "yours"
CITATION = "your own recordings"

KINDS = ("video", "signal", "skeleton", "features")
COLUMNS = (
    "id", "path", *KINDS, "score", "start", "end", "action", "group", "split", "difficulty", "caption", "kind",
    "step_list", "boundaries", "segments",
)  # fmt: skip
ALIASES = {
    "id": ("name", "sample", "sample_id", "clip", "clip_id"),
    "path": ("file", "file_name", "filename", "file_path", "filepath", "recording"),
    "video": ("videos", "video_file", "video_path", "video_name", "movie"),
    "score": ("points", "total", "total_score", "final_score", "total_points", "rating"),
    "start": ("start_frame", "first_frame"),
    "end": ("end_frame", "last_frame"),
    "group": ("athlete", "subject", "participant", "patient", "player", "surgeon"),
    "split": ("subset", "partition"),
    "difficulty": ("dd", "degree_of_difficulty"),
}
"""Names that people give to the columns, read as these if the columns themselves are missing."""
ENDINGS = {
    "video": listing.ENDINGS["video"],
    "signal": re.compile(r".*\.(txt(\.gz)?|csv|npy|npz)", re.IGNORECASE),
    "skeleton": re.compile(r".*\.(bvh|trc|skeleton|json)(\.gz)?", re.IGNORECASE),
    "features": re.compile(r".*\.(pt|safetensors)", re.IGNORECASE),
}
PARTS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}


def samples(
    root: Path | None,
    *,
    low: Annotated[float | None, Field(description="lowest possible score (lowest in training)")] = None,
    high: Annotated[float | None, Field(description="highest possible score (highest in training)")] = None,
    unit: Annotated[str, Field(description="unit of the score")] = "points",
    rule: Annotated[str | None, Field(description="how the score is computed from judges and difficulty")] = None,
    encoding: Annotated[str | None, Field(description="encoding of a CSV file, such as cp1251 (found out)")] = None,
    rate: Annotated[Literal["stored", "constant"], Field(description=RATE)] = "stored",
) -> list[Sample]:
    """Return one sample per row, in order.

    Raises:
        OptionError: the rule does not exist, or ``low`` is not less than ``high``.
        DataError: the file has errors; the message lists all of them with their lines.
    """
    if rule is not None and rule not in RULES:
        raise OptionError(f"there is no rule {rule!r}{discovery.nearest(rule, RULES)}")
    _scale([], low, high, unit)
    sheet = Sheet.read(_checked(root), ALIASES, encoding)
    _check_columns(sheet, rule)
    attributes = attributes_of.choose(sheet, _others(sheet), COLUMNS)
    judges = _judges(sheet)
    found = [replace(_sample(row, sheet, judges, attributes), rate=rate) for row in sheet.rows]
    _check_names(sheet)
    _check_scores(sheet, found, low, high)
    sheet.raise_errors()
    for sentence in sheet.notes:
        terminal.say_once(f"{sheet.path}: {sentence}")
    return found


def labels(
    samples: Sequence[Sample],
    *,
    low: float | None = None,
    high: float | None = None,
    unit: str = "points",
    rule: str | None = None,
) -> LabelSpec:
    """Return the label description of the rows; the options are those of :func:`samples`."""
    scores = [s.score for s in samples if s.score is not None]
    totals = [s.score / s.difficulty for s in samples if s.score is not None and s.difficulty is not None]
    judges = max((len(s.judges) for s in samples if s.judges is not None), default=0)
    classes: dict[str, int] = {}
    for name, value in (item for sample in samples for item in sample.attributes.items()):
        classes[name] = max(classes.get(name, 0), value + 1)
    return LabelSpec(
        scale=_scale(scores, low, high, unit),
        total=_scale(totals, None, None, unit) if totals else None,
        marks=_scale([mark for s in samples for mark in s.judges or ()], None, None, unit) if judges else None,
        judges=judges,
        rule=rule,
        attributes=classes,
        vocabulary=tuple(sorted({word for s in samples for word in (s.caption or "").split()})),
        **declared(samples),
    )


def splits(samples: Sequence[Sample], root: Path | None, *, encoding: str | None = None) -> dict[str, list[Split]]:
    """Return ``split`` if the file has that column, else ``five-fold``, which never divides a group.

    With two groups or more, ``leave-one-group-out`` is there too: each group is the test set once. Unlabelled rows may
    be in a training set, but never in a validation or test set.
    """
    rows = Sheet.read(_checked(root), ALIASES, encoding).rows
    parts = {row.cells["id"]: _part(row.cells["split"]) for row in rows if "split" in row.cells}
    actions = _by_action(samples).items()
    by_group = [fold for action, trials in actions for fold in leave_one_group_out(action, trials)]
    more = {"leave-one-group-out": by_group} if by_group else {}
    if parts:
        return {"split": [_given(action, trials, parts) for action, trials in actions], **more}
    return {"five-fold": [fold for action, trials in actions for fold in five_fold(action, trials)], **more}


def _given(action: str | None, trials: Sequence[Sample], parts: Mapping[str, str]) -> Split:
    train = tuple(s.id for s in trials if parts[s.id] == "train")
    judged = testable(trials)
    test, validation = (tuple(s.id for s in judged if parts[s.id] == part) for part in ("test", "validation"))
    return Split(action or "split", train, test, validation)


def _by_action(samples: Iterable[Sample]) -> dict[str | None, list[Sample]]:
    actions: dict[str | None, list[Sample]] = {}
    for sample in samples:
        actions.setdefault(sample.action, []).append(sample)
    return actions


def _scale(values: Sequence[float], low: float | None, high: float | None, unit: str) -> ScoreScale:
    """Return a scale from the lowest to the highest value, or of length 1 if there are no two different values."""
    if low is not None and high is not None and not low < high:
        raise OptionError(f"low={low:g} should be less than high={high:g}")
    known = [*values, *(end for end in (low, high) if end is not None)] or [0.0]
    bottom, top = min(known) if low is None else low, max(known) if high is None else high
    if bottom == top:
        bottom, top = (bottom, top + 1) if high is None else (bottom - 1, top)
    return ScoreScale(bottom, top, unit)


def _checked(root: Path | None) -> Path:
    if root is None or not root.is_file():
        what = "a manifest needs root" if root is None else f"{root} is not a file; root should be"
        raise DataError(f"{what}: a CSV file with the columns id, path and score, or an .xlsx file")
    return root


def _judges(sheet: Sheet) -> list[str]:
    names = [name for name in sheet.columns if re.fullmatch(r"judge_[0-9]+", name)]
    return sorted(names, key=lambda name: int(name.removeprefix("judge_")))


def _others(sheet: Sheet) -> list[str]:
    known = {"", *COLUMNS, *_judges(sheet)}
    return [name for name in sheet.columns if name not in known]


def _check_columns(sheet: Sheet, rule: str | None) -> None:
    missing = [name for name in ("id", "score") if name not in sheet.columns]
    if not {"path", *KINDS} & set(sheet.columns):
        missing.append("path")
    for name in missing:
        sheet.add_error(1, f"there is no column {name!r}; the columns are: {listed(sheet.columns)}")
    judges = _judges(sheet)
    if set(judges) != {f"judge_{k}" for k in range(1, len(judges) + 1)}:
        sheet.add_error(1, f"judges should be judge_1 to judge_{len(judges)}; the file has: {listed(judges)}")
    if rule is not None and len(judges) not in RULES[rule].judges:
        known = " or ".join(map(str, RULES[rule].judges))
        sheet.add_error(1, f"the rule {rule} needs {known} columns judge_1, judge_2, …; there are {len(judges)}")
    if rule is not None and RULES[rule].difficulty and "difficulty" not in sheet.columns:
        sheet.add_error(1, f"the rule {rule} needs a column 'difficulty'")


def _part(text: str) -> str:
    if text.lower() not in PARTS:
        raise ValueError("is not train, validation or test")
    return PARTS[text.lower()]


def _sample(row: Row, sheet: Sheet, judges: Sequence[str], attributes: Sequence[str]) -> Sample:
    return Sample(
        id=row.cells.get("id", ""),
        sources=_sources(row, sheet),
        window=_window(row, sheet),
        action=row.cells.get("action") or None,
        group=row.cells.get("group") or None,
        score=sheet.number(row, "score", number),
        judges=_marks(row, sheet, judges),
        difficulty=sheet.number(row, "difficulty", positive),
        attributes={name: whole(sheet.with_point(row.cells[name])) for name in attributes if row.cells[name]},
        caption=row.cells.get("caption") or None,
        kind=row.cells.get("kind") or None,
        steps=sheet.cell(row, "step_list", steps) or (),
        boundaries=sheet.cell(row, "boundaries", lambda text: shares(sheet.with_point(text))) or (),
        segments=sheet.cell(row, "segments", segments.parse) or (),
    )


def _sources(row: Row, sheet: Sheet) -> dict[str, Path]:
    folder = sheet.path.parent
    named = {kind: sheet.cell(row, kind, lambda text: _existing(folder, text)) for kind in KINDS}
    sources = {kind: path for kind, path in named.items() if path is not None}
    kind, path = sheet.cell(row, "path", lambda text: _by_ending(_existing(folder, text))) or ("", None)
    if kind in sources:
        sheet.add_error(row.line, f"path and {kind} are two recordings of the same kind")
    elif path is not None:
        sources[kind] = path
    cells = [row.cells[column] for column in ("path", *KINDS) if column in row.cells]
    if cells and not any(cells):
        sheet.add_error(row.line, "no recording is given")
    return sources


def _existing(folder: Path, text: str) -> Path:
    """Return the path of a cell; one of Windows is understood, as is a home folder, if there is no such file."""
    meant = dict.fromkeys((text, text.replace("\\", "/"), at_home(text)))
    for path in (folder / name for name in meant):
        with suppress(OSError):
            path.stat()
            return path
    try:
        (folder / text).stat()
    except OSError as error:
        raise ValueError(f"cannot be used: {error.strerror}") from None
    return folder / text


def _by_ending(path: Path) -> tuple[str, Path]:
    if path.is_dir():
        return ("skeleton" if skeletons.is_folder(path) else "video"), path
    kinds = [kind for kind, ending in ENDINGS.items() if ending.fullmatch(path.name)]
    if not kinds:
        raise ValueError(f"has an unknown suffix; put it in a column named {', '.join(KINDS)}")
    return kinds[0], path


def _window(row: Row, sheet: Sheet) -> tuple[int, int] | None:
    start, end = sheet.number(row, "start", whole), sheet.number(row, "end", whole)
    if bool(row.cells.get("start")) != bool(row.cells.get("end")):
        sheet.add_error(row.line, "start and end go together: give both, or neither")
    if start is None or end is None:
        return None
    if start > end:
        sheet.add_error(row.line, f"start {start} is after end {end}")
    return start, end


def _marks(row: Row, sheet: Sheet, names: Sequence[str]) -> tuple[float, ...] | None:
    marks = [sheet.number(row, name, number) for name in names]
    given = sum(bool(row.cells[name]) for name in names)
    if 0 < given < len(names):
        sheet.add_error(row.line, f"{given} of {len(names)} judges; give all marks, or none")
    known = tuple(mark for mark in marks if mark is not None)
    return known if known and len(known) == len(names) else None


def _check_scores(sheet: Sheet, found: Sequence[Sample], low: float | None, high: float | None) -> None:
    bottom, top = (-math.inf if low is None else low), (math.inf if high is None else high)
    for row, sample in zip(sheet.rows, found, strict=True):
        if sample.score is not None and not bottom <= sample.score <= top:
            sheet.add_error(row.line, f"score {sample.score:g} is outside the scale from {bottom:g} to {top:g}")


def _check_names(sheet: Sheet) -> None:
    sheet.check_names("id")
    acted = any(row.cells.get("action") for row in sheet.rows)
    for row in sheet.rows:
        sheet.cell(row, "split", _part)
        if row.cells.get("split") == "":
            sheet.add_error(row.line, "split is empty; it should be train, validation or test")
        if acted and not row.cells["action"]:
            sheet.add_error(row.line, "action is empty, but other rows have one")
