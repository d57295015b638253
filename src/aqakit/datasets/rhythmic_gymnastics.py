"""Rhythmic Gymnastics: 1000 routines with four apparatus.

Ball, clubs, hoop or ribbon, with the three component scores of each total.

Zeng et al., "Hybrid Dynamic-static Context-aware Attention Network for Action Assessment in Long Videos", ACM MM 2020.
https://github.com/qinghuannn/ACTION-NET

``root`` holds ``train.txt`` and ``test.txt`` as released. The recordings are in ``videos``, or by default in ``root``,
``root/frames`` or ``root/videos``: routine ``Ball_001`` is a folder of frames or a video file of that name, directly
there or in a subfolder ``Ball``. Without recordings, the scores still load.

The marks are the difficulty score, the execution score and the penalty. ``Total_Score`` is difficulty + execution −
penalty: do not subtract the penalty again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from aqakit.datasets.parts import release as release
from aqakit.errors import DataError
from aqakit.system.numbers import number
from aqakit.types import LabelSpec, Sample, ScoreScale, Split

SCALE = ScoreScale(0, 25)
LICENCE = "none stated by its owners"
CITATION = (
    "Zeng et al., Hybrid Dynamic-static Context-aware Attention Network for Action Assessment in Long Videos, "
    "ACM MM 2020. https://arxiv.org/abs/2008.05977"
)

APPARATUS = ("Ball", "Clubs", "Hoop", "Ribbon")
COLUMNS = ("Video_Name", "Difficulty_Score", "Execution_Score", "Total_Score", "Penalty", "Video_length")
MARKS = ScoreScale(0, 15)

_LISTS = "train.txt and test.txt of Rhythmic Gymnastics"


def samples(
    root: Path | None,
    *,
    videos: Annotated[
        Path | None, Field(description="folder of the recordings (root, root/frames, root/videos)")
    ] = None,
) -> list[Sample]:
    """Return the routines of ``train.txt``, then those of ``test.txt``.

    Raises:
        DataError: a file is missing, or one of its lines cannot be read.
    """
    folder = release.folder(root, "rhythmic_gymnastics", _LISTS)
    places = release.places(folder, videos)
    return [_sample(name, scores, places) for part in ("train", "test") for name, scores in _rows(folder, part)]


def labels(samples: Sequence[Sample]) -> LabelSpec:
    """Return the label description: totals to 25 and three marks, the difficulty score, execution score and penalty."""
    return LabelSpec(SCALE, judges=3, marks=MARKS, rule="rhythmic_gymnastics")


def splits(samples: Sequence[Sample], root: Path | None) -> dict[str, list[Split]]:
    """Return ``official``: one fold per apparatus, each with 200 training and 50 test routines."""
    folder = release.folder(root, "rhythmic_gymnastics", _LISTS)
    train, test = ([name for name, _ in _rows(folder, part)] for part in ("train", "test"))
    actions = dict.fromkeys(str(sample.action) for sample in samples)
    sides = {action: [tuple(i for i in side if _action(i) == action) for side in (train, test)] for action in actions}
    return {"official": [Split(action, *side) for action, side in sides.items()]}


def _sample(name: str, scores: Sequence[float], places: Sequence[Path]) -> Sample:
    difficulty, execution, total, penalty, _ = scores
    source = release.recording(places, [name, f"{_action(name)}/{name}"])
    return Sample(
        id=name,
        sources={"video": source} if source else {},
        action=_action(name),
        score=total,
        judges=(difficulty, execution, penalty),
    )


def _action(name: str) -> str:
    return name.split("_")[0]


def _rows(root: Path, part: str) -> Iterator[tuple[str, list[float]]]:
    """Yield the name and the five numbers of each routine, in column order."""
    path = release.file(root, [f"{part}.txt"], "take it from https://github.com/qinghuannn/ACTION-NET")
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    lines = [(number, line.split()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines or lines[0][1] != list(COLUMNS):
        raise DataError(f"{path} should start with a header line with the columns {', '.join(COLUMNS)}")
    for line, (name, *cells) in lines[1:]:
        yield _checked(name, path, line), _numbers(cells, path, line)


def _checked(name: str, path: Path, line: int) -> str:
    if _action(name) not in APPARATUS:
        raise DataError(f"{path}, line {line}: {name[:40]!r} should start with {', '.join(APPARATUS[:-1])} or Ribbon")
    return name


def _numbers(cells: Sequence[str], path: Path, line: int) -> list[float]:
    try:
        numbers = [number(cell) for cell in cells]
    except ValueError:
        numbers = []
    if len(numbers) != len(COLUMNS) - 1:
        expected = f"a name and {len(COLUMNS) - 1} numbers"
        raise DataError(f"{path}, line {line}: expected {expected}; got {' '.join(cells)[:80]!r}")
    return numbers
