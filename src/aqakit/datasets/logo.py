"""LOGO: 200 routines of artistic swimming by groups of eight.

Zhang et al., "LOGO: A Long-Form Video Dataset for Group Action Quality Assessment", CVPR 2023.
https://github.com/shiyi-zh0408/LOGO

``root`` holds the annotations as released: ``anno_dict.pkl``, ``train_split3.pkl`` and ``test_split3.pkl``, directly or
in ``LOGO_Anno&Split``, ``LOGO Anno&Split`` or ``Anno_result``. The recordings are folders of frames,
``<event>/<number>``, in ``videos``, or by default in ``root`` or its folders ``Video_result``, ``LOGO``, ``frames`` and
``videos``. Features that others extracted are read as well: files ``<event>_<number>.npy`` or
``<event>/<number>.npy`` in ``features`` (``root/features``), or one ``.pkl`` with a dictionary of arrays by
(event, number). A dictionary of all videos, (540, 1024) each, is larger than a pickle may be by default:
``AQAKIT_LARGEST=2000`` allows it.

The type of the event, ``tech`` or ``free``, is the kind of a routine, since it is declared. Frames with the same action
in a row, such as ``required element 1``, are one named segment: ``plan=gestures`` takes each as one clip, and
explanations name clips by them. They were annotated from the video, for test routines too. Frames without an action are
in no segment.

**What was verified.** The data were not at hand. The keys, type, score and frame-wise actions of ``anno_dict.pkl``, the
names of the split files, and the folders follow the page of the release and the public code that reads it, where arrays
of features are (540, 1024); the names of the actions 1 to 12 follow public code that divides these videos. Not verified
are the number of routines on either side of the split, that each action label belongs to one picture (a routine with
more of them than pictures is found by ``aqakit check``), and the highest score that can be given, which is taken to be
100. The formations (``formation_dict.pkl``) are not read: no page or code says what is in that file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from aqakit.datasets.parts import feature_files as feature_files
from aqakit.datasets.parts import release as release
from aqakit.datasets.parts.declared import declared
from aqakit.datasets.parts.splits import five_fold
from aqakit.errors import DataError
from aqakit.recordings import pickles
from aqakit.types import LabelSpec, Sample, ScoreScale, Segment, Split

SCALE = ScoreScale(0, 100)
LICENCE = "none stated by its owners"
CITATION = (
    "Zhang et al., LOGO: A Long-Form Video Dataset for Group Action Quality Assessment, CVPR 2023. "
    "https://arxiv.org/abs/2404.05029"
)

KINDS = ("tech", "free")
ACTIONS = (
    *(f"required element {k}" for k in range(1, 6)),
    *("acrobatic", "cadence", "free element", "upper", "lower", "float"),
)
"""The actions 1 to 11; 12 is none of them."""

Key = tuple[str, int]

_FILES = "the annotations of LOGO"
_WHERE = "take it from https://github.com/shiyi-zh0408/LOGO"
_FOLDERS = ("", "LOGO_Anno&Split/", "LOGO Anno&Split/", "Anno_result/")


def samples(
    root: Path | None,
    *,
    videos: Annotated[
        Path | None,
        Field(description="folder of the recordings (root, Video_result, LOGO, frames or videos in it)"),
    ] = None,
    features: Annotated[
        Path | None, Field(description="folder of .npy files, or one .pkl with a dictionary (root/features)")
    ] = None,
) -> list[Sample]:
    """Return the routines in file order; ids are ``<event>_<number>``.

    Raises:
        DataError: a file is missing or cannot be read, or the annotation of a routine is invalid.
    """
    folder = release.folder(root, "logo", _FILES)
    places = release.places(folder, videos) + ([] if videos else [folder / "Video_result", folder / "LOGO"])
    routines = _routines(folder)
    nested = {_name(key): f"{key[0]}/{key[1]}" for key in routines}
    vectors = feature_files.find(folder, features, list(nested), nested)
    return [_sample(key, routine, places, vectors) for key, routine in routines.items()]


def labels(samples: Sequence[Sample]) -> LabelSpec:
    """Return the label description: scores to 100, and the types of event as kinds."""
    return LabelSpec(SCALE, **declared(samples))


def splits(samples: Sequence[Sample], root: Path | None) -> dict[str, list[Split]]:
    """Return the official split, and ``event-held-out``: five folds that never divide an event."""
    folder, known = release.folder(root, "logo", _FILES), {s.id for s in samples}
    train, test = (tuple(i for i in map(_name, _split(folder, part)) if i in known) for part in ("train", "test"))
    official = [Split("official", train, test)]
    return {"official": official, "event-held-out": list(five_fold("event-held-out", samples))}


def known_errors(samples: Sequence[Sample], root: Path | None) -> Iterator[tuple[str, str, Iterable[str]]]:
    """Yield errors of the release that its samples do not show, as severity, sentence and ids."""
    folder, known = release.folder(root, "logo", _FILES), {s.id for s in samples}
    named = [_name(key) for part in ("train", "test") for key in _split(folder, part)]
    yield "warning", "routines of the split that have no annotation", [i for i in named if i not in known]
    yield "warning", "routines that are on no side of the split", sorted(known - set(named))


def _sample(key: Key, routine: Sequence[Any], places: Sequence[Path], vectors: Mapping[str, Path]) -> Sample:
    event, number = key
    video = release.recording(places, [f"{event}/{number}"])
    sources = {"video": video, "features": vectors.get(_name(key))}
    return Sample(
        id=_name(key),
        sources={kind: path for kind, path in sources.items() if path is not None},
        action="artistic swimming",
        group=event,
        score=float(routine[1]),
        kind=str(routine[0]),
        segments=tuple(_segments(routine[4])),
    )


def _segments(actions: Sequence[int]) -> Iterator[Segment]:
    """Yield the runs of frames with the same action, without those that have none."""
    first = 0
    for action, frames in groupby(int(action) for action in actions):
        count = len(list(frames))
        if action <= len(ACTIONS):
            yield Segment(ACTIONS[action - 1], first, first + count - 1)
        first += count


def _routines(folder: Path) -> dict[Key, Sequence[Any]]:
    path = _file(folder, "anno_dict.pkl")
    loaded = pickles.load(path)
    if not isinstance(loaded, dict) or not loaded:
        raise DataError(f"{path} should hold a dictionary of routines by event and number; {_WHERE}")
    return {_key(path, key): _checked(path, key, routine) for key, routine in loaded.items()}


def _checked(path: Path, key: Any, routine: Any) -> Sequence[Any]:
    if not isinstance(routine, list | tuple) or len(routine) < 5 or routine[0] not in KINDS:
        raise DataError(f"{path}: routine {key} should be a type (tech or free), a score and three more; {_WHERE}")
    score, actions = routine[1], np.asarray(routine[4])
    if not isinstance(score, int | float | np.number) or not SCALE.low <= float(score) <= SCALE.high:
        raise DataError(f"{path}: routine {key} should have a score from 0 to 100, and has {score!r}; {_WHERE}")
    if actions.ndim != 1 or (actions.size and actions.dtype.kind not in "iu"):
        raise DataError(f"{path}: routine {key} should have the number of an action for each frame; {_WHERE}")
    if actions.size and not 1 <= actions.min() <= actions.max() <= len(ACTIONS) + 1:
        raise DataError(f"{path}: routine {key} has actions outside 1 to {len(ACTIONS) + 1}; {_WHERE}")
    return routine


def _split(folder: Path, part: str) -> list[Key]:
    path = _file(folder, f"{part}_split3.pkl")
    loaded = pickles.load(path)
    if not isinstance(loaded, list | tuple):
        raise DataError(f"{path} should hold a list of routines, each an event and a number; {_WHERE}")
    return [_key(path, key) for key in loaded]


def _key(path: Path, key: Any) -> Key:
    try:
        event, number = key
        return str(event), int(number)
    except (TypeError, ValueError):
        raise DataError(f"{path}: {str(key)[:60]!r} should be an event and a number; {_WHERE}") from None


def _name(key: Key) -> str:
    return f"{key[0]}_{key[1]}"


def _file(folder: Path, name: str) -> Path:
    return release.file(folder, [f"{place}{name}" for place in _FOLDERS], _WHERE)
