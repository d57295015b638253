"""Rendered platform dives whose true score is known.

Videos are rendered from an explicit model.

Each dive is sampled from a catalogue of real dive numbers, executed well or badly, rendered, and marked by seven judges
who disagree more on more unusual dives. The execution, the marks and the score are modelled in
``parts/dives/judging.py``; the difficulty follows the FINA formula (``parts/dives/catalogue.py``). Files are created on
first use, from the seed alone, in ``root`` or by default in ``$AQAKIT_CACHE`` or ``~/.cache/aqakit``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from aqakit.datasets.parts.declared import declared
from aqakit.datasets.parts.dives import files as files
from aqakit.datasets.parts.dives import judging as judging
from aqakit.datasets.parts.dives.catalogue import ATTRIBUTES, WEIGHTS, difficulty
from aqakit.datasets.parts.dives.catalogue import element as _element
from aqakit.datasets.parts.dives.execution import Execution, draw_execution
from aqakit.datasets.parts.dives.files import render
from aqakit.datasets.parts.dives.motion import JOINTS
from aqakit.datasets.parts.dives.render import Dive
from aqakit.errors import DataError
from aqakit.scores.rules import diving
from aqakit.system import npy
from aqakit.system.files import default_cache
from aqakit.types import LabelSpec, Sample, ScoreScale, Split

__all__ = ["CITATION", "JOINTS", "LICENCE", "SCALE", "Dive", "Execution", "Truth", "dives", "labels", "render",
           "samples", "splits", "truth"]  # fmt: skip

SCALE = ScoreScale(0, 123)  # 30 × 4.1, a perfect 409C
LICENCE = "Apache-2.0, as aqakit itself"
CITATION = "aqakit, synthetic platform dives (https://github.com/aqakit/aqakit)"
VERSION = 3  # of the model and the renderer; each version has its own folder
EVENTS = 20


@dataclass(frozen=True)
class Truth:
    """Ground truth of a dive, which no real data set has.

    Attributes:
        execution: how well it was done.
        mean: mean of the final score over all possible panels of judges.
        spread: standard deviation of the final score over all possible panels of judges.
        total_mean: mean of the judges' total (the three middle marks).
        total_spread: standard deviation of the judges' total.
        joints: (T, 17, 2) float32 pixels in every frame, in the order of :data:`JOINTS`; a joint may be outside
            the image.
    """

    execution: Execution
    mean: float
    spread: float
    total_mean: float
    total_spread: float
    joints: np.ndarray


def dives(count: int = 600, seed: int = 0) -> list[Dive]:
    """Return the first ``count`` dives of a seed, not yet rendered."""
    return [_dive(seed, number) for number in range(count)]


def _dive(seed: int, number: int) -> Dive:
    rng = np.random.default_rng([seed, 0, number])
    weights = np.array(list(WEIGHTS.values()))
    chosen = str(rng.choice(list(WEIGHTS), p=weights / weights.sum()))
    execution = draw_execution(rng, _element(chosen))
    return Dive(chosen, execution, int(rng.integers(EVENTS)), (seed, number))


def samples(
    root: Path | None,
    *,
    count: Annotated[int, Field(ge=1, le=100_000, description="number of dives")] = 600,
    seed: Annotated[int, Field(ge=0, description="seed of the dives")] = 0,
    size: Annotated[
        int, Field(ge=64, le=1024, multiple_of=2, description="width and height of a frame in pixels")
    ] = 128,
) -> list[Sample]:
    """Return the dives; render those whose files are missing (about half a minute for 600 on two processors).

    Raises:
        DataError: the folder cannot be written, or its index is damaged.
    """
    folder = (root or default_cache() / "synthetic_dives") / f"v{VERSION}-seed{seed}-count{count}-size{size}"
    try:
        if not (folder / files.INDEX).exists():
            about = {"version": VERSION, "seed": seed, "size": size, "joints": JOINTS}
            files.write_index(folder, about, [_row(dive) for dive in dives(count, seed)])
        files.complete(folder, size)
    except OSError as error:
        raise DataError(f"the dives cannot be rendered to {folder}: {error.strerror}; give another root") from error
    return [_sample(folder, row) for row in files.read_index(folder).values()]


def _row(dive: Dive) -> files.Row:
    """Return everything known about a dive, as JSON values."""
    what, how, degree = dive.element, dive.execution, difficulty(dive.element)
    mean, spread = judging.total_moments(what, how)
    marks = judging.marks(what, how, dive.rng(7).normal(size=8))
    return {
        "id": f"dive-{dive.seed[1]:05d}",
        "number": dive.number,
        "event": dive.event,
        "seed": dive.seed,
        "execution": asdict(how),
        "difficulty": degree,
        "judges": marks.tolist(),
        "score": round(float(diving(marks, degree)), 2),
        "total_mean": mean,
        "total_spread": spread,
        "frames": dive.timing.frames,
        "caption": judging.commentary(what, how),
    }


def _sample(folder: Path, row: files.Row) -> Sample:
    name = row["id"]
    return Sample(
        id=name,
        sources={"video": files.video(folder, name), "skeleton": files.skeleton(folder, name)},
        action="diving",
        group=f"event-{row['event']:02d}",
        score=row["score"],
        judges=tuple(row["judges"]),
        difficulty=row["difficulty"],
        attributes=_element(row["number"]).attributes,
        caption=row["caption"],
        kind=row["number"],
        steps=_element(row["number"]).steps,
        boundaries=Dive(row["number"], Execution(**row["execution"]), row["event"], tuple(row["seed"])).boundaries,
    )


def truth(sample: Sample) -> Truth:
    """Return the ground truth of one of the :func:`samples`."""
    row = files.read_index(sample.sources["video"].parent)[sample.id]
    mean, spread, degree = row["total_mean"], row["total_spread"], row["difficulty"]
    joints = npy.load(sample.sources["skeleton"])
    return Truth(Execution(**row["execution"]), mean * degree, spread * degree, mean, spread, joints)


def labels(samples: Sequence[Sample]) -> LabelSpec:
    """Return the label description: seven judges, rule of diving, attributes of MTL-AQA, totals from 0 to 30.

    A dive has two boundaries: the take-off, and the moment when the body is open for the entry.
    """
    words = {word for sample in samples for word in (sample.caption or "").split()}
    known = LabelSpec(SCALE, ScoreScale(0, 30), 7, ScoreScale(0, 10), "diving", ATTRIBUTES, tuple(sorted(words)))
    return replace(known, **declared(samples))


def splits(samples: Sequence[Sample], root: Path | None) -> dict[str, list[Split]]:
    """Return two protocols.

    ``standard``: one dive in five is in the test set, regardless of its event, as in MTL-AQA's official split.
    ``event-held-out``: one event in five is held out entirely.
    """
    names = [sample.id for sample in samples]
    protocols = {"standard": [_split("standard", samples, _fifth(names))]}
    events = _fifth(sorted({sample.group or "" for sample in samples}))
    held = {sample.id for sample in samples if sample.group in events}
    if len(held) < len(samples):
        protocols["event-held-out"] = [_split("event-held-out", samples, held)]
    return protocols


def _fifth(names: Sequence[str]) -> set[str]:
    order = np.random.default_rng(0).permutation(len(names))
    return {names[k] for k in order[: max(1, round(len(names) / 5))]}


def _split(name: str, samples: Iterable[Sample], tested: set[str]) -> Split:
    train = tuple(s.id for s in samples if s.id not in tested)
    return Split(name, train, tuple(s.id for s in samples if s.id in tested))
