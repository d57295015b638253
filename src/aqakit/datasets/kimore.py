"""KIMORE: rehabilitation exercises with clinicians' scores.

Five exercises for low back pain by 78 people: experts and others who are healthy, and people with back pain,
Parkinson's disease or after a stroke, recorded with a Kinect v2. The score is the clinicians' total, 0 to 50.

Capecci et al., "The KIMORE Dataset: Kinematic Assessment of Movement and Clinical Scores for Remote Monitoring of
Physical Rehabilitation", IEEE TNSRE 2019.

``root`` holds the released folders, ``CG/Expert``, ``CG/NotExpert``, ``GPP/BackPain``, ``GPP/Parkinson`` and
``GPP/Stroke``, with one folder per person and exercise: ``CG/Expert/E_ID1/Es1/Raw/JointPosition….csv`` (25 joints) and
``…/Es1/Label/ClinicalAssessment_E_ID1.xlsx`` (columns ``clinical TS Ex#1``, ``PO`` and ``CF``: total, primary outcomes,
control factors). Or it holds the tables of eleven angles and distances that go round of the first exercise,
``scores.csv`` (id, path, score) and ``exercise1/E_ID1.csv.gz``. Their last rows lack some columns; these rows are left
out, and arrays of the others are written to ``$AQAKIT_CACHE`` or ``~/.cache/aqakit``.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aqakit.datasets.parts import records, release
from aqakit.datasets.parts.splits import five_fold, leave_one_group_out
from aqakit.errors import DataError
from aqakit.system.files import atomic_path, default_cache
from aqakit.types import LabelSpec, Sample, ScoreScale, Split

SCALE = ScoreScale(0, 50, "clinical total")
LICENCE = "public for research (Università Politecnica delle Marche)"
CITATION = (
    "Capecci et al., The KIMORE Dataset: Kinematic Assessment of Movement and Clinical Scores for Remote Monitoring of "
    "Physical Rehabilitation, IEEE TNSRE 2019. https://doi.org/10.1109/TNSRE.2019.2923060"
)

GROUPS = ("CG/Expert", "CG/NotExpert", "GPP/BackPain", "GPP/Parkinson", "GPP/Stroke")
EXERCISES = range(1, 6)
_WHAT = "CG and GPP, or with scores.csv and exercise1"
_CHANNELS = 11


def samples(root: Path | None) -> list[Sample]:
    """Return one sample for each person and exercise that has a recording, by exercise.

    Raises:
        DataError: ``root`` has neither layout, or a table or a score cannot be read.
    """
    folder = release.folder(root, "KIMORE", _WHAT)
    if (folder / "scores.csv").is_file():
        return list(_derived(folder))
    if not any((folder / name).is_dir() for name in GROUPS):
        raise DataError(f"{folder} has no folder {' or '.join(GROUPS)}; root should be the folder with {_WHAT}")
    found = [s for name in GROUPS for person in _folders(folder / name) for s in _person(person)]
    if not found:
        raise DataError(f"{folder} has no recordings; expected CG/Expert/E_ID1/Es1/Raw/JointPosition….csv")
    return sorted(found, key=lambda sample: str(sample.action))


def labels(samples: Sequence[Sample]) -> LabelSpec:
    """Return the label description: the clinical total, 0 to 50."""
    return LabelSpec(SCALE)


def splits(samples: Sequence[Sample], root: Path | None) -> dict[str, list[Split]]:
    """Return two protocols, each applied to one exercise at a time; every person is one group.

    ``five-fold`` holds out a fifth of the people at a time, ``leave-one-subject-out`` one.
    """
    protocols: dict[str, Callable[[str | None, Sequence[Sample]], Iterable[Split]]] = {
        "five-fold": five_fold,
        "leave-one-subject-out": leave_one_group_out,
    }
    exercises = [(name, list(own)) for name, own in groupby(samples, key=lambda sample: sample.action)]
    return {name: [fold for one in exercises for fold in folds(*one)] for name, folds in protocols.items()}


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _person(folder: Path) -> Iterator[Sample]:
    for exercise in EXERCISES:
        place = folder / f"Es{exercise}"
        recordings = sorted((place / "Raw").glob("JointPosition*.csv"))
        if not recordings:
            continue
        if len(recordings) > 1:
            raise DataError(
                f"{place / 'Raw'} has {len(recordings)} files of joint positions; leave the right one there"
            )
        yield Sample(
            id=f"{folder.name}_Es{exercise}",
            sources={"skeleton": recordings[0]},
            action=f"exercise {exercise}",
            group=folder.name,
            score=_clinical(place / "Label", folder.name, exercise),
        )


def _clinical(folder: Path, person: str, exercise: int) -> float | None:
    """Return the clinical total of an exercise; None if the cell is empty."""
    files = sorted(folder.glob("ClinicalAssessment*.xlsx"))
    if not files:
        raise DataError(f"{folder} has no ClinicalAssessment_{person}.xlsx, which holds the scores of {person}")
    table = records.read(files[0]).rows
    wanted = f"clinicaltsex#{exercise}"
    names = [re.sub(r"\s", "", name).lower() for name in table[0][1]] if table else []
    if wanted not in names or len(table) < 2:
        raise DataError(f"{files[0]} has no column 'clinical TS Ex#{exercise}' with a row below; copy it again")
    line, cells = table[1]
    column = names.index(wanted)
    text = cells[column] if column < len(cells) else ""
    return _score(text, f"{files[0]}, line {line}") if text else None


def _score(text: str, where: str) -> float:
    try:
        score = float(text)
    except ValueError:
        raise DataError(f"{where}: the score {text[:20]!r} is not a number") from None
    if not SCALE.low <= score <= SCALE.high:
        raise DataError(f"{where}: the score {text[:20]} is not within 0 and 50")
    return score


def _derived(root: Path) -> Iterator[Sample]:
    file = root / "scores.csv"
    (_, names), *rows = records.read(file).rows or [(1, [])]
    if not {"id", "path", "score"} <= set(names):
        raise DataError(f"{file}, line 1: expected the columns id, path and score")
    for line, cells in rows:
        row = dict(zip(names, cells, strict=False))
        table = _complete(root / row["path"], f"{file}, line {line}")
        score = _score(row.get("score", ""), f"{file}, line {line}")
        yield Sample(
            id=row["id"],
            sources={"signal": _kept(row["id"], table)},
            action="exercise 1",
            group=row["id"],
            score=score,
        )


def _complete(path: Path, where: str) -> NDArray[np.float32]:
    """Read a table of eleven columns, up to the first row that lacks some."""
    try:
        text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        rows = [line.split(",") for line in text.decode("utf-8").splitlines()]
    except FileNotFoundError:
        raise DataError(f"{where}: {path} is missing") from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}; copy it again") from None
    whole = [len(row) == _CHANNELS and all(map(str.strip, row)) for row in rows]
    end = whole.index(False) if False in whole else len(rows)
    if end == 0 or any(whole[end:]):
        at = end + 1
        raise DataError(f"{path}, line {at}: expected {_CHANNELS} numbers; only the last rows may lack some")
    try:
        table = np.array(rows[:end], dtype=np.float32)
    except ValueError as error:
        raise DataError(f"{path}: {error}; expected numbers only") from None
    if not np.isfinite(table).all():
        raise DataError(f"{path}, line {int(np.argwhere(~np.isfinite(table))[0, 0]) + 1}: a number is not finite")
    return table


def _kept(name: str, table: NDArray[np.float32]) -> Path:
    """Return the file in the cache that holds a table, named after its content."""
    digest = hashlib.blake2b(table.tobytes(), digest_size=8).hexdigest()
    file = default_cache() / "kimore" / f"{re.sub(r'[^A-Za-z0-9_-]', '_', name)}-{digest}.npy"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(file) as temporary, temporary.open("wb") as stream:
            np.save(stream, table)
    return file
