"""Check a data set for everything that can be detected without training, in one pass.

A check never stops at an error: each kind of problem becomes one :class:`Finding` that lists its samples or files.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from aqakit import discovery
from aqakit.datasets.parts import pairs
from aqakit.datasets.parts.findings import Finding, Severity, finding
from aqakit.datasets.parts.loading import Dataset
from aqakit.recordings import contents
from aqakit.recordings.contents import MISSING, Recording
from aqakit.recordings.video import READABLE, UNEVEN
from aqakit.scores.rules import RULES
from aqakit.types import LabelSpec, Sample, Split

TOLERANCE = 0.05
"""Largest allowed difference between a score and its judges' rule, because of intermediate rounding."""

FAR = 5
"""A mark more than this many interquartile ranges beyond the quartiles of its judge is a suspected typing error."""

BINS = 10
"""Bins of the histogram of scores, over the scale of the data set."""


@dataclass(frozen=True)
class TaskHealth:
    """Statistics of one task (of the whole data set if it has no tasks).

    Attributes:
        task: its name.
        samples, labelled, groups: number of each.
        recordings: number of samples with a recording, by kind.
        shortest, longest: length of the readable recordings in frames (rows of a signal); None if none is readable.
        damaged: number of recordings with frames that cannot be read or are damaged.
        low, mean, high: lowest, mean and highest score; None if there are no scores.
        histogram: (BINS,) counts of scores in equal bins of the scale; scores outside the scale are not counted.
        pairs: number of pairs of which it is known which was better.
    """

    task: str
    samples: int
    labelled: int
    groups: int
    recordings: Mapping[str, int]
    shortest: int | None
    longest: int | None
    damaged: int
    low: float | None
    mean: float | None
    high: float | None
    histogram: tuple[int, ...]
    pairs: int = 0

    def row(self) -> dict[str, Any]:
        """Return the statistics as the cells of a table row."""
        cells = asdict(self)
        recordings = cells.pop("recordings")
        if not self.pairs:
            del cells["pairs"]
        return {**cells, **recordings, "histogram": bars(self.histogram)}


@dataclass(frozen=True)
class HealthReport:
    """Result of :func:`check`: statistics per task, and ``found``, the findings in order of decreasing severity."""

    name: str
    tasks: tuple[TaskHealth, ...]
    found: tuple[Finding, ...]

    @property
    def findings(self) -> list[tuple[Severity, str]]:
        """Severity and sentence of every finding."""
        return [(finding.severity, finding.sentence) for finding in self.found]

    @property
    def ok(self) -> bool:
        """Whether there is no error among the findings."""
        return all(finding.severity != "error" for finding in self.found)

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per task."""
        return [task.row() for task in self.tasks]

    def about(self, check: str) -> list[Finding]:
        """Return the findings of one check."""
        return [finding for finding in self.found if finding.check == check]


def check(dataset: Dataset) -> HealthReport:
    """Open every recording once, and check labels and splits for consistency."""
    files = contents.inspect(dataset.samples)
    findings = [
        *_check_files(files),
        *_check_duplicates(dataset, files),
        *_check_windows(dataset.samples, files),
        *_check_segments(dataset.samples, files),
        *_check_labels(dataset.samples, dataset.labels),
        *_check_release(dataset),
        *_check_judges(dataset.samples, dataset.labels),
        *pairs.check(dataset.pairs, dataset.samples, dataset.splits.items()),
        *(found for name, folds in dataset.splits.items() for found in _check_folds(dataset, name, folds)),
    ]
    order: tuple[Severity, ...] = ("error", "warning", "note")
    findings.sort(key=lambda finding: order.index(finding.severity))
    by_task = {name: dataset.task(name) for name in dataset.tasks} or {dataset.name: dataset}
    tasks = tuple(_count(name, one, dataset.labels, files) for name, one in by_task.items())
    return HealthReport(dataset.name, tasks, tuple(findings))


def bars(counts: Sequence[int]) -> str:
    """Draw a histogram in one line of text.

    >>> bars([0, 1, 4, 8, 2])
    ' ▁▄█▂'
    """
    top = max(counts, default=0) or 1
    return "".join(" ▁▂▃▄▅▆▇█"[math.ceil(8 * count / top)] for count in counts)


def _count(task: str, own: Dataset, labels: LabelSpec, files: Mapping[Path, Recording]) -> TaskHealth:
    samples = own.samples
    scores = [s.score for s in samples if s.score is not None]
    used = [files[path] for s in samples for path in s.sources.values()]
    lengths = [recording.length for recording in used]
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
        damaged=len({r.path for r in used if r.reading.missing or r.reading.corrupt}),
        low=min(scores, default=None),
        mean=fmean(scores) if scores else None,
        high=max(scores, default=None),
        histogram=tuple(np.histogram(scores, BINS, (labels.scale.low, labels.scale.high))[0].tolist()),
        pairs=len(own.pairs),
    )


def _check_files(files: Mapping[Path, Recording]) -> Iterator[Finding]:
    missing = [str(r.path) for r in files.values() if r.problem == MISSING]
    broken = {str(r.path): r.problem for r in files.values() if r.problem not in ("", MISSING)}
    short = [str(r.path) for r in files.values() if r.length is not None and r.length < r.promised]
    yield from finding("error", "missing", "missing recordings", missing)
    yield from finding("error", "undecodable", "recordings that cannot be read", broken, broken.values())
    yield from finding("warning", "cut short", "recordings cut short, or with a wrong header", short)
    told = {str(r.path): f"{r.path} ({'; '.join(r.notes)})" for r in files.values() if r.notes}
    yield from finding("note", "joints", "skeletons of which something was assumed or filled in", told, told.values())
    yield from _check_frames(files)


def _check_frames(files: Mapping[Path, Recording]) -> Iterator[Finding]:
    read = {str(r.path): r.reading for r in files.values()}
    only = {name: replace(one, absent=0, gaps=0, uneven=0) for name, one in read.items()}
    partly = {name: f"{name} ({one.sentence()})" for name, one in only.items() if not one.ok}
    bad = {name: said for name, said in partly.items() if read[name].decoded < READABLE * read[name].requested}
    rest = {name: said for name, said in partly.items() if name not in bad}
    gaps = {name: f"{name} ({one.gaps} missing)" for name, one in read.items() if one.gaps}
    uneven = [name for name, one in read.items() if one.uneven]
    what = f"recordings with less than {READABLE:.0%} of their frames readable, which are refused"
    yield from finding("error", "frames", what, bad, bad.values())
    yield from finding("warning", "frames", "recordings with unreadable or damaged frames", rest, rest.values())
    what = "folders with gaps in the numbers of their pictures, which are not counted"
    yield from finding("warning", "frames", what, gaps, gaps.values())
    yield from finding("warning", "rate", f"windows count frames, but of their recording, {UNEVEN}", uneven)


def _check_duplicates(dataset: Dataset, files: Mapping[Path, Recording]) -> Iterator[Finding]:
    """Find samples with the same file content and window, and folds that have such copies on both sides."""
    digests = contents.digests(files.values())
    same: dict[object, set[str]] = defaultdict(set)
    for sample in dataset.samples:
        for path in sample.sources.values():
            same[digests.get(path, path), sample.window].add(sample.id)
    copies = {" = ".join(sorted(ids)): ids for ids in same.values() if len(ids) > 1}
    folds = [fold for folds in dataset.splits.values() for fold in folds]
    leaks = [name for name, ids in copies.items() if any(_both_sides(fold, ids) for fold in folds)]
    yield from finding("warning", "duplicates", "samples with the same recording", copies)
    yield from finding("error", "duplicates", "same recording in both the training and the test set", leaks)


def _both_sides(fold: Split, ids: Iterable[str]) -> bool:
    return not {*fold.train, *fold.validation}.isdisjoint(ids) and not set(fold.test).isdisjoint(ids)


def _check_windows(samples: Sequence[Sample], files: Mapping[Path, Recording]) -> Iterator[Finding]:
    outside = {}
    for sample in samples:
        lengths = [files[path].length for path in sample.sources.values()]
        shortest = min((length for length in lengths if length is not None), default=math.inf)
        first, last = sample.window or (0, 0)
        if not 0 <= first <= last < shortest:
            outside[sample.id] = f"{sample.id} (frames {first} to {last} of {shortest:g})"
    yield from finding("error", "windows", "windows outside their recording", outside, outside.values())


def _check_segments(samples: Sequence[Sample], files: Mapping[Path, Recording]) -> Iterator[Finding]:
    outside = {}
    for sample in samples:
        lengths = [files[path].length for kind, path in sample.sources.items() if kind != "features"]
        shortest = min((length for length in lengths if length is not None), default=math.inf)
        if sample.segments and not sample.segments[-1].last < shortest:
            name, first, last = sample.segments[-1]
            outside[sample.id] = f"{sample.id} ({name}, frames {first} to {last} of {shortest:g})"
    yield from finding("error", "segments", "named segments outside their recording", outside, outside.values())


def _check_labels(samples: Sequence[Sample], labels: LabelSpec) -> Iterator[Finding]:
    repeated = [name for name, count in Counter(s.id for s in samples).items() if count > 1]
    silent = [s.id for s in samples if not s.sources]
    only_labels = len(silent) == len(samples)
    unlabelled = [s.id for s in samples if s.score is None]
    low, high = labels.scale.low, labels.scale.high
    scores = {s.id: s.score for s in samples if s.score is not None}
    off = {name: f"{name} ({score:g})" for name, score in scores.items() if not low <= score <= high}
    values = {f"{score:g}" for score in scores.values()}
    yield from finding("warning", "scale", "all samples have the same score", values if len(values) == 1 else ())
    yield from finding("error", "ids", "duplicate ids", repeated)
    grave: Severity = "warning" if only_labels else "error"
    yield from finding(grave, "missing", "samples without any recording" + ", which is all" * only_labels, silent)
    yield from finding("error", "scale", f"scores outside the scale from {low:g} to {high:g}", off, off.values())
    yield from finding("note", "unlabelled", "samples without a score", unlabelled)


def _check_judges(samples: Sequence[Sample], labels: LabelSpec) -> Iterator[Finding]:
    odd = _odd_marks(samples, labels.judges)
    ruled = {s.id: (s.score, by_rule(s, labels.rule)) for s in samples}
    broken = {
        name: f"{name} ({score:g}, the rule gives {expected:g})"
        for name, (score, expected) in ruled.items()
        if score is not None and expected is not None and not abs(score - expected) <= TOLERANCE
    }
    what = f"scores that do not follow the rule {labels.rule}"
    yield from finding("warning", "judges", "marks far from the other marks of the same judge", odd, odd.values())
    yield from finding("warning", "rule", what, broken, broken.values())


def by_rule(sample: Sample, name: str | None) -> float | None:
    """Return the score that the named judges' rule gives; None if the rule cannot be applied."""
    if name is None or sample.judges is None or len(sample.judges) not in RULES[name].judges:
        return None
    if RULES[name].difficulty and sample.difficulty is None:
        return None
    return float(RULES[name].score(sample.judges, sample.difficulty))


def _check_release(dataset: Dataset) -> Iterator[Finding]:
    """Yield the known errors of a release, if its data set module has ``known_errors(samples, root)``."""
    if dataset.name in discovery.names("datasets"):
        known = getattr(discovery.find("datasets", dataset.name), "known_errors", None)
        for severity, what, subjects in known(dataset.samples, dataset.root) if known else ():
            yield from finding(severity, "release", what, subjects)


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
        seen = {*fold.train, *fold.validation}  # validation samples choose epoch and intervals
        overlap |= seen & set(fold.test)
        unknown |= {*seen, *fold.test} - set(known)
        sides = [{known[i].group for i in ids if i in known} for ids in (seen, fold.test)]
        straddling |= {group for group in sides[0] & sides[1] if group is not None}
    empty = [fold.name for fold in folds if not fold.train or not fold.test]
    none = () if folds else (protocol,)
    yield from finding("warning", "splits", "no folds, because fewer than two groups have scores", none)
    yield from finding("error", "splits", f"{protocol}: samples in both the training and the test set", overlap)
    yield from finding("error", "splits", f"{protocol}: ids of samples that do not exist", unknown)
    yield from finding("error", "splits", f"{protocol}: folds with an empty training or test set", empty)
    yield from finding("warning", "groups", f"{protocol}: groups in both the training and the test set", straddling)
