"""Is a data set what it should be? Everything that can be seen without training, found in one pass.

A check never stops at an error: each kind of fault becomes one :class:`Finding` that names its samples or files.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import numpy as np

from aqakit import discovery
from aqakit.datasets.parts.loading import Dataset
from aqakit.recordings import contents
from aqakit.recordings.contents import MISSING, Recording
from aqakit.scores.rules import RULES
from aqakit.types import LabelSpec, Sample, Split

Severity = Literal["error", "warning", "note"]

TOLERANCE = 0.05
"""By how much a score may differ from its judges' rule, for rounding on the way."""

FAR = 5
"""Interquartile ranges beyond the quartiles of a judge's marks where a mark is suspected to be a slip."""

BINS = 10
"""Of the histogram of scores, over the scale of the data set."""

_SHOWN = 4


@dataclass(frozen=True)
class Finding:
    """One kind of fault.

    Attributes:
        severity: ``error``: results would be wrong or missing; ``warning``: look at it; ``note``: good to know.
        check: what was checked, in a word or two.
        sentence: what is wrong, and with what.
        subjects: ids of samples, or paths of recordings, all of them.
    """

    severity: Severity
    check: str
    sentence: str
    subjects: tuple[str, ...] = ()


@dataclass(frozen=True)
class TaskHealth:
    """Counts of one task (of the whole data set where it has no tasks).

    Attributes:
        task: its name.
        samples, labelled, groups: how many.
        recordings: by kind, how many samples have one.
        shortest, longest: readable recording, in frames (rows of a signal); None if none is readable.
        low, mean, high: of the scores; None where nothing is labelled.
        histogram: (BINS,) scores in equal parts of the scale; what lies off the scale is not in it.
    """

    task: str
    samples: int
    labelled: int
    groups: int
    recordings: Mapping[str, int]
    shortest: int | None
    longest: int | None
    low: float | None
    mean: float | None
    high: float | None
    histogram: tuple[int, ...]

    def row(self) -> dict[str, Any]:
        """The same as cells of a table."""
        cells = asdict(self)
        recordings = cells.pop("recordings")
        return {**cells, **recordings, "histogram": bars(self.histogram)}


@dataclass(frozen=True)
class HealthReport:
    """What :func:`check` saw: counts per task, and ``found`` from grave to harmless."""

    name: str
    tasks: tuple[TaskHealth, ...]
    found: tuple[Finding, ...]

    @property
    def findings(self) -> list[tuple[Severity, str]]:
        """Severity and sentence of all that was found."""
        return [(finding.severity, finding.sentence) for finding in self.found]

    @property
    def ok(self) -> bool:
        """Whether there is no error among the findings."""
        return all(finding.severity != "error" for finding in self.found)

    def rows(self) -> list[dict[str, Any]]:
        """One row per task."""
        return [task.row() for task in self.tasks]

    def about(self, check: str) -> list[Finding]:
        """The findings of one check."""
        return [finding for finding in self.found if finding.check == check]


def check(dataset: Dataset) -> HealthReport:
    """Open every recording once, and compare labels and splits with what they should be."""
    files = contents.inspect(dataset.samples)
    findings = [
        *_check_files(files),
        *_check_duplicates(dataset, files),
        *_check_windows(dataset.samples, files),
        *_check_labels(dataset.samples, dataset.labels),
        *_check_release(dataset),
        *_check_judges(dataset.samples, dataset.labels),
        *(finding for name, folds in dataset.splits.items() for finding in _check_folds(dataset, name, folds)),
    ]
    order: tuple[Severity, ...] = ("error", "warning", "note")
    findings.sort(key=lambda finding: order.index(finding.severity))
    by_task = {name: dataset.task(name).samples for name in dataset.tasks} or {dataset.name: dataset.samples}
    tasks = tuple(_count(name, samples, dataset.labels, files) for name, samples in by_task.items())
    return HealthReport(dataset.name, tasks, tuple(findings))


def bars(counts: Sequence[int]) -> str:
    """A histogram in one line of text.

    >>> bars([0, 1, 4, 8, 2])
    ' ▁▄█▂'
    """
    top = max(counts, default=0) or 1
    return "".join(" ▁▂▃▄▅▆▇█"[math.ceil(8 * count / top)] for count in counts)


def _count(task: str, samples: Sequence[Sample], labels: LabelSpec, files: Mapping[Path, Recording]) -> TaskHealth:
    scores = [s.score for s in samples if s.score is not None]
    lengths = [files[path].length for s in samples for path in s.sources.values()]
    known = [length for length in lengths if length is not None]
    kinds = sorted({file.kind for file in files.values()})
    return TaskHealth(
        task=task,
        samples=len(samples),
        labelled=len(scores),
        groups=len({s.group for s in samples if s.group is not None}),
        recordings={kind: sum(kind in s.sources for s in samples) for kind in kinds},
        shortest=min(known, default=None),
        longest=max(known, default=None),
        low=min(scores, default=None),
        mean=fmean(scores) if scores else None,
        high=max(scores, default=None),
        histogram=tuple(np.histogram(scores, BINS, (labels.scale.low, labels.scale.high))[0].tolist()),
    )


def _check_files(files: Mapping[Path, Recording]) -> Iterator[Finding]:
    missing = [str(r.path) for r in files.values() if r.problem == MISSING]
    broken = {str(r.path): r.problem for r in files.values() if r.problem not in ("", MISSING)}
    short = [str(r.path) for r in files.values() if r.length is not None and r.length < r.promised]
    yield from _finding("error", "missing", "missing recordings", missing)
    yield from _finding("error", "undecodable", "recordings that cannot be read", broken, broken.values())
    yield from _finding("warning", "cut short", "recordings cut short, or with a wrong header", short)


def _check_duplicates(dataset: Dataset, files: Mapping[Path, Recording]) -> Iterator[Finding]:
    """Samples that show the same part of the same bytes, and whether a fold trains on one and tests on another."""
    digests = contents.digests(files.values())
    same: dict[object, set[str]] = defaultdict(set)
    for sample in dataset.samples:
        for path in sample.sources.values():
            same[digests.get(path, path), sample.window].add(sample.id)
    copies = {" = ".join(sorted(ids)): ids for ids in same.values() if len(ids) > 1}
    folds = [fold for folds in dataset.splits.values() for fold in folds]
    leaks = [name for name, ids in copies.items() if any(_both_sides(fold, ids) for fold in folds)]
    yield from _finding("warning", "duplicates", "samples with the same recording", copies)
    yield from _finding("error", "duplicates", "the same recording both trained and tested on", leaks)


def _both_sides(fold: Split, ids: Iterable[str]) -> bool:
    return not set(fold.train).isdisjoint(ids) and not set(fold.test).isdisjoint(ids)


def _check_windows(samples: Sequence[Sample], files: Mapping[Path, Recording]) -> Iterator[Finding]:
    outside = {}
    for sample in samples:
        lengths = [files[path].length for path in sample.sources.values()]
        shortest = min((length for length in lengths if length is not None), default=math.inf)
        first, last = sample.window or (0, 0)
        if not 0 <= first <= last < shortest:
            outside[sample.id] = f"{sample.id} (frames {first} to {last} of {shortest:g})"
    yield from _finding("error", "windows", "windows outside their recording", outside, outside.values())


def _check_labels(samples: Sequence[Sample], labels: LabelSpec) -> Iterator[Finding]:
    repeated = [name for name, count in Counter(s.id for s in samples).items() if count > 1]
    silent = [s.id for s in samples if not s.sources]
    only_labels = len(silent) == len(samples)
    unlabelled = [s.id for s in samples if s.score is None]
    low, high = labels.scale.low, labels.scale.high
    scores = {s.id: s.score for s in samples if s.score is not None}
    off = {name: f"{name} ({score:g})" for name, score in scores.items() if not low <= score <= high}
    values = {f"{score:g}" for score in scores.values()}
    yield from _finding("warning", "scale", "one score for all", values if len(values) == 1 else ())
    yield from _finding("error", "ids", "ids given more than once", repeated)
    grave: Severity = "warning" if only_labels else "error"
    yield from _finding(grave, "missing", "samples without any recording" + ", which is all" * only_labels, silent)
    yield from _finding("error", "scale", f"scores off the scale from {low:g} to {high:g}", off, off.values())
    yield from _finding("note", "unlabelled", "samples without a score", unlabelled)


def _check_judges(samples: Sequence[Sample], labels: LabelSpec) -> Iterator[Finding]:
    odd = _odd_marks(samples, labels.judges)
    ruled = {s.id: (s.score, by_rule(s, labels.rule)) for s in samples}
    broken = {
        name: f"{name} ({score:g}, by the rule {expected:g})"
        for name, (score, expected) in ruled.items()
        if score is not None and expected is not None and not abs(score - expected) <= TOLERANCE
    }
    what = f"scores that break the rule {labels.rule}"
    yield from _finding("warning", "judges", "marks far from all others of their judge", odd, odd.values())
    yield from _finding("warning", "rule", what, broken, broken.values())


def by_rule(sample: Sample, name: str | None) -> float | None:
    """The score that the judges' rule of that name gives; None where it cannot be applied."""
    if name is None or sample.judges is None or len(sample.judges) not in RULES[name].judges:
        return None
    if RULES[name].difficulty and sample.difficulty is None:
        return None
    return float(RULES[name].score(sample.judges, sample.difficulty))


def _check_release(dataset: Dataset) -> Iterator[Finding]:
    """What the file of the data set knows to be wrong with its release, if it has ``known_errors(samples, root)``."""
    if dataset.name in discovery.names("datasets"):
        known = getattr(discovery.find("datasets", dataset.name), "known_errors", None)
        for severity, what, subjects in known(dataset.samples, dataset.root) if known else ():
            yield from _finding(severity, "release", what, subjects)


def _odd_marks(samples: Sequence[Sample], judges: int) -> dict[str, str]:
    marked = [s for s in samples if s.judges is not None and len(s.judges) == judges]
    if not marked or not judges:
        return {}
    marks = np.array([s.judges for s in marked])
    low, high = np.percentile(marks, (25, 75), axis=0)
    margin = FAR * (high - low)
    far = ((marks < low - margin) | (marks > high + margin)) & (margin > 0)
    return {marked[i].id: f"{marked[i].id} (judge {j + 1}: {marks[i, j]:g})" for i, j in np.argwhere(far)}


def _check_folds(dataset: Dataset, protocol: str, folds: Sequence[Split]) -> Iterator[Finding]:
    known = {sample.id: sample for sample in dataset.samples}
    overlap, straddling, unknown = set[str](), set[str](), set[str]()
    for fold in folds:
        overlap |= set(fold.train) & set(fold.test)
        unknown |= {*fold.train, *fold.test} - set(known)
        sides = [{known[i].group for i in ids if i in known} for ids in (fold.train, fold.test)]
        straddling |= {group for group in sides[0] & sides[1] if group is not None}
    empty = [fold.name for fold in folds if not fold.train or not fold.test]
    none = () if folds else (protocol,)
    yield from _finding("warning", "splits", "no folds, for want of scores in two groups", none)
    yield from _finding("error", "splits", f"{protocol}: samples both trained and tested on", overlap)
    yield from _finding("error", "splits", f"{protocol}: ids that no sample has", unknown)
    yield from _finding("error", "splits", f"{protocol}: folds with nothing to train or to test on", empty)
    yield from _finding("warning", "groups", f"{protocol}: groups both trained and tested on", straddling)


def _finding(
    severity: Severity, check: str, what: str, subjects: Iterable[str], shown: Iterable[str] | None = None
) -> Iterator[Finding]:
    """One finding, or none without subjects; ``shown`` says more of each of them."""
    subjects = sorted(subjects)
    shown = sorted(shown or subjects)
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    if subjects:
        sentence = f"{what} ({len(subjects)}): {'; '.join(shown[:_SHOWN])}{more}"
        yield Finding(severity, check, sentence, tuple(subjects))
