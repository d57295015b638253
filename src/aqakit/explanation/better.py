"""The better recordings that a run was trained on: what they measure, and how far they differ among each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from aqakit.backbones.parts.named import Measure, Named
from aqakit.errors import RunError
from aqakit.explanation import sentences
from aqakit.explanation.contributions import Attribution, Coalitions, shapley
from aqakit.methods.parts.declared import Usual, design
from aqakit.training.run import Run
from aqakit.types import Batch, Floats, Stream

NEAREST = 10
"""Recordings of the better third that a recording is compared with, if nothing is declared of it."""

FEWEST = 8
"""Recordings of the better third below which nothing is said."""

BEST = 0.1
"""Share of the training recordings, the best ones, that show what is noise; they have the fewest faults."""

QUIET = 0.9
"""Share of the best of which nothing is said."""

LEAST = 0.05
"""Cost below which nothing is said, in standard deviations of the training scores."""

_FOR_NOISE = 512  # coalitions for each of the better recordings, and the most of these
_RECORDINGS_FOR_NOISE = 100
_NUMBERS_AT_ONCE = 2**23  # of measures, of the coalitions predicted together


def named(run: Run) -> dict[str, Named]:
    """Return the backbones of a run that have named measures, by stream."""
    return {name: one for name, one in run.backbones.items() if isinstance(one, Named) and not run.recipe.windows}


class Better:
    """The better third of a run's training recordings.

    Where kinds or steps are declared, a recording is compared with all of them, as if they were of its kind: what is
    usual for their own kind is taken off their measures, and what is usual for that of the recording is added. Else it
    is compared with the few that are most like it.

    Attributes:
        groups: names of the n players.
        players: of each stream, the player (D,) that each measure belongs to.
        vectors: of each stream, the measures (m, D) of the better third, the best first; what is usual for their kind
            is taken off.
        noise: (n,) costs that are within the noise; infinite until :meth:`compare` has found them.
    """

    def __init__(self, run: Run, measures: Mapping[str, Sequence[Measure]]) -> None:
        summary = run.training_summary
        if missing := [name for name in measures if name not in summary.mean_features]:
            raise RunError(f"{run.folder}: nothing is known of the training recordings' {missing[0]}; train it again")
        self.predict, self.labels = run.assessor.predict_embedded, run.labels
        of_all = {name: [group(measure) for measure in listed] for name, listed in measures.items()}
        self.groups = sorted(set(chain.from_iterable(of_all.values())))
        self.players = {name: torch.tensor([self.groups.index(g) for g in listed]) for name, listed in of_all.items()}
        score = summary.score
        if run.recipe.target == "total" and summary.difficulty is not None:
            score = score / summary.difficulty
        self.least = LEAST * float(summary.score.std(correction=0))
        known = {name: summary.mean_features[name] for name in measures}
        self.usual: dict[str, Usual] = {}
        if summary.declared.shape[1]:
            self.usual = {name: Usual.of(summary.declared, vectors) for name, vectors in known.items()}
            known = {name: (v - self.usual[name](summary.declared)).float() for name, v in known.items()}
            score = score - Usual.of(summary.declared, score[:, None])(summary.declared)[:, 0]
        order = score.argsort(descending=True, stable=True)
        self.vectors = {name: vectors[order[: math.ceil(len(order) / 3)]] for name, vectors in known.items()}
        self._best = max(FEWEST, math.ceil(BEST * len(order)))
        self.spread = {name: vectors.std(0, correction=0) for name, vectors in known.items()}
        self.noise = np.full(len(self.groups), np.inf)

    @classmethod
    def of(cls, run: Run, video: Batch, *, seed: int = 0) -> Better:
        """Find the better third and the noise, for videos with the difficulty and the other streams of this one."""
        made = cls(run, {name: backbone.measures for name, backbone in named(run).items()})
        if len(made) >= FEWEST:
            made.compare(video, seed)
        return made

    def __len__(self) -> int:
        return len(next(iter(self.vectors.values())))

    def like(self, video: Batch, without: int | None = None) -> dict[str, Tensor]:
        """Measures (k, D) of the better recordings that a video is compared with, for each stream, but for one."""
        vectors = self._all(video)
        squares = torch.zeros(len(self))
        for name, of_better in vectors.items() if not self.usual else ():
            usable = self.spread[name] > 1e-8 * of_better.abs().amax(0).clamp_min(1e-8)
            away = (of_better - mean_of(video.streams[name])) / self.spread[name]
            squares += away[:, usable].square().mean(1)
        if without is not None:
            squares[without] = torch.inf
        near = squares.argsort(stable=True)[: len(self) - (without is not None)]
        return {name: of_better[near if self.usual else near[:NEAREST]] for name, of_better in vectors.items()}

    def _all(self, video: Batch) -> dict[str, Tensor]:
        """Measures (m, D) of all of the better third, as if they were of the kind of a video."""
        if not self.usual:
            return self.vectors
        declared = design(video, self.labels)
        return {name: vectors + self.usual[name](declared).float() for name, vectors in self.vectors.items()}

    def attribute(self, video: Batch, usual: Mapping[str, Tensor], evaluations: int, seed: int) -> Attribution:
        """Shapley values of the groups of a video, against the measures of others."""
        size = max(1, _NUMBERS_AT_ONCE // sum(video.streams[name].features.numel() for name in self.players))

        def worth(coalitions: Coalitions) -> Floats:
            joined = torch.from_numpy(coalitions)
            parts = [{n: part[:, player] for n, player in self.players.items()} for part in joined.split(size)]
            return np.concatenate([self.worth(video, usual, part) for part in parts])

        return shapley(worth, len(self.groups), evaluations=evaluations, seed=seed)

    def worth(self, video: Batch, usual: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Floats:
        """Predicted scores (m,) of a video where only some measures, (m, D) bool of each stream, are its own."""
        rows = video.select(torch.zeros(len(next(iter(own.values()))), dtype=torch.int64))
        streams = dict(rows.streams)
        for name, kept in own.items():
            stream = streams[name]
            streams[name] = Stream(torch.where(kept[:, None], stream.features, usual[name]), stream.clips)
        return np.asarray(self.predict(rows.replace(streams=streams)).mean.double().numpy())

    def compare(self, video: Batch, seed: int) -> None:
        """Explain the best recordings as the video is explained, as if of its kind, and find what cost is noise."""
        taken = torch.linspace(0, self._best - 1, min(self._best, _RECORDINGS_FOR_NOISE)).long().unique()
        vectors, rows = self._all(video), []
        for one in taken.tolist():
            streams = dict(video.streams)
            for name, of_better in vectors.items():
                stream = streams[name]
                streams[name] = Stream(of_better[one].expand_as(stream.features), stream.clips)
            other = video.replace(streams=streams)
            usual = {name: near.mean(0) for name, near in self.like(other, without=one).items()}
            rows.append(self.attribute(other, usual, _FOR_NOISE, seed).values)
        self.noise = np.maximum(limits(np.stack(rows)), self.least)


def limits(values: Floats) -> Floats:
    """(n,) costs that are within noise, from the values (r, n) of r of the best recordings.

    A limit is a multiple of the root mean square of a group's values and of those of all groups together, such that in
    a share :data:`QUIET` of the recordings nothing is beyond it.

    >>> limits(np.array([[-1.0, 0], [-1, 0], [-1, 0], [-1, 0], [1, 0], [1, 0]])).round(3).tolist()
    [1.0, 0.577]
    """
    squares = np.square(values).mean(0)
    spread = np.sqrt(squares + squares.mean())
    costs = np.divide(-values, spread, out=np.zeros_like(values), where=spread > 0)
    return np.asarray(spread * np.quantile(costs.max(1), QUIET))


def group(measure: Measure) -> str:
    """Name of the group of a measure, the same for both sides.

    >>> group(Measure("left knee angle, lowest", "degrees", "left knee angle", "straighter"))
    'knee angle'
    """
    first, _, rest = measure.group.partition(" ")
    return rest if rest and first in sentences.SIDES else measure.group


def mean_of(stream: Stream) -> Tensor:
    """Mean (D,) of the clips of one video (1, N, D)."""
    return stream.features[0, stream.clips[0]].mean(0)
