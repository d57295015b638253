"""Is a data set what it should be? Everything that can be seen without training, found in one pass.

A check never stops at an error: each kind of fault becomes one :class:`Finding` that names its samples or files.
"""

from __future__ import annotations

import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from aqakit import signals, video
from aqakit.datasets import Dataset
from aqakit.errors import AqakitError
from aqakit.features import content_hash
from aqakit.progress import track
from aqakit.rules import RULES
from aqakit.types import LabelSpec, Sample, Split

Severity = Literal["error", "warning", "note"]

TOLERANCE = 0.011
"""By how much a score may differ from its judges' rule: scores are published with two decimals."""

FAR = 5.0
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
        length: shortest and longest readable recording, in frames (rows of a signal); None if none is readable.
        histogram: (BINS,) scores in equal parts of the scale; what lies off the scale is not in it.
        scores: lowest, mean and highest; None where nothing is labelled.
    """

    task: str
    samples: int
    labelled: int
    groups: int
    recordings: Mapping[str, int]
    length: tuple[int, int] | None
    histogram: tuple[int, ...]
    scores: tuple[float, float, float] | None

    def row(self) -> dict[str, Any]:
        """The same as cells of a table."""
        low, mean, high = self.scores or (None, None, None)
        shortest, longest = self.length or (None, None)
        return {
            "task": self.task,
            "samples": self.samples,
            "labelled": self.labelled,
            "groups": self.groups,
            **self.recordings,
            "shortest": shortest,
            "longest": longest,
            "low": low,
            "mean": mean,
            "high": high,
            "scores": bars(self.histogram),
        }


@dataclass(frozen=True)
class HealthReport:
    """What :func:`check` saw: counts per task, and findings from grave to harmless."""

    name: str
    tasks: tuple[TaskHealth, ...]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no error among the findings."""
        return all(finding.severity != "error" for finding in self.findings)

    def rows(self) -> list[dict[str, Any]]:
        """One row per task."""
        return [task.row() for task in self.tasks]

    def about(self, check: str) -> list[Finding]:
        """The findings of one check."""
        return [finding for finding in self.findings if finding.check == check]


@dataclass(frozen=True)
class _Recording:
    kind: str
    path: Path
    length: int | None = None
    promised: int = 0
    digest: str = ""
    problem: str = ""


def check(dataset: Dataset) -> HealthReport:
    """Open every recording once, and compare labels and splits with what they should be."""
    recordings = _inspect_all(dataset.samples)
    findings = [
        *_check_recordings(recordings),
        *_check_duplicates(dataset, recordings),
        *_check_windows(dataset.samples, recordings),
        *_check_labels(dataset.samples, dataset.labels),
        *_check_marks(dataset.samples, dataset.labels),
        *(finding for name, folds in dataset.splits.items() for finding in _check_split(dataset, name, folds)),
    ]
    order = ("error", "warning", "note")
    findings.sort(key=lambda finding: order.index(finding.severity))
    tasks = tuple(_count(dataset, task, recordings) for task in dataset.tasks or [None])
    return HealthReport(dataset.name, tasks, tuple(findings))


def bars(counts: Sequence[int]) -> str:
    """A histogram in one line of text.

    >>> bars([0, 1, 4, 8, 2])
    ' ▁▄█▂'
    """
    top = max(counts, default=0) or 1
    return "".join(" ▁▂▃▄▅▆▇█"[math.ceil(8 * count / top)] for count in counts)


def _inspect_all(samples: Sequence[Sample]) -> dict[Path, _Recording]:
    """Every file once, however many samples it holds; FFmpeg lets go of the interpreter, so threads help."""
    files = list({path: kind for sample in samples for kind, path in sample.sources.items()}.items())
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        found = pool.map(_inspect, files)
        return {path: recording for (path, _), recording in zip(track(files, "checking"), found, strict=True)}


def _inspect(file: tuple[Path, str]) -> _Recording:
    path, kind = file
    try:
        if not path.exists():
            return _Recording(kind, path, problem="missing")
        length, promised = _measure(kind, path)
        return _Recording(kind, path, length, promised, content_hash(path))
    except (AqakitError, OSError) as error:
        return _Recording(kind, path, problem=str(error))


def _measure(kind: str, path: Path) -> tuple[int, int]:
    """How many frames there are, and how many the file promises."""
    if kind == "video":
        info = video.probe(path)
        return info.frames, info.promised
    length = len(signals.kinematics(path) if kind == "signal" else signals.skeleton(path))
    return length, length


def _check_recordings(recordings: Mapping[Path, _Recording]) -> Iterator[Finding]:
    missing = [str(r.path) for r in recordings.values() if r.problem == "missing"]
    broken = {str(r.path): r.problem for r in recordings.values() if r.problem not in ("", "missing")}
    short = [str(r.path) for r in recordings.values() if r.length is not None and r.length < r.promised]
    if missing:
        yield _finding("error", "missing", f"{_some(missing, 'recording')} missing", missing)
    for path, problem in broken.items():
        ...
