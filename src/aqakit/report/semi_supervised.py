"""Unlabelled videos in finished runs: loss terms during training, and maps of representations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from aqakit.evaluation.sweep import Sweep
from aqakit.report.data_sections import tsne
from aqakit.training import run_json
from aqakit.training.batches import BatchSource, has_score
from aqakit.training.data import PreparedData, prepare
from aqakit.training.recipe import Recipe
from aqakit.training.run import Run
from aqakit.types import Floats

VIDEOS = 400
"""Maximum number of training videos on a map: more would hide each other."""

_AT_ONCE = 32
_FEWEST = 5  # minimum number of points for a map


@dataclass(frozen=True)
class LossTerm:
    """A loss term of unlabelled videos, multiplied by its weight in training.

    Attributes:
        method: its name in tables.
        labels: the share of labels.
        name: of the term.
        values: (runs, epochs) mean over the batches of an epoch; NaN if the term is missing.
    """

    method: str
    labels: str
    name: str
    values: Floats


@dataclass(frozen=True)
class RepresentationMap:
    """Training videos of one run, mapped by t-SNE of their representations.

    Attributes:
        title: what was trained.
        labels: the share of labels.
        position: (n, 2); the axes have no meaning.
        score: (n,) true scores, also of unlabelled videos; NaN if unknown.
        kind: (n,) ``labelled``, ``unlabelled``, or the view of an unlabelled video, such as ``masked``.
        unit: of the scores.
    """

    title: str
    labels: str
    position: Floats
    score: Floats
    kind: Sequence[str]
    unit: str


@dataclass(frozen=True)
class Traces:
    """Data for the figures of a sweep that comes from its runs."""

    terms: Sequence[LossTerm]
    maps: Sequence[RepresentationMap]


def traces(found: Sweep, cache: Path | str | None = None) -> Traces:
    """Collect the loss terms of all shares, and the representations of the first share with unlabelled videos.

    Args:
        found: a sweep whose run folders still exist.
        cache: folder of the feature cache.
    """
    inspector = _RunInspector(cache)
    terms = [term for share, runs in zip(found.shares, found.runs) for term in inspector.terms(share, runs)]
    for share, firsts in zip(found.shares, found.first_runs):
        maps = [one for title, folder in firsts.items() if (one := inspector.map(title, share, folder))]
        if maps:
            return Traces(terms, maps)
    return Traces(terms, [])


class _RunInspector:
    """Reads runs; the features of a task are read only once.

    Args:
        cache: folder of the feature cache.
    """

    def __init__(self, cache: Path | str | None) -> None:
        self.cache = Path(cache) if cache else None
        self._known: dict[tuple[str | None, int], PreparedData] = {}

    def terms(self, labels: str, runs: Mapping[tuple[str, str], Sequence[Path]]) -> Iterator[LossTerm]:
        """Yield, for each method on the first task, the loss terms that labelled videos alone do not have.

        Args:
            labels: the share of labels.
            runs: run folders by (task, method).
        """
        first = next(iter(runs), ("", ""))[0]
        for method, folders in ((m, f) for (task, m), f in runs.items() if task == first):
            histories = [run_json.read(folder)["losses"] for folder in folders]
            names = dict.fromkeys(name for history in histories for epoch in history for name in epoch)
            known = self._labelled_terms(Run.load(folders[0])) if names else set()
            for name in (one for one in names if one not in known):
                values = [[epoch.get(name, np.nan) for epoch in history] for history in histories]
                yield LossTerm(method, labels, name, np.array(values, dtype=float))

    def map(self, title: str, labels: str, folder: Path) -> RepresentationMap | None:
        """Map the training videos of a run; None without unlabelled videos, or if its method has no views."""
        run = Run.load(folder)
        train = self._train(run)
        known = has_score(train)
        index = torch.linspace(0, len(train) - 1, min(len(train), VIDEOS)).long()
        views = {} if bool(known.all()) else _views(run, train, index)
        if not views or len(index) < _FEWEST:
            return None
        whole = views.pop("whole")
        hidden = ~known[index]
        parts = [whole, *(view[hidden] for view in views.values())]
        kinds = [["unlabelled" if one else "labelled" for one in hidden.tolist()]]
        kinds += [[name] * int(hidden.sum()) for name in views]
        score = self._scores(run, [train.samples[i].id for i in index.tolist()])
        return RepresentationMap(
            title,
            labels,
            tsne(torch.cat(parts), init="pca"),
            np.concatenate([score, *(score[hidden.numpy()] for _ in views)]),
            [kind for own in kinds for kind in own],
            run.labels.scale.unit,
        )

    def _labelled_terms(self, run: Run) -> set[str]:
        train = self._train(run)
        known = has_score(train).nonzero().squeeze(1)
        return set(run.assessor.losses(train.batch(known[:2])))

    def _train(self, run: Run) -> BatchSource:
        prepared = self._prepared(run.recipe).with_labels(run.labels)
        return prepared.training_set(prepared.split(run.recipe))

    def _scores(self, run: Run, ids: Sequence[str]) -> Floats:
        truth = {s.id: s.score for s in self._prepared(run.recipe).source.samples}
        return np.array([np.nan if (score := truth[one]) is None else score for one in ids], dtype=float)

    def _prepared(self, recipe: Recipe) -> PreparedData:
        read = recipe.task, recipe.windows
        if read not in self._known:
            self._known[read] = prepare(recipe, self.cache)
        return self._known[read]


@torch.inference_mode()
def _views(run: Run, train: BatchSource, index: Tensor) -> dict[str, Tensor]:
    """Representations (n, D) by view; empty if the method has none. Masks are drawn with a fixed seed."""
    assessor = run.assessor
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        found = [assessor.represent(train.batch(chunk).unlabelled()) for chunk in index.split(_AT_ONCE)]
    return {name: torch.cat([views[name] for views in found]) for name in found[0]}
