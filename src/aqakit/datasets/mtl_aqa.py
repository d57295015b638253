"""MTL-AQA: 1412 dives with judges, attributes, commentary.

The dives are of 15 events, with seven judges and five attributes each.

Parmar and Morris, "What and How Well You Performed? A Multitask Learning Approach to Action Quality Assessment",
CVPR 2019. https://github.com/ParitoshParmar/MTL-AQA (folder ``MTL-AQA_dataset_release``)

``root`` holds the annotations: the release's folder ``Ready_2_Use`` as it is, or the files of its folder
``MTL-AQA_split_0_data`` in ``root`` or in ``root/info``, as MUSDL and CoRe have them. With it come, for the judges,
``augmented_final_annotations_dict.pkl`` of MUSDL, or ``final_annotations_dict_with_dive_number.pkl`` of CoRe, which
corrects the one mark of 45 in the former.

The videos are on YouTube and not in the release. In ``videos``, or else in ``root``, ``root/frames`` or
``root/videos``, the first of these is taken for dive 3 of event 1: ``01_03/``, a folder of the frames of the dive
(MUSDL, DAE); ``01/``, a folder of all frames of the event (C3D-AVG, CoRe); ``01.mp4``, the event untrimmed. Without
any, the annotations still load, and floors can be had of them.

The score is that of the event: the judges' total of the three marks in the middle × difficulty, 0 to 104.5 in the
release. The vocabulary is that of ``vocab.json`` (5781) without its two marks of begin and end, ``<sos>`` and
``<eos>``, which are not words: a method that needs them adds its own. The published code's 5779 left out two words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field
from sklearn.model_selection import GroupKFold

from aqakit.datasets.parts import release as release
from aqakit.errors import DataError
from aqakit.recordings import pickles
from aqakit.types import LabelSpec, Sample, ScoreScale, Split

SCALE = ScoreScale(0, 104.5)
LICENCE = "none stated by its owners"
CITATION = "Parmar and Morris, What and How Well You Performed?, CVPR 2019. https://arxiv.org/abs/1904.04346"

Key = tuple[int, int]
"""Event and dive."""

ATTRIBUTES = {"position": 3, "armstand": 2, "rotation_type": 4, "somersaults": 10, "twists": 8}
COLUMNS = {"somersaults": "ss_no", "twists": "tw_no"}  # where the files have another name
JUDGES = 7
PUBLISHED = 103  # frames of the window of every published system
SIZES = (140, 280, 450)

# Words of the release's vocabulary that occur only in captions of dives without annotation.
UNSPOKEN = ("diabolical", "restart")

FILES = {
    "judges": "augmented_final_annotations_dict.pkl",
    "dive-number": "final_annotations_dict_with_dive_number.pkl",
    "plain": "final_annotations_dict.pkl",
}
OWNERS = {
    "judges": "take it from MTL-AQA/info of https://github.com/nzl-thu/MUSDL, or choose annotations=plain",
    "dive-number": "take it from MTL-AQA/info of https://github.com/yuxumin/CoRe, or choose annotations=plain",
    "plain": "take it from MTL-AQA_dataset_release of https://github.com/ParitoshParmar/MTL-AQA",
}
_NUMBERS = ("final_score", "difficulty", "start_frame", "end_frame", *(COLUMNS.get(n, n) for n in ATTRIBUTES))
_PLACES = ("", "info/", "Ready_2_Use/MTL-AQA_split_0_data/", "MTL-AQA_split_0_data/")
_ANNOTATIONS = "the annotations of MTL-AQA, such as its folder Ready_2_Use"


def samples(
    root: Path | None,
    *,
    annotations: Annotated[
        Literal["judges", "dive-number", "plain"],
        Field(description="judges: MUSDL's file; dive-number: CoRe's, with one more attribute; plain: no judges"),
    ] = "judges",
    window: Annotated[
        Literal["published103", "annotated"],
        Field(description="published103: the 103 frames up to the annotated end; annotated: from start to end"),
    ] = "published103",
    videos: Annotated[
        Path | None, Field(description="folder of the recordings (root, root/frames, root/videos)")
    ] = None,
) -> list[Sample]:
    """The annotated dives, in the order of the file; ids are ``<event>_<dive>``, the names of the dives' folders.

    Raises:
        DataError: a file is missing or cannot be read, or a dive is not described as it should be.
    """
    folder = release.folder(root, "mtl_aqa", _ANNOTATIONS)
    dives = _annotations(_file(folder, FILES[annotations], OWNERS[annotations]))
    places, captions = release.places(folder, videos), _captions(folder)
    numbers = sorted({str(dive["dive_number"]) for dive in dives.values() if "dive_number" in dive})
    found = []
    for key, dive in dives.items():
        source = release.recording(places, [_name(key), f"{key[0]:02d}"])
        frames = _window(dive, window, own=source is not None and source.stem == _name(key))
        more = {"dive_number": numbers.index(str(dive["dive_number"]))} if numbers else {}
        found.append(_sample(key, dive, source, frames, captions.get(_name(key)), more))
    return found


def labels(samples: Sequence[Sample]) -> LabelSpec:
    """Scores to 104.5, totals to 30; seven marks where they are known; attributes and words."""
    words = {word for sample in samples for word in (sample.caption or "").split()}
    numbers = [s.attributes["dive_number"] for s in samples if "dive_number" in s.attributes]
    classes = ATTRIBUTES | ({"dive_number": max(numbers) + 1} if numbers else {})
    vocabulary = tuple(sorted(words.union(UNSPOKEN))) if words else ()
    total = ScoreScale(0, 30)
    if not any(s.judges for s in samples):
        return LabelSpec(SCALE, total, attributes=classes, vocabulary=vocabulary)
    return LabelSpec(SCALE, total, JUDGES, ScoreScale(0, 10), "diving", classes, vocabulary)


def splits(samples: Sequence[Sample], root: Path | None) -> dict[str, list[Split]]:
    """The official split, an honest one, and those of the release's smaller sets, where they are there.

    ``official``: 1059 dives and 353, with every event on both sides. ``event-held-out``: five folds that keep an
    event on one side. ``size-140``, ``size-280``, ``size-450``: the smaller training sets, tested on the official
    test split less the dives of it that they train on. ``unlv-dive``: the subset of the data set UNLV-Dive.
    """
    folder = release.folder(root, "mtl_aqa", _ANNOTATIONS)
    official = _official(folder)
    protocols = {"official": [official], "event-held-out": list(_by_event(samples))}
    for name, train in _smaller(folder).items():
        known = set(train)
        protocols[name] = [Split(name, train, tuple(i for i in official.test if i not in known))]
    if unlv := _unlv(folder):
        known = {s.id for s in samples}
        sides = (tuple(i for i in side if i in known) for side in (unlv.train, unlv.test))
        protocols[unlv.name] = [Split(unlv.name, *sides)]
    return {name: folds for name, folds in protocols.items() if folds}


def known_errors(samples: Sequence[Sample], root: Path | None) -> Iterator[tuple[str, str, Iterable[str]]]:
    """What is wrong with the release and cannot be seen from its samples: severity, sentence and ids."""
    folder = release.folder(root, "mtl_aqa", _ANNOTATIONS)
    dives = next(_annotations(path) for name in FILES.values() if (path := _optional(folder, name)))
    ids = {_name(key): dive["end_frame"] - dive["start_frame"] for key, dive in dives.items()}
    short = [name for name, frames in ids.items() if frames < PUBLISHED]
    official = _official(folder)
    yield "warning", f"dives shorter than the published window of {PUBLISHED} frames, which begins before them", short
    yield "note", "captions of dives without annotation", set(_captions(folder)) - set(ids)
    for name, train in _smaller(folder).items():
        leaked = set(train) & set(official.test)
        yield "warning", f"official test dives that {name} trains on, and is therefore not tested on", leaked
    if unlv := _unlv(folder):
        leaked = set(unlv.test) & set(official.train)
        yield "warning", f"test dives of unlv-dive ({len(unlv.test)}) that the official split trains on", leaked
        yield "note", "dives of unlv-dive without annotation", {*unlv.train, *unlv.test} - set(ids)


def _sample(
    key: Key,
    dive: Mapping[str, Any],
    source: Path | None,
    window: tuple[int, int] | None,
    caption: str | None,
    more: dict[str, int],
) -> Sample:
    return Sample(
        id=_name(key),
        sources={"video": source} if source else {},
        window=window,
        action="diving",
        group=f"event-{key[0]:02d}",
        score=float(dive["final_score"]),
        judges=tuple(map(float, dive["judge_scores"])) if "judge_scores" in dive else None,
        difficulty=float(dive["difficulty"]),
        attributes={name: int(dive[COLUMNS.get(name, name)]) for name in ATTRIBUTES} | more,
        caption=caption,
    )


def _window(dive: Mapping[str, Any], window: str, *, own: bool) -> tuple[int, int] | None:
    """First and last frame, counted as the published loaders do: places in the sorted list, the end not included.

    The recording of a dive of its ``own`` was cut for them, with frames to spare behind the 103 that are tested on.
    """
    if own:
        return (0, PUBLISHED - 1) if window == "published103" else None
    end = int(dive["end_frame"])
    start = end - PUBLISHED if window == "published103" else int(dive["start_frame"])
    return start, end - 1


def _name(key: Key) -> str:
    return "{:02d}_{:02d}".format(*key)


def _file(root: Path, name: str, where: str) -> Path:
    return release.file(root, [place + name for place in _PLACES], where)


def _optional(root: Path, name: str) -> Path | None:
    return release.optional(root, [place + name for place in _PLACES])


def _annotations(path: Path) -> dict[Key, Mapping[str, Any]]:
    found = pickles.load(path)
    if not isinstance(found, dict) or not found or not all(isinstance(dive, dict) for dive in found.values()):
        raise DataError(f"{path} does not hold the annotations by dive; take it from the release")
    dives = dict(zip(_keys(path, found), found.values(), strict=True))
    for key, dive in dives.items():
        if wrong := [name for name in _NUMBERS if not isinstance(dive.get(name), int | float | np.number)]:
            raise DataError(f"{path}: dive {key} has no number {' or '.join(wrong)}; take the file from the release")
        if not all(0 <= dive[COLUMNS.get(name, name)] < count for name, count in ATTRIBUTES.items()):
            raise DataError(f"{path}: dive {key} is of a class that there is not; take the file from the release")
        if "judge_scores" in dive and np.shape(dive["judge_scores"]) != (JUDGES,):
            raise DataError(f"{path}: dive {key} has not {JUDGES} marks; take the file from the release")
    return dives


def _captions(root: Path) -> dict[str, str]:
    """Words by dive, without the marks of begin and end; none where the file is not there."""
    path = _optional(root, "final_captions_dict.pkl")
    if path is None:
        return {}
    found = pickles.load(path)
    if not isinstance(found, dict) or not all(isinstance(words, list) for words in found.values()):
        raise DataError(f"{path} does not hold lists of words by dive; take it from the release")
    spoken = ([str(word) for word in words if word not in ("<sos>", "<eos>")] for words in found.values())
    return {_name(key): " ".join(words) for key, words in zip(_keys(path, found), spoken, strict=True)}


def _keys(path: Path, found: Iterable[Any]) -> list[Key]:
    """Pairs of whole numbers, which the files keep in several types."""
    try:
        return [(int(event), int(dive)) for event, dive in found]
    except (TypeError, ValueError):
        raise DataError(
            f"{path} should name dives by event and number, such as (1, 3); take it from the release"
        ) from None


def _ids(path: Path) -> tuple[str, ...]:
    return tuple(map(_name, _keys(path, pickles.load(path))))


def _official(root: Path) -> Split:
    train, test = (_ids(_file(root, f"{part}_split_0.pkl", OWNERS["plain"])) for part in ("train", "test"))
    return Split("official", train, test)


def _smaller(root: Path) -> dict[str, tuple[str, ...]]:
    """Training dives of the smaller sets that are there, by protocol."""
    paths = {f"size-{n}": _beside(root, f"smaller_training_sets/size_{n}/train_split_0.pkl") for n in SIZES}
    return {name: _ids(path) for name, path in paths.items() if path}


def _unlv(root: Path) -> Split | None:
    """The subset UNLV-Dive; the files ``*_split_0.pkl`` beside it are copies of a smaller training set's."""
    train, test = (_beside(root, f"UNLV_Dive_split_4/{part}_split_370_4.pkl") for part in ("train", "test"))
    return Split("unlv-dive", _ids(train), _ids(test)) if train and test else None


def _beside(root: Path, name: str) -> Path | None:
    """A file of another folder of the release."""
    return release.optional(root, [f"Ready_2_Use/{name}", name])


def _by_event(samples: Sequence[Sample]) -> Iterator[Split]:
    events = [sample.group for sample in samples]
    folds = min(5, len(set(events)))
    if folds < 2:
        return
    for k, (train, test) in enumerate(GroupKFold(folds).split(events, groups=events), 1):
        yield Split(f"event-held-out-{k}", *(tuple(samples[i].id for i in side) for side in (train, test)))
