"""MTL-AQA: 1412 dives with judges, attributes, commentary.

The dives come from 15 events and have seven judges' marks and five attributes each.

Parmar and Morris, "What and How Well You Performed? A Multitask Learning Approach to Action Quality Assessment",
CVPR 2019. https://github.com/ParitoshParmar/MTL-AQA (folder ``MTL-AQA_dataset_release``)

``root`` holds the annotations: the release's folder ``Ready_2_Use`` as it is, or the files of its folder
``MTL-AQA_split_0_data`` in ``root`` or in ``root/info``, as in MUSDL and CoRe. The judges' marks are in a further file:
``augmented_final_annotations_dict.pkl`` of MUSDL, or ``final_annotations_dict_with_dive_number.pkl`` of CoRe, which
corrects the one mark of 45 in the former. The dive number of the latter is the kind of a dive and gives its steps.

The videos are on YouTube and not in the release. They are looked up in ``videos``, or by default in ``root``,
``root/frames`` and ``root/videos``. For dive 3 of event 1, the first of these that exists is used: ``01_03/``, a folder
of the frames of the dive (MUSDL, DAE); ``01/``, a folder of all frames of the event (C3D-AVG, CoRe); ``01.mp4``, the
untrimmed event. Without videos, the annotations still load and the floor baselines can be computed.

Frame numbers count the pictures that FFmpeg writes of an event at a constant rate, as CoRe extracts them: for a video
whose rate varies, choose ``rate=constant``. ``aqakit check`` says which do.

The score is that of the event: the sum of the three middle marks × difficulty, 0 to 104.5 in the release. The
vocabulary is that of ``vocab.json`` (5781) without the begin and end tokens ``<sos>`` and ``<eos>``: a method that
needs them adds its own. The vocabulary of the published code (5779) omits two words. A run knows fewer: the words of
its training captions, and the two released words that no annotated dive has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field
from sklearn.model_selection import GroupKFold

from aqakit.datasets.parts import release as release
from aqakit.datasets.parts.declared import declared
from aqakit.datasets.parts.dives.catalogue import element
from aqakit.errors import DataError
from aqakit.recordings import pickles
from aqakit.types import RATE, LabelSpec, Sample, ScoreScale, Split

SCALE = ScoreScale(0, 104.5)
LICENCE = "none stated by its owners"
CITATION = "Parmar and Morris, What and How Well You Performed?, CVPR 2019. https://arxiv.org/abs/1904.04346"

Key = tuple[int, int]
"""Event number and dive number."""

ATTRIBUTES = {"position": 3, "armstand": 2, "rotation_type": 4, "somersaults": 10, "twists": 8}
COLUMNS = {"somersaults": "ss_no", "twists": "tw_no"}  # attributes with another name in the files
JUDGES = 7
PUBLISHED = 103  # frames in the window that every published system uses
SIZES = (140, 280, 450)

# Words of the released vocabulary that occur only in captions of dives without annotations.
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
    rate: Annotated[Literal["stored", "constant"], Field(description=RATE)] = "stored",
) -> list[Sample]:
    """Return the annotated dives, in file order; ids are ``<event>_<dive>``, the names of the dives' folders.

    Raises:
        DataError: a file is missing or cannot be read, or the annotation of a dive is invalid.
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
        found.append(replace(_sample(key, dive, source, frames, captions.get(_name(key)), more), rate=rate))
    return found


def labels(samples: Sequence[Sample]) -> LabelSpec:
    """Return the label description: scores to 104.5, totals to 30, seven marks if known, attributes, vocabulary."""
    words = {word for sample in samples for word in (sample.caption or "").split()}
    numbers = [s.attributes["dive_number"] for s in samples if "dive_number" in s.attributes]
    classes = ATTRIBUTES | ({"dive_number": max(numbers) + 1} if numbers else {})
    vocabulary = tuple(sorted(words.union(UNSPOKEN))) if words else ()
    total = ScoreScale(0, 30)
    if not any(s.judges for s in samples):
        return LabelSpec(SCALE, total, attributes=classes, vocabulary=vocabulary, **declared(samples))
    return LabelSpec(SCALE, total, JUDGES, ScoreScale(0, 10), "diving", classes, vocabulary, **declared(samples))


def splits(samples: Sequence[Sample], root: Path | None) -> dict[str, list[Split]]:
    """Return the official split, a group-wise one, and those of the release's smaller sets, if present.

    ``official``: 1059 training and 353 test dives, with every event on both sides. ``event-held-out``: five folds
    that never divide an event. ``size-140``, ``size-280``, ``size-450``: the smaller training sets, tested on the
    official test set without the dives that they train on. ``unlv-dive``: the subset that is the data set UNLV-Dive.
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
    """Yield errors of the release that its samples do not show, as severity, sentence and ids."""
    folder = release.folder(root, "mtl_aqa", _ANNOTATIONS)
    dives = next(_annotations(path) for name in FILES.values() if (path := _optional(folder, name)))
    ids = {_name(key): dive["end_frame"] - dive["start_frame"] for key, dive in dives.items()}
    short = [name for name, frames in ids.items() if frames < PUBLISHED]
    official = _official(folder)
    yield "warning", f"dives shorter than the published window of {PUBLISHED} frames, which starts before them", short
    yield "note", "captions of dives without annotations", set(_captions(folder)) - set(ids)
    for name, train in _smaller(folder).items():
        leaked = set(train) & set(official.test)
        yield "warning", f"official test dives that {name} trains on, and that are left out of its test set", leaked
    if unlv := _unlv(folder):
        leaked = set(unlv.test) & set(official.train)
        yield "warning", f"test dives of unlv-dive ({len(unlv.test)}) that the official split trains on", leaked
        yield "note", "dives of unlv-dive without annotations", {*unlv.train, *unlv.test} - set(ids)


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
        kind=str(dive["dive_number"]) if "dive_number" in dive else None,
        steps=_steps(key, str(dive["dive_number"])) if "dive_number" in dive else (),
    )


def _steps(key: Key, number: str) -> tuple[str, ...]:
    try:
        return element(number).steps
    except (LookupError, ValueError):
        raise DataError(f"dive {key} has no dive number, but {number!r}; take the file from the release") from None


def _window(dive: Mapping[str, Any], window: str, *, own: bool) -> tuple[int, int] | None:
    """Return the first and last frame, counted as in the published loaders: sorted index, annotated end excluded.

    A dive with a recording of its ``own`` was trimmed for those loaders; extra frames follow the 103 used in tests.
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
        raise DataError(f"{path} does not hold annotations by dive; take it from the release")
    dives = dict(zip(_keys(path, found), found.values(), strict=True))
    for key, dive in dives.items():
        if wrong := [name for name in _NUMBERS if not isinstance(dive.get(name), int | float | np.number)]:
            raise DataError(f"{path}: dive {key} has no number {' or '.join(wrong)}; take the file from the release")
        if not all(0 <= dive[COLUMNS.get(name, name)] < count for name, count in ATTRIBUTES.items()):
            raise DataError(f"{path}: dive {key} has an attribute class out of range; take the file from the release")
        if "judge_scores" in dive and np.shape(dive["judge_scores"]) != (JUDGES,):
            raise DataError(f"{path}: dive {key} does not have {JUDGES} marks; take the file from the release")
    return dives


def _captions(root: Path) -> dict[str, str]:
    """Return the caption of each dive, without begin and end tokens; empty if the file is missing."""
    path = _optional(root, "final_captions_dict.pkl")
    if path is None:
        return {}
    found = pickles.load(path)
    if not isinstance(found, dict) or not all(isinstance(words, list) for words in found.values()):
        raise DataError(f"{path} does not hold lists of words by dive; take it from the release")
    spoken = ([str(word) for word in words if word not in ("<sos>", "<eos>")] for words in found.values())
    return {_name(key): " ".join(words) for key, words in zip(_keys(path, found), spoken, strict=True)}


def _keys(path: Path, found: Iterable[Any]) -> list[Key]:
    """Return (event, dive) pairs as int; the files store them in several types."""
    try:
        return [(int(event), int(dive)) for event, dive in found]
    except (TypeError, ValueError):
        raise DataError(
            f"{path} should identify dives by event and number, such as (1, 3); take it from the release"
        ) from None


def _ids(path: Path) -> tuple[str, ...]:
    return tuple(map(_name, _keys(path, pickles.load(path))))


def _official(root: Path) -> Split:
    train, test = (_ids(_file(root, f"{part}_split_0.pkl", OWNERS["plain"])) for part in ("train", "test"))
    return Split("official", train, test)


def _smaller(root: Path) -> dict[str, tuple[str, ...]]:
    """Return the training dives of the smaller sets that exist, by protocol."""
    paths = {f"size-{n}": _beside(root, f"smaller_training_sets/size_{n}/train_split_0.pkl") for n in SIZES}
    return {name: _ids(path) for name, path in paths.items() if path}


def _unlv(root: Path) -> Split | None:
    """Return the subset UNLV-Dive; the ``*_split_0.pkl`` files next to it are copies from a smaller training set."""
    train, test = (_beside(root, f"UNLV_Dive_split_4/{part}_split_370_4.pkl") for part in ("train", "test"))
    return Split("unlv-dive", _ids(train), _ids(test)) if train and test else None


def _beside(root: Path, name: str) -> Path | None:
    """Return a file from another folder of the release, or None."""
    return release.optional(root, [f"Ready_2_Use/{name}", name])


def _by_event(samples: Sequence[Sample]) -> Iterator[Split]:
    events = [sample.group for sample in samples]
    folds = min(5, len(set(events)))
    if folds < 2:
        return
    for k, (train, test) in enumerate(GroupKFold(folds).split(events, groups=events), 1):
        yield Split(f"event-held-out-{k}", *(tuple(samples[i].id for i in side) for side in (train, test)))
