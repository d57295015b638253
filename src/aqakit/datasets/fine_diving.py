"""FineDiving: 3000 dives from platform and board, with steps.

Xu et al., "FineDiving: A Fine-grained Dataset for Procedure-aware Action Quality Assessment", CVPR 2022.
https://github.com/xujinglin/FineDiving

``root`` holds the annotations as released: ``FineDiving_coarse_annotation.pkl``,
``FineDiving_fine-grained_annotation.pkl``, ``train_split.pkl`` and ``test_split.pkl``, directly or in ``Annotations``.
The recordings are folders of frames, ``<event>/<dive>``, in ``videos``, or by default in ``root`` or its folders
``FineDiving``, ``frames`` and ``videos``. Without recordings, scores and steps still load.

The dive number is the kind of a dive, and its steps and attributes follow from it, since they are declared before the
dive. The steps that were annotated from the video are not read: at least twenty dive numbers have dives annotated
differently from the rest. What is read of them is where the flight begins and where it ends (the first and the last of
two to four transitions), as boundaries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from aqakit.datasets.parts import release as release
from aqakit.datasets.parts.declared import declared
from aqakit.datasets.parts.dives.catalogue import ATTRIBUTES, element
from aqakit.datasets.parts.health import TOLERANCE
from aqakit.datasets.parts.splits import five_fold
from aqakit.errors import DataError
from aqakit.recordings import pickles
from aqakit.scores.rules import RULES
from aqakit.types import LabelSpec, Sample, ScoreScale, Split

SCALE = ScoreScale(0, 144)  # 30 × 4.8, the highest difficulty of the sport
LICENCE = "MIT (annotations), Copyright (c) 2022 Jinglin Xu"
CITATION = (
    "Xu et al., FineDiving: A Fine-grained Dataset for Procedure-aware Action Quality Assessment, CVPR 2022. "
    "https://arxiv.org/abs/2204.03646"
)

Key = tuple[str, int]
Panel = Literal["all", "7", "3", "5"]

PANELS: Mapping[int, str] = {7: "diving", 3: "diving", 5: "synchronised_diving"}
"""The rule by which marks give a score, by the number of marks that are listed."""

_WHERE = "take it from FineDiving/Annotations of https://github.com/xujinglin/FineDiving"
_FILES = "the annotations of FineDiving"


def samples(
    root: Path | None,
    *,
    panel: Annotated[
        Panel, Field(description="dives with this number of listed marks, with the marks; all: every dive, without")
    ] = "all",
    videos: Annotated[
        Path | None, Field(description="folder of the recordings (root, root/FineDiving, root/frames, root/videos)")
    ] = None,
) -> list[Sample]:
    """Return the dives in file order; ids are ``<event>_<dive>``.

    Raises:
        DataError: a file is missing or cannot be read, or the annotation of a dive is invalid.
    """
    folder = release.folder(root, "fine_diving", _FILES)
    places = release.places(folder, videos) + ([] if videos else [folder / "FineDiving"])
    fine = _annotations(_file(folder, "FineDiving_fine-grained_annotation.pkl"), ("steps_transit_frames",))
    found = []
    for key, dive in _coarse(folder).items():
        marks = dive["judge_scores"]
        if panel not in ("all", str(len(marks))):
            continue
        sample = _sample(key, dive, fine.get(key, {}), release.recording(places, [f"{key[0]}/{key[1]}"]))
        found.append(sample if panel == "all" else replace(sample, judges=tuple(map(float, marks))))
    return found


def labels(samples: Sequence[Sample], *, panel: Panel = "all") -> LabelSpec:
    """Return the label description: totals to 30, kinds, steps, two boundaries and, with one panel, its marks."""
    known = LabelSpec(SCALE, ScoreScale(0, 30), attributes=ATTRIBUTES, **declared(samples))
    if panel == "all":
        return known
    return replace(known, judges=int(panel), marks=ScoreScale(0, 10), rule=PANELS[int(panel)])


def splits(samples: Sequence[Sample], root: Path | None) -> dict[str, list[Split]]:
    """Return the official split and a group-wise one.

    ``official``: 2251 training and 749 test dives; 131 of the 135 events are on both sides. ``event-held-out``: five
    folds that never divide an event.
    """
    folder, known = release.folder(root, "fine_diving", _FILES), {s.id for s in samples}
    sides = [
        tuple(i for i in map(_name, _keys(path, pickles.load(path))) if i in known)
        for path in (_file(folder, f"{part}_split.pkl") for part in ("train", "test"))
    ]
    return {"official": [Split("official", *sides)], "event-held-out": list(five_fold("event-held-out", samples))}


def known_errors(samples: Sequence[Sample], root: Path | None) -> Iterator[tuple[str, str, Iterable[str]]]:
    """Yield errors of the release that its samples do not show, as severity, sentence and ids."""
    folder = release.folder(root, "fine_diving", _FILES)
    dives, kept = _coarse(folder), {s.id for s in samples}
    fine = _annotations(_file(folder, "FineDiving_fine-grained_annotation.pkl"), ("difficulty",))
    for count, rule in PANELS.items():
        panel = {key: dive for key, dive in dives.items() if len(dive["judge_scores"]) == count and _name(key) in kept}
        odd = [_name(key) for key, dive in panel.items() if not any(_fits(dive, name) for name in {rule, "diving"})]
        yield "warning", f"of {len(panel)} dives with {count} listed marks, scores that do not follow from them", odd
    yield (
        "warning",
        "transitions that lie outside the dive, which has no boundaries",
        [s.id for s in samples if not s.boundaries],
    )
    apart = [k for k, dive in dives.items() if k in fine and dive["difficulty"] != fine[k]["difficulty"]]
    yield (
        "warning",
        "difficulties that differ between the two annotation files; the coarse one is read",
        [_name(key) for key in apart if _name(key) in kept],
    )


def _fits(dive: Mapping[str, Any], rule: str) -> bool:
    score = float(RULES[rule].score(dive["judge_scores"], dive["difficulty"]))
    return abs(score - dive["dive_score"]) <= TOLERANCE + 1e-6


def _sample(key: Key, dive: Mapping[str, Any], fine: Mapping[str, Any], source: Path | None) -> Sample:
    number = str(dive["action_type"]).upper()
    what = element(number)
    return Sample(
        id=_name(key),
        sources={"video": source} if source else {},
        action="diving",
        group=key[0],
        score=float(dive["dive_score"]),
        difficulty=float(dive["difficulty"]),
        attributes=what.attributes,
        kind=number,
        steps=what.steps,
        boundaries=_boundaries(fine, dive["end_frame"] - dive["start_frame"] + 1),
    )


def _boundaries(fine: Mapping[str, Any], frames: int) -> tuple[float, ...]:
    """The shares of the dive at which the flight begins and ends; a transition is the last frame of its step."""
    last = sorted(int(frame) for frame in np.ravel(fine.get("steps_transit_frames", ())))
    if len(last) < 2 or not 0 <= last[0] < last[-1] < frames - 1:
        return ()
    return (last[0] + 1) / frames, (last[-1] + 1) / frames


def _coarse(folder: Path) -> dict[Key, Mapping[str, Any]]:
    path = _file(folder, "FineDiving_coarse_annotation.pkl")
    fields = ("action_type", "start_frame", "end_frame", "dive_score", "difficulty", "judge_scores")
    dives = _annotations(path, fields)
    for key, dive in dives.items():
        wrong = [n for n in fields[1:5] if not isinstance(dive[n], int | float | np.number)]
        if wrong:
            raise DataError(f"{path}: dive {key} has no number {' or '.join(wrong)}; {_WHERE}")
        if len(np.ravel(dive["judge_scores"])) not in PANELS:
            raise DataError(f"{path}: dive {key} does not have 7, 5 or 3 marks; {_WHERE}")
        try:
            element(str(dive["action_type"]).upper())
        except (LookupError, ValueError):
            raise DataError(f"{path}: dive {key} has no dive number, but {dive['action_type']!r}; {_WHERE}") from None
    return dives


def _annotations(path: Path, fields: Sequence[str]) -> dict[Key, Mapping[str, Any]]:
    found = pickles.load(path)
    if not isinstance(found, dict) or not found or not all(isinstance(dive, dict) for dive in found.values()):
        raise DataError(f"{path} does not hold annotations by dive; {_WHERE}")
    dives = dict(zip(_keys(path, found), found.values(), strict=True))
    for key, dive in dives.items():
        if missing := [name for name in fields if name not in dive]:
            raise DataError(f"{path}: dive {key} has no {' and no '.join(missing)}; {_WHERE}")
    return dives


def _keys(path: Path, found: Iterable[Any]) -> list[Key]:
    try:
        return [(str(event), int(dive)) for event, dive in found]
    except (TypeError, ValueError):
        raise DataError(f"{path} should identify dives by event and number; {_WHERE}") from None


def _name(key: Key) -> str:
    return f"{key[0]}_{key[1]}"


def _file(root: Path, name: str) -> Path:
    return release.file(root, [name, f"Annotations/{name}"], _WHERE)
