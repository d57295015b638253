"""UNLV-Dive: 370 dives from the 10 m platform, as features.

Their video is not part of what S3D released.

Parmar and Morris, "Learning to Score Olympic Events", CVPRW 2017; the arrays are those that came with Xiang et al.,
"S3D: Stacking Segmental P3D for Action Quality Assessment", ICIP 2018.

``root`` holds the arrays as released: ``all_train.npy``, ``all_test.npy``, ``overall_scores.npy``,
``difficulty_level.npy``, ``training_idx.npy``, ``testing_idx.npy``; for ``read=segments`` also ``tcn_output.npy``.
The released arrays hold all dives in one file, so each dive gets a small file of its own, below ``$AQAKIT_CACHE`` or
``~/.cache/aqakit``, for the backbone ``precomputed``. What these are is the option ``read``:

- ``features``: (1, 2048), the mean of the P3D features of the four stages jump, drop, entry and ending;
- ``scores``: (4, 1), what the four stage models answered, one clip for each stage;
- ``both``: (1, 2052), the features and then the four scores;
- ``segments``: (160, 5), the probabilities of five stages, of which the first is before the jump, in every frame.

The P3D models were fine-tuned on the 300 training dives: their training scores correlate above 0.99 with the truth,
so that neither the training set nor a part of it held out tells how well a model does on the 70 test dives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from aqakit.datasets.parts import release
from aqakit.errors import DataError
from aqakit.recordings import pickles
from aqakit.system.files import default_cache, replacing
from aqakit.types import LabelSpec, Sample, ScoreScale, Split

SCALE = ScoreScale(0, 123)  # 30 × 4.1, the largest difficulty
LICENCE = "none stated; the arrays are with their owners, at github.com/YeTianJHU/diving-score"
CITATION = (
    "Parmar and Morris, Learning to Score Olympic Events, CVPRW 2017; features: Xiang et al., S3D: Stacking Segmental "
    "P3D for Action Quality Assessment, ICIP 2018"
)

Read = Literal["features", "scores", "both", "segments"]
Array = NDArray[np.float32]

DIVES = 370
STAGES = ("jump", "drop", "entry", "ending")
_BOUNDARIES = "jump_drop_water_label.txt"
_PARTS = {"training_idx.npy": "all_train.npy", "testing_idx.npy": "all_test.npy"}


def samples(
    root: Path | None,
    *,
    read: Annotated[
        Read,
        Field(description="P3D features, scores of the four stage models, both, or stage probabilities by frame"),
    ] = "features",
) -> list[Sample]:
    """The dives in the order of the release, with their scores and difficulties.

    Raises:
        DataError: ``root`` is not the released layout, its arrays do not fit together, or the cache cannot be written.
    """
    folder = _checked(root)
    scores, degrees = (_numbers(folder, name) for name in ("overall_scores.npy", "difficulty_level.npy"))
    arrays = _segments(folder) if read == "segments" else _features(folder, read, scores)
    names = [_id(number) for number in range(DIVES)]
    try:
        files = _write(default_cache() / "unlv_dive", arrays, names)
    except OSError as error:
        wanted = "set AQAKIT_CACHE to a folder that can be written"
        raise DataError(f"{error.filename}: {error.strerror}; {wanted}") from error
    return [
        Sample(id=name, sources={"features": file}, action="diving", score=float(score), difficulty=float(degree))
        for name, file, score, degree in zip(names, files, scores, degrees, strict=True)
    ]


def labels(samples: Sequence[Sample]) -> LabelSpec:
    """Scores, and totals from 0 to 30; the judges are not known."""
    return LabelSpec(SCALE, ScoreScale(0, 30))


def splits(samples: Sequence[Sample], root: Path | None) -> dict[str, list[Split]]:
    """``official``: 300 dives to learn from and 70 to test on."""
    train, test = (tuple(_id(k) for k in _rows(_checked(root), name)) for name in _PARTS)
    return {"official": [Split("official", train, test)]}


def known_errors(samples: Sequence[Sample], root: Path | None) -> Iterator[tuple[str, str, Iterable[str]]]:
    """What is wrong with the release and cannot be seen from its samples: severity, sentence and ids."""
    folder = _checked(root)
    totals = {s.id: 2 * s.score / s.difficulty for s in samples if s.score and s.difficulty}
    odd = [name for name, half_points in totals.items() if abs(half_points - round(half_points)) > 1e-6]
    yield "warning", "scores that are no sum of marks in half points times the difficulty", odd
    train = [_id(row) for row in _rows(folder, "training_idx.npy")]
    yield "warning", "dives on which the P3D of the features was fine-tuned, which flatters any model of them", train
    if (folder / _BOUNDARIES).exists():
        falling = np.flatnonzero((np.diff(boundaries(folder)) < 0).any(1))
        yield (
            "warning",
            "dives with a stage that begins before the one that precedes it",
            [_id(row) for row in falling.tolist()],
        )


def boundaries(root: Path) -> NDArray[np.int64]:
    """(370, 4) frames, of 160, in which jump, drop, entry and ending begin, in the order of :func:`samples`.

    They are ``jump_drop_water_label.txt`` as released, the labels the stages were learnt from; in two dives they are
    not in rising order.

    Raises:
        DataError: the file is missing, or is not such a table.
    """
    file = release.file(root, [_BOUNDARIES], "it is part of the release of S3D")
    try:
        table = np.loadtxt(file, np.int64, delimiter=",", ndmin=2)
    except ValueError as error:
        raise DataError(f"{file}: {error}") from error
    return _shaped(file, table, (DIVES, len(STAGES)))


def _checked(root: Path | None) -> Path:
    return release.folder(root, "unlv_dive", "the released arrays, all_train.npy among them")


def _id(row: int) -> str:
    return f"dive-{row + 1:03d}"


def _load(folder: Path, name: str) -> NDArray[Any]:
    return pickles.load_npy_objects(release.file(folder, [name], "it is part of the release of S3D"))


def _numbers(folder: Path, name: str) -> NDArray[np.float64]:
    values = _shaped(folder / name, _load(folder, name), (1, DIVES))[0]
    if values.dtype.kind != "f" or not (values > 0).all():
        raise DataError(f"{folder / name} should hold numbers above 0")
    return values


def _rows(folder: Path, name: str) -> list[int]:
    """Of one part of the split, counted from 0."""
    numbers = _load(folder, name).ravel()
    if not set(numbers.tolist()) <= set(range(1, DIVES + 1)) or len(set(numbers.tolist())) != len(numbers):
        raise DataError(f"{folder / name} should hold different numbers from 1 to {DIVES}")
    return [int(number) - 1 for number in numbers]


def _features(folder: Path, read: Read, scores: NDArray[np.float64]) -> Array:
    """(370, N, D), brought from the order of the parts to that of the release."""
    rows = [row for name in _PARTS for row in _rows(folder, name)]
    if sorted(rows) != list(range(DIVES)):
        raise DataError(f"{folder}: {' and '.join(_PARTS)} should name every one of {DIVES} dives once")
    parts = [_part(folder / name, _load(folder, name)) for name in _PARTS.values()]
    features, stages, known = (np.concatenate(column) for column in zip(*parts, strict=True))
    if len(known) != DIVES or not np.array_equal(known, scores[rows].astype(np.float32)):
        raise DataError(f"{folder}: the scores in {' and '.join(_PARTS.values())} are not those of overall_scores.npy")
    both = np.hstack([features, stages])
    found: dict[str, Array] = {"features": features[:, None], "scores": stages[:, :, None], "both": both[:, None]}
    return found[read][np.argsort(rows)]


def _part(file: Path, array: NDArray[Any]) -> tuple[Array, Array, Array]:
    """Features (n, 2048), stage scores (n, 4) and scores (n,) of the training or the test dives."""
    try:
        features, stages, scores = array
        features, stages = (np.array([np.ravel(dive) for dive in rows], np.float32) for rows in (features, stages))
        known = np.array(scores, np.float32)
    except (ValueError, TypeError):
        raise DataError(f"{file} should have three rows: features, stage scores and scores of each dive") from None
    return _shaped(file, features, (len(known), 2048)), _shaped(file, stages, (len(known), len(STAGES))), known


def _segments(folder: Path) -> Array:
    name = "tcn_output.npy"
    return _shaped(folder / name, _load(folder, name), (DIVES, 160, len(STAGES) + 1))


def _shaped(file: Path, array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if array.shape != shape:
        raise DataError(f"{file} should hold an array of shape {shape}, and it is {array.shape}")
    return array


def _write(cache: Path, arrays: Array, names: Sequence[str]) -> list[Path]:
    """A file for each dive, in a folder named after the content of all of them."""
    folder = cache / hashlib.blake2b(arrays.tobytes(), digest_size=8).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}.npy" for name in names]
    for file, array in zip(files, arrays, strict=True):
        if not file.exists():
            with replacing(file) as temporary, temporary.open("wb") as stream:
                np.save(stream, array)
    return files
