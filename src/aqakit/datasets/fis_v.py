"""Fis-V: 500 figure skating programs with two scores.

Xu et al., "Learning to Score Figure Skating Sport Videos", IEEE TCSVT 2020. https://github.com/loadder/MS_LSTM

``root`` holds ``train_dataset.txt`` and ``test_dataset.txt`` as released: rows of video, technical element score,
program component score and deductions. The two scores are judged apart, and the option ``score`` chooses one. The
recordings are ``<video>.mp4`` in ``videos``, or by default in ``root``, ``root/frames`` or ``root/videos``. Features
that others extracted are read as well: files ``<video>.npy`` in ``features`` (``root/features``), or one ``.pkl`` with
a dictionary of arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from aqakit.datasets.parts import feature_files as feature_files
from aqakit.datasets.parts import release as release
from aqakit.errors import DataError
from aqakit.system.numbers import number
from aqakit.types import LabelSpec, Sample, ScoreScale, Split

SCALE = ScoreScale(0, 45)
COMPONENTS = ScoreScale(0, 40)  # of a short program of women: five components of 10 points, times 0.8
LICENCE = "none stated by its owners"
CITATION = "Xu et al., Learning to Score Figure Skating Sport Videos, IEEE TCSVT 2020. https://arxiv.org/abs/1802.02774"

Score = Literal["technical", "components"]

_LISTS = "train_dataset.txt and test_dataset.txt of Fis-V"


def samples(
    root: Path | None,
    *,
    score: Annotated[Score, Field(description="technical element score, or program component score")] = "technical",
    videos: Annotated[
        Path | None, Field(description="folder of the recordings (root, root/frames, root/videos)")
    ] = None,
    features: Annotated[
        Path | None, Field(description="folder of .npy files, or one .pkl with a dictionary (root/features)")
    ] = None,
) -> list[Sample]:
    """Return the programs of ``train_dataset.txt``, then those of ``test_dataset.txt``.

    Raises:
        DataError: a file is missing, or one of its lines cannot be read.
    """
    folder = release.folder(root, "fis_v", _LISTS)
    places = release.places(folder, videos)
    rows = [row for part in ("train", "test") for row in _rows(folder, part)]
    vectors = feature_files.find(folder, features, [name for name, *_ in rows])
    found = []
    for name, technical, components in rows:
        video = release.recording(places, [name])
        sources = ({"video": video} if video else {}) | ({"features": vectors[name]} if name in vectors else {})
        value = technical if score == "technical" else components
        found.append(Sample(id=name, sources=sources, action="figure skating", score=value))
    return found


def labels(samples: Sequence[Sample], *, score: Score = "technical") -> LabelSpec:
    """Return the label description: technical scores to 45, component scores to 40."""
    return LabelSpec(SCALE if score == "technical" else COMPONENTS)


def splits(samples: Sequence[Sample], root: Path | None) -> dict[str, list[Split]]:
    """Return ``official``: 400 training and 100 test programs."""
    folder = release.folder(root, "fis_v", _LISTS)
    train, test = (tuple(name for name, *_ in _rows(folder, part)) for part in ("train", "test"))
    return {"official": [Split("official", train, test)]}


def _rows(root: Path, part: str) -> Iterator[tuple[str, float, float]]:
    """Yield video, technical and component score of each program."""
    path = release.file(root, [f"{part}_dataset.txt"], "take it from https://github.com/loadder/MS_LSTM")
    seen: dict[str, int] = {}
    for line, text in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
        if not text.strip():
            continue
        name, *cells = text.split()
        try:
            technical, components, _ = (number(cell) for cell in cells)
        except ValueError:
            raise DataError(f"{path}, line {line}: should be a video and three numbers; is {text[:60]!r}") from None
        if seen.setdefault(name, line) != line:
            raise DataError(f"{path}, line {line}: video {name} is already on line {seen[name]}")
        yield name, technical, components
    if not seen:
        raise DataError(f"{path} is empty; it is part of the release")
