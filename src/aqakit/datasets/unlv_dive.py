"""UNLV-Dive: 370 dives from the 10 m platform, as features.

The release does not include the videos.

Parmar and Morris, "Learning to Score Olympic Events", CVPRW 2017; the arrays were released with Xiang et al.,
"S3D: Stacking Segmental P3D for Action Quality Assessment", ICIP 2018.

``root`` holds the arrays as released: ``all_train.npy``, ``all_test.npy``, ``overall_scores.npy``,
``difficulty_level.npy``, ``training_idx.npy``, ``testing_idx.npy``; for ``read=segments`` also ``tcn_output.npy``.
The released arrays hold all dives in one file. For the backbone ``precomputed``, each dive gets a small file of its
own, in ``$AQAKIT_CACHE`` or ``~/.cache/aqakit``. The option ``read`` selects its content:

- ``features``: (1, 2048), the mean of the P3D features of the four stages jump, drop, entry and ending;
- ``scores``: (4, 1), the outputs of the four stage models, one clip per stage;
- ``both``: (1, 2052), the features and then the four scores;
- ``segments``: (160, 5), the probabilities of five stages (the first is before the jump) in every frame.

The P3D models were fine-tuned on the 300 training dives: their training scores correlate above 0.99 with the true ones.
So neither the training set nor a held-out part of it predicts the performance on the 70 test dives.
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
from aqakit.system.files import atomic_path, default_cache
from aqakit.types import LabelSpec, Sample, ScoreScale, Split

SCALE = ScoreScale(0, 123)  # 30 × 4.1, the highest difficulty
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
    """Return the dives in the order of the release, with their scores and difficulties.

    Raises:
        DataError: ``root`` does not have the released layout, its arrays are inconsistent, or the cache is not
            writable.
    """
    folder = _checked(root)
    scores, degrees = (_numbers(folder, name) for name in ("overall_scores.npy", "difficulty_level.npy"))
    arrays = _segments(folder) if read == "segments" else _features(folder, read, scores)
    names = [_id(number) for number in range(DIVES)]
    try:
        files = _write(default_cache() / "unlv_dive", arrays, names)
    except OSError as error:
        wanted = "set AQAKIT_CACHE to a writable folder"
        raise DataError(f"{error.filename}: {error.strerror}; {wanted}") from error
    return [
        Sample(id=name, sources={"features": file}, action="diving", score=float(score), difficulty=float(degree))
        for name, file, score, degree in zip(names, files, scores, degrees, strict=True)
    ]


def labels(samples: Sequence[Sample]) -> LabelSpec:
    """Return the label description: scores, and totals from 0 to 30; the judges' marks are unknown."""
    return LabelSpec(SCALE, ScoreScale(0, 30))


def splits(samples: Sequence[Sample], root: Path | None) -> dict[str, list[Split]]:
    """Return ``official``: 300 training and 70 test dives."""
    train, test = (tuple(_id(k) for k in _rows(_checked(root), name)) for name in _PARTS)
    return {"official": [Split("official", train, test)]}


def known_errors(samples: Sequence[Sample], root: Path | None) -> Iterator[tuple[str, str, Iterable[str]]]:
    """Yield errors of the release that its samples do not show, as severity, sentence and ids."""
    folder = _checked(root)
    totals = {s.id: 2 * s.score / s.difficulty for s in samples if s.score and s.difficulty}
    odd = [name for name, half_points in totals.items() if abs(half_points - round(half_points)) > 1e-6]
    yield "warning", "scores that are not a sum of half-point marks times the difficulty", odd
    train = [_id(row) for row in _rows(folder, "training_idx.npy")]
    yield "warning", "dives that the P3D of the features was fine-tuned on, so results on them are optimistic", train
    if (folder / _BOUNDARIES).exists():
        falling = np.flatnonzero((np.diff(boundaries(folder)) < 0).any(1))
        yield (
            "warning",
            "dives with a stage that starts before the previous one",
            [_id(row) for row in falling.tolist()],
        )


def boundaries(root: Path) -> NDArray[np.int64]:
    """Return the (370, 4) frames, of 160, at which jump, drop, entry and ending start, in the order of :func:`samples`.

    They are the released ``jump_drop_water_label.txt``, the labels that the stage model was trained on. In two dives
    they are not in increasing order.

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
    """Return the rows of one part of the split, counted from 0."""
    numbers = _load(folder, name).ravel()
    if not set(numbers.tolist()) <= set(range(1, DIVES + 1)) or len(set(numbers.tolist())) != len(numbers):
        raise DataError(f"{folder / name} should hold distinct numbers from 1 to {DIVES}")
    return [int(number) - 1 for number in numbers]


def _features(folder: Path, read: Read, scores: NDArray[np.float64]) -> Array:
    """Return the (370, N, D) array, reordered from split order to release order."""
    rows = [row for name in _PARTS for row in _rows(folder, name)]
    if sorted(rows) != list(range(DIVES)):
        raise DataError(f"{folder}: {' and '.join(_PARTS)} should list each of the {DIVES} dives once")
    parts = [_part(folder / name, _load(folder, name)) for name in _PARTS.values()]
    features, stages, known = (np.concatenate(column) for column in zip(*parts, strict=True))
    if len(known) != DIVES or not np.array_equal(known, scores[rows].astype(np.float32)):
        raise DataError(f"{folder}: the scores in {' and '.join(_PARTS.values())} differ from overall_scores.npy")
    both = np.hstack([features, stages])
    found: dict[str, Array] = {"features": features[:, None], "scores": stages[:, :, None], "both": both[:, None]}
    return found[read][np.argsort(rows)]


def _part(file: Path, array: NDArray[Any]) -> tuple[Array, Array, Array]:
    """Return features (n, 2048), stage scores (n, 4) and scores (n,) of the training or test dives."""
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
        raise DataError(f"{file} should hold an array of shape {shape}, got {array.shape}")
    return array


def _write(cache: Path, arrays: Array, names: Sequence[str]) -> list[Path]:
    """Write one file per dive, in a folder named after a hash of all the arrays."""
    folder = cache / hashlib.blake2b(arrays.tobytes(), digest_size=8).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}.npy" for name in names]
    for file, array in zip(files, arrays, strict=True):
        if not file.exists():
            with atomic_path(file) as temporary, temporary.open("wb") as stream:
                np.save(stream, array)
    return files
