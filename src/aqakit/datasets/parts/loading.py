"""Load a data set by name: samples, label description and splits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aqakit import discovery
from aqakit.datasets.parts.pairs import Pair, among
from aqakit.errors import DataError, OptionError
from aqakit.system import configuration
from aqakit.system.files import user_path
from aqakit.system.wording import option
from aqakit.types import LabelSpec, Sample, Split


@dataclass(frozen=True)
class Dataset:
    """A loaded data set: its samples, the description of their labels, and its splits.

    ``root`` and ``options`` are the arguments of :func:`load`, so that a run can load the data set again. ``labels``
    describes all samples, test samples too: it is for checks and tables. What is trained gets :meth:`labels_of` its
    training samples. ``pairs`` say which of two samples was better.
    """

    name: str
    root: Path | None
    options: Mapping[str, Any]
    samples: tuple[Sample, ...]
    labels: LabelSpec
    splits: Mapping[str, tuple[Split, ...]]
    pairs: tuple[Pair, ...] = ()

    @property
    def tasks(self) -> list[str]:
        """The actions, in order of appearance; one model is trained per action."""
        return list(dict.fromkeys(s.action for s in self.samples if s.action is not None))

    def task(self, action: str) -> Dataset:
        """Return the data set restricted to the samples, folds and labels of one action."""
        if not self.tasks:
            raise OptionError(f"{self.name} has one task, which has no name; omit {option('task')}")
        if action not in self.tasks:
            raise OptionError(f"{self.name} has no task {action!r}{discovery.nearest(action, self.tasks)}")
        samples = tuple(s for s in self.samples if s.action == action)
        kept = {s.id for s in samples}
        narrowed = {name: tuple(_within(split, kept) for split in folds) for name, folds in self.splits.items()}
        splits = {name: tuple(f for f in folds if f.train) for name, folds in narrowed.items()}
        kept_splits = {n: folds for n, folds in splits.items() if folds}
        labels = _labels(self.name, samples, self.options)
        return replace(self, samples=samples, labels=labels, splits=kept_splits, pairs=among(self.pairs, kept))

    def labels_of(self, samples: Sequence[Sample]) -> LabelSpec:
        """Return the label description that some samples give; what only others have is unknown to it."""
        return _labels(self.name, samples, self.options)

    def folds(self, protocol: str | None = None) -> tuple[Split, ...]:
        """Return the folds of a protocol; by default, of the data set's first protocol."""
        name = protocol or next(iter(self.splits), None)
        if name is None:
            raise DataError(f"{self.name} cannot be split: no fold has training samples")
        if name not in self.splits:
            raise OptionError(f"{self.name} has no protocol {name!r}{discovery.nearest(name, self.splits)}")
        if not self.splits[name]:
            raise DataError(f"{self.name} cannot be split as {name}: it has too few scored samples or groups")
        return self.splits[name]


def _within(split: Split, kept: set[str]) -> Split:
    train, test, validation = (tuple(i for i in p if i in kept) for p in (split.train, split.test, split.validation))
    return Split(split.name, train, test, validation)


def load(name: str, root: Path | str | None = None, **options: Any) -> Dataset:
    """Load a data set by name.

    Raises:
        OptionError: there is no data set or option of that name.
        DataError: its files cannot be used; the message says which file, where it is and what to do.
    """
    module = discovery.find("datasets", name)
    folder = user_path(root) if root is not None else None
    checked = configuration.configure(f"data set {name}", module.samples, options)
    samples = tuple(module.samples(folder, **checked))
    folds_of = module.splits(samples, folder, **_accepted(module.splits, checked))
    splits = {key: tuple(folds) for key, folds in folds_of.items()}
    pairs = tuple(module.pairs(samples, folder)) if hasattr(module, "pairs") else ()
    return Dataset(name, folder, checked, samples, _labels(name, samples, checked), splits, pairs)


def _labels(name: str, samples: Sequence[Sample], options: Mapping[str, Any]) -> LabelSpec:
    """Return the label description of some samples, using the options that ``labels`` accepts."""
    labels = discovery.find("datasets", name).labels
    spec: LabelSpec = labels(samples, **_accepted(labels, options))
    return spec


def _accepted(function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    return {option.name: options[option.name] for option in configuration.options(function)}
