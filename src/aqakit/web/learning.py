"""What a run can learn from the desk: a manifest of its old samples and the corrected videos, and an honest comparison.

The old samples keep their split. Corrected videos join the training samples; the members of the new run hold each of
them out once, as they do with the others, so that old and new run are compared on recordings that neither has learnt
from. A corrected video that is one of the old samples corrects that sample instead, and judges nothing.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from aqakit.datasets.parts.loading import load
from aqakit.datasets.parts.pairs import Pair
from aqakit.errors import DataError, OptionError
from aqakit.recordings.hashing import content_hash
from aqakit.training import folds, trust
from aqakit.training.data import one_task
from aqakit.training.folds import RunSplit
from aqakit.training.recipe import Recipe, assemble_run
from aqakit.training.run import Run
from aqakit.types import Floats, LabelSpec, Sample

COMPARISON = "comparison.json"
"""File in the folder of a new run."""

AT_ONCE = 8
"""Videos whose features are in memory while the old run is asked."""


def family(run: str) -> str:
    """The name that a run and those that were made from it have in common.

    >>> family("club/dives"), family("club-dives-improved-2")
    ('club-dives', 'club-dives')
    """
    return run.replace("/", "-").partition("-improved-")[0]


def subject(data: str, root: str | None) -> str:
    """What a run is about, by the name of its data; a sheet that is called as all sheets goes by its folder's name.

    >>> subject("manifest", "dives/spring.csv"), subject("manifest", "dives/manifest.csv"), subject("fis_v", "data")
    ('spring', 'dives', 'fis v')
    """
    if data != "manifest" or root is None:
        return data.replace("_", " ")
    file = Path(root)
    return (file.parent.name if file.stem == "manifest" else "") or file.stem


@dataclass(frozen=True)
class Lesson:
    """What a new run learns.

    Attributes:
        samples: training and test samples, old ones first.
        test: ids of the test samples.
        added: ids of the corrected videos that the old run has not learnt from.
        pairs: judgements of two of the samples.
        notes: what was left out, and why.
    """

    samples: Sequence[Sample]
    test: frozenset[str]
    added: Sequence[str]
    pairs: Sequence[Pair]
    notes: Sequence[str]


def check(run: Run) -> None:
    """Check that a run can be improved and that the new one can be compared with it.

    Raises:
        OptionError: it cannot; the message says why.
    """
    recipe = run.recipe
    if run.rated:
        raise OptionError("this run has learnt from comparisons alone; train it again with aqakit train --pairs")
    if "held-out" not in run.splits() or recipe.finetune or recipe.labels:
        raise OptionError(
            "this run has no held-out answers that a new one could be compared with; train it with --members 5, frozen "
            "backbones and all labels"
        )
    if recipe.root is not None and not Path(recipe.root).exists():
        raise OptionError(
            f"what this run was trained on is gone ({Path(recipe.root).name}); put it back, since a new run learns "
            "from it too"
        )


def lesson(run: Run, videos: Sequence[Sample], judged: Sequence[Pair]) -> Lesson:
    """Bring the samples of a run together with the desk's videos.

    Args:
        run: the old run.
        videos: of the desk, the newest first; with a score if a true one was told.
        judged: which of two of these videos was better.

    Raises:
        DataError: nothing was corrected or judged.
    """
    recipe = run.recipe
    dataset = one_task(load(recipe.data, recipe.root, **recipe.data_options), recipe.task)
    fold = folds.choose_fold(dataset, recipe)
    used = {*fold.train, *fold.test}
    old = {s.id: s for s in dataset.samples if s.id in used}
    there = {name: s for name, s in old.items() if all(path.exists() for path in s.sources.values())}
    notes = [f"{len(old) - len(there)} recordings of the old run are gone and were left out"] * (len(old) > len(there))
    pairs, said = _pairs(run, judged)
    compared = {name for pair in pairs for name in (pair.better, pair.worse)}
    wanted = [s for s in videos if s.score is not None or s.id in compared]
    if recipe.target == "total" and (vague := [s for s in wanted if s.difficulty is None]):
        notes.append(
            f"{len(vague)} recordings without a difficulty were left out, since this run learns score ÷ difficulty"
        )
        wanted = [s for s in wanted if s.difficulty is not None]
    whole = [s for s in there.values() if s.window is None]
    known = {content_hash(path, kind=kind): s.id for s in whole for kind, path in s.sources.items()}
    added: dict[str, Sample] = {}
    same: dict[str, str] = {}  # desk id → id of the sample that has the same recording
    for sample in wanted:
        (digest,) = (content_hash(path, kind=kind) for kind, path in sample.sources.items())
        same[sample.id] = known.setdefault(digest, sample.id)
        twin = same[sample.id]
        if twin in there:  # also one of the desk, from which an earlier new run has learnt
            if twin not in fold.test and sample.score is not None:
                there[twin] = replace(there[twin], score=sample.score, judges=sample.judges)
        elif twin == sample.id:
            added[sample.id] = sample
    if not wanted:
        raise DataError("nothing has been corrected or judged yet; tell true scores in the list, or compare some")
    moved = [Pair(same[p.better], same[p.worse], p.weight) for p in pairs]
    return Lesson(
        # Members hold out whole groups only where every sample has one; a new run must not see half of an athlete.
        samples=[replace(s, group=s.group or s.id) for s in (*there.values(), *added.values())],
        test=frozenset(fold.test) & there.keys(),
        added=[s.id for s in added.values() if s.score is not None],
        pairs=[*dataset.pairs, *(p for p in moved if p.better != p.worse)],
        notes=[*notes, *said],
    )


def _pairs(run: Run, judged: Sequence[Pair]) -> tuple[Sequence[Pair], list[str]]:
    """The judgements that the method can learn from, and why there are none."""
    if not judged:
        return (), []
    if run.recipe.target == "total":
        return (), ["judgements were left out, since this run learns score ÷ difficulty"]
    if not any(p.requires_grad for p in assemble_run(run.recipe, run.labels).parameters()):
        return (), [f"judgements were left out, since the method {run.recipe.method} cannot learn from them"]
    return judged, []


def is_enough(split: RunSplit) -> bool:
    """Whether each member of a run has pairs left when it does not see its part."""
    try:
        for part in split.parts:
            split.without(part)
    except OptionError:
        return False
    return bool(split.pairs)


def recipe_of(run: Run, learnt: Lesson, manifest: Path, pairs: Path) -> Recipe:
    """Return the recipe of the new run: that of the old one, on the new manifest."""
    old, scale = run.recipe, run.labels.scale
    fixed = {"low": scale.low, "high": scale.high, "unit": scale.unit}
    options = dict(old.data_options) if old.data == "manifest" else fixed | {"rate": learnt.samples[0].rate}
    options.pop("encoding", None)  # the new manifest is in UTF-8
    if run.labels.rule and _panel(learnt.samples):
        options["rule"] = run.labels.rule
    else:
        options.pop("rule", None)
    return replace(
        old,
        data="manifest",
        root=str(manifest),
        data_options=options,
        task=None,
        protocol="split" if learnt.test else "all",
        fold=None,
        pairs=str(pairs) if learnt.pairs else None,
    )


def manifest_csv(learnt: Lesson, labels: LabelSpec) -> str:
    """The samples in the format of :mod:`aqakit.datasets.manifest`."""
    marks = [f"judge_{k + 1}" for k in range(_panel(learnt.samples))]
    kinds = sorted({kind for s in learnt.samples for kind in s.sources})
    split = ["split"] * bool(learnt.test)
    own = ["start", "end", "group", "difficulty", "caption", "kind", "step_list", "boundaries", "segments"]
    text = io.StringIO()
    writer = csv.DictWriter(
        text, ["id", *kinds, "score", *split, *own, *marks, *labels.attributes], extrasaction="ignore"
    )
    writer.writeheader()
    for sample in learnt.samples:
        row = dict(_cells(sample)) | {"split": "test" if sample.id in learnt.test else "train"}
        writer.writerow({name: "" if value is None else value for name, value in row.items()})
    return text.getvalue()


def _cells(sample: Sample) -> Iterator[tuple[str, Any]]:
    yield "id", sample.id
    yield from ((kind, str(path.absolute())) for kind, path in sample.sources.items())
    yield from ((name, getattr(sample, name)) for name in ("score", "group", "difficulty", "caption", "kind"))
    yield from zip(("start", "end"), sample.window or (), strict=False)
    yield "step_list", " > ".join(sample.steps)
    yield "boundaries", " > ".join(map(str, sample.boundaries))
    yield "segments", " > ".join(f"{name} {first}-{last}" for name, first, last in sample.segments)
    yield from ((f"judge_{k + 1}", mark) for k, mark in enumerate(sample.judges or ()))
    yield from sample.attributes.items()


def _panel(samples: Sequence[Sample]) -> int:
    """The number of marks of every sample that has any; 0 if they differ."""
    sizes = {len(s.judges) for s in samples if s.judges}
    return sizes.pop() if len(sizes) == 1 else 0


def compare(old: Run, new: Run, learnt: Lesson) -> dict[str, Any]:
    """Compare two runs on recordings that neither has learnt from.

    Returns:
        ``rows``, for the corrected videos and for the others: what, number of recordings, mean absolute error of the
        old and of the new run; ``verdict``: ``better``, ``worse`` or ``same``, beyond noise on all of them together.
    """
    true, answer = _held_out(new)
    before = _held_out(old)[1]
    corrected = set(learnt.added) & answer.keys()
    added = [s for s in learnt.samples if s.id in corrected]
    before |= {s.id: mean for s, mean in zip(added, _asked(old, added), strict=True)}
    names = {s.id for s in added}
    common = [name for name in answer if name in before and not np.isnan(true[name])]
    group = {s.id: s.group for s in learnt.samples}
    parts = {"corrected": [n for n in common if n in names], "others": [n for n in common if n not in names]}
    errors = {which: {n: abs(said[n] - true[n]) for n in common} for which, said in (("old", before), ("new", answer))}
    rows = [
        {"what": what, "samples": len(ids)}
        | {which: float(np.mean([error[n] for n in ids])) for which, error in errors.items()}
        for what, ids in parts.items()
        if ids
    ]
    first, second = (np.array([error[n] for n in common]) for error in errors.values())
    return {"rows": rows, "verdict": _verdict(first, second, [group[n] for n in common])}


def _verdict(old: Floats, new: Floats, group: Sequence[str | None]) -> str:
    if len(old) > 1 and trust.is_smaller(new, old, group):
        return "better"
    return "worse" if len(old) > 1 and trust.is_smaller(old, new, group) else "same"


def _held_out(run: Run) -> tuple[dict[str, float], dict[str, float]]:
    """True scores and answers, by id, of what a run has not learnt from."""
    true, answer = dict[str, float](), dict[str, float]()
    for split in run.splits():
        ids = run.ids(split)
        true |= dict(zip(ids, run.truth(split).tolist(), strict=True))
        answer |= dict(zip(ids, run.prediction(split, recalibrated=True).mean.tolist(), strict=True))
    return true, answer


def _asked(run: Run, samples: Sequence[Sample]) -> list[float]:
    parts = [samples[k : k + AT_ONCE] for k in range(0, len(samples), AT_ONCE)]
    return [mean for part in parts for mean in run.predict_samples(part).mean.tolist()]


def sample_of(row: Mapping[str, Any], path: Path, kind: str = "video") -> Sample:
    """A recording of the desk as a sample."""
    return Sample(
        id=row["id"],
        sources={kind: path},
        group=row["athlete"] or None,
        score=row["truth"],
        judges=tuple(row["judges"]) or None,
        difficulty=row["difficulty"],
    )
