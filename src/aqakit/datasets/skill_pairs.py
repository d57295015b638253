"""BEST and EPIC-Skills: which of two videos shows more skill.

Doughty et al., "The Pros and Cons: Rank-aware Temporal Attention for Skill Determination in Long Videos", CVPR 2019,
https://github.com/hazeld/rank-aware-attention-network, and "Who's Better? Who's Best? Pairwise Deep Ranking for Skill
Determination", CVPR 2018, https://github.com/hazeld/EPIC-Skills2018.

``root`` holds ``BEST`` and ``EPIC-Skills``, or one of them, each with the lists of pairs in ``splits/<task>`` as
released: the better video first. There are no scores. Features are ``<video>_rgb.npz`` (400 segments of 1024 numbers)
or ``<video>.npy`` in ``BEST/features`` and ``EPIC-Skills/features``, in a folder for each task or not; recordings are
``<task>/<video>.mp4``, trimmed as the script of the release does; it does not trim ``scrambled_eggs``.

A video of EPIC-Skills is in many pairs, and the released test pairs show training videos again. Here the training
videos are those of the released training pairs, and only test pairs of which both videos are new are judged;
``aqakit check`` says how many pairs of each fold are left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import Field

from aqakit.datasets.parts import feature_files as feature_files
from aqakit.datasets.parts import pairs as comparisons
from aqakit.datasets.parts import release as release
from aqakit.datasets.parts.pairs import Pair
from aqakit.errors import DataError
from aqakit.types import LabelSpec, Sample, Split

SCALE = comparisons.SCALE
LICENCE = "none stated by its owners"
CITATION = (
    "Doughty, Mayol-Cuevas, Damen: The Pros and Cons: Rank-aware Temporal Attention for Skill Determination in Long "
    "Videos, CVPR 2019. https://arxiv.org/abs/1812.05538"
)
RELEASES = ("BEST", "EPIC-Skills")

_PAGE = "take it from https://github.com/hazeld/rank-aware-attention-network"
_SURGEON = re.compile(r".*_([A-I])[0-9]{3}_capture[12]")  # the task surgery shows trials of JIGSAWS

Lines = list[tuple[str, str]]


def samples(
    root: Path | None,
    *,
    videos: Annotated[
        Path | None, Field(description="folder of the recordings, in folders by task (root, root/frames, root/videos)")
    ] = None,
    features: Annotated[
        Path | None, Field(description="folder of .npz or .npy files (BEST/features and EPIC-Skills/features)")
    ] = None,
) -> list[Sample]:
    """Return the videos of each task, in the order of its lists; their ids are ``<task>/<video>``.

    Raises:
        DataError: a list is missing, or one of its lines is not a pair.
    """
    folder = _checked(root)
    places = release.places(folder, videos)
    found = []
    for task in _tasks(folder):
        names = dict.fromkeys(name for part in _lists(task)[0] for pair in part for name in pair)
        vectors = feature_files.find(task.parents[1], features, [n for name in names for n in _files(task, name)])
        for name in names:
            video = release.recording(places, [f"{task.name}/{name}", name])
            file = next((vectors[n] for n in _files(task, name) if n in vectors), None)
            sources = ({"video": video} if video else {}) | ({"features": file} if file else {})
            surgeon = _SURGEON.fullmatch(name)
            found.append(Sample(f"{task.name}/{name}", sources, action=task.name, group=surgeon and surgeon[1]))
    return found


def labels(samples: Sequence[Sample]) -> LabelSpec:
    """Return the label description: percentages of comparisons, since there are no scores."""
    return LabelSpec(SCALE)


def pairs(samples: Sequence[Sample], root: Path | None) -> list[Pair]:
    """Return the pairs of all lists; the weight of one is how often it is listed."""
    found = []
    for task in _tasks(_checked(root)):
        count = Counter(pair for part in _lists(task)[0] for pair in part)
        found += [Pair(f"{task.name}/{a}", f"{task.name}/{b}", float(times)) for (a, b), times in count.items()]
    return found


def splits(samples: Sequence[Sample], root: Path | None) -> dict[str, list[Split]]:
    """Return ``unseen-videos``: the released training videos, and the others to test on; EPIC-Skills has four folds."""
    found = []
    for task in _tasks(_checked(root)):
        parts = _lists(task)
        for k, (train, test) in enumerate(parts, 1):
            seen, new = _seen_and_new(train, test)
            name = f"{task.name}-{k}" if len(parts) > 1 else task.name
            train_ids, test_ids = (tuple(f"{task.name}/{video}" for video in ids) for ids in (seen, new))
            found.append(Split(name, train_ids, test_ids))
    return {"unseen-videos": found}


def _seen_and_new(train: Lines, test: Lines) -> tuple[list[str], list[str]]:
    """The videos of the training pairs, and those that are in test pairs only."""
    seen = dict.fromkeys(name for pair in train for name in pair)
    new = dict.fromkeys(name for pair in test for name in pair if name not in seen)
    return list(seen), list(new)


def _checked(root: Path | None) -> Path:
    folder = release.folder(root, "skill_pairs", " or ".join(RELEASES))
    if not any((folder / name / "splits").is_dir() for name in RELEASES):
        raise DataError(f"{folder} has no folder {' or '.join(f'{name}/splits' for name in RELEASES)}; {_PAGE}")
    return folder


def _tasks(root: Path) -> list[Path]:
    """The folder of lists of each task."""
    return [task for name in RELEASES for task in sorted((root / name / "splits").glob("*/"))]


def _lists(task: Path) -> list[tuple[Lines, Lines]]:
    """Training and test pairs of each split of a task."""
    ends = [file.stem.removeprefix("train") for file in sorted(task.glob("train_split*.txt"))] or [""]
    return [(_pairs(task, f"train{end}"), _pairs(task, f"test{end}")) for end in ends]


def _pairs(task: Path, name: str) -> Lines:
    path = release.file(task, [f"{name}.txt"], _PAGE)
    found = []
    for line, text in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
        names = text.split()
        if not names:
            continue
        if len(names) != 2 or names[0] == names[1] or any(".." in one or one.startswith("/") for one in names):
            raise DataError(f"{path}, line {line}: should be the names of two videos; is {text[:60]!r}")
        found.append((names[0], names[1]))
    if not found:
        raise DataError(f"{path} is empty; {_PAGE}")
    return found


def _files(task: Path, name: str) -> list[str]:
    """Names that the features of a video may have, as released first."""
    return [str(PurePosixPath(folder, name + end)) for folder in (task.name, "") for end in ("_rgb", "")]
