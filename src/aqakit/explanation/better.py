"""The better recordings that a run was trained on: what they measure, and how far they differ among each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aqakit.backbones.parts.named import Measure, Named
from aqakit.errors import RunError
from aqakit.explanation import sentences
from aqakit.explanation.contributions import Attribution, Coalitions, shapley
from aqakit.training.run import Run
from aqakit.types import Batch, Floats, Stream

NEAREST = 10
"""Recordings of the better third that a recording is compared with."""

FEWEST = 8
"""Recordings of the better third below which nothing is said."""

QUIET = 0.8
"""Share of the better third of which nothing is said; they have faults too."""

LEAST = 0.05
"""Cost below which nothing is said, in standard deviations of the training scores."""

_ALIKE, _ALL = 20, 5
"""Recordings that the spread at a recording is taken of, and how many of them that of all counts as."""

_FOR_NOISE = 512  # coalitions for each of the better recordings, and the most of these
_RECORDINGS_FOR_NOISE = 150
_NUMBERS_AT_ONCE = 2**23  # of measures, of the coalitions predicted together


def named(run: Run) -> dict[str, Named]:
    """Return the backbones of a run that have named measures, by stream."""
    return {name: one for name, one in run.backbones.items() if isinstance(one, Named) and not run.recipe.windows}


class Better:
    """The better third of a run's training recordings.

    Attributes:
        groups: names of the n players.
        players: of each stream, the player (D,) that each measure belongs to.
        vectors: of each stream, the measures (m, D) of the better third, averaged over windows.
        values: (r, n) values of the groups for r of the better third themselves; empty if these are too few.
        multiple: of the spread of such values, up to which a cost is noise.
    """

    def __init__(self, run: Run, measures: Mapping[str, Sequence[Measure]]) -> None:
        summary = run.training_summary
        if missing := [name for name in measures if name not in summary.mean_features]:
            raise RunError(f"{run.folder}: nothing is known of the training recordings' {missing[0]}; train it again")
        self.predict = run.assessor.predict_embedded
        of_all = {name: [group(measure) for measure in listed] for name, listed in measures.items()}
        self.groups = sorted(set(chain.from_iterable(of_all.values())))
        self.players = {name: torch.tensor([self.groups.index(g) for g in listed]) for name, listed in of_all.items()}
        score = summary.score
        if run.recipe.target == "total" and summary.difficulty is not None:
            score = score / summary.difficulty
        best = score >= score.nanquantile(2 / 3)
        self.least = LEAST * float(summary.score.std(correction=0))
        known = {name: summary.mean_features[name] for name in measures}
        self.vectors = {name: vectors[best] for name, vectors in known.items()}
        self.spread = {name: vectors.std(0, correction=0) for name, vectors in known.items()}
        self.values, self.multiple = np.zeros((0, len(self.groups))), np.inf

    @classmethod
    def of(cls, run: Run, video: Batch, *, seed: int = 0) -> Better:
        """Find the better third and the noise, for videos with the difficulty and the other streams of this one."""
        made = cls(run, {name: backbone.measures for name, backbone in named(run).items()})
        if len(made) >= FEWEST:
            made.compare(video, seed)
        return made

    def __len__(self) -> int:
        return len(next(iter(self.vectors.values())))

    def nearest(self, video: Batch, without: int | None = None) -> Tensor:
        """Indices of the better recordings whose measures are most like those of a video, but for one."""
        squares = self.distances(video)
        if without is not None:
            squares[without] = torch.inf
        return squares.argsort(stable=True)[: min(NEAREST, len(self) - (without is not None))]

    def distances(self, video: Batch) -> Tensor:
        """(m,) mean squared differences of the better recordings' measures from a video's, in training spreads."""
        squares = torch.zeros(len(self))
        for name, vectors in self.vectors.items():
            usable = self.spread[name] > 1e-8 * vectors.abs().amax(0).clamp_min(1e-8)
            away = (vectors - mean_of(video.streams[name])) / self.spread[name]
            squares += away[:, usable].square().mean(1)
        return squares

    def mean(self, near: Tensor) -> dict[str, Tensor]:
        """Mean measures (D,) of some of the better recordings, for each stream."""
        return {name: vectors[near].mean(0) for name, vectors in self.vectors.items()}

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
        """Compare the better third with each other, and find from which multiple of the spread a cost is no noise."""
        self.taken = torch.linspace(0, len(self) - 1, min(len(self), _RECORDINGS_FOR_NOISE)).long()
        rows, others = [], []
        for one in self.taken.tolist():
            streams = dict(video.streams)
            for name, vectors in self.vectors.items():
                stream = streams[name]
                streams[name] = Stream(vectors[one].expand_as(stream.features), stream.clips)
            others.append(video.replace(streams=streams))
            usual = self.mean(self.nearest(others[-1], without=one))
            rows.append(self.attribute(others[-1], usual, _FOR_NOISE, seed).values)
        self.values = np.stack(rows)
        away = [self._away(other) for other in others]
        spreads = [spread(self.values, np.delete(one.argsort(), 0)) for one in away]
        self.multiple = multiple(self.values, np.stack(spreads))

    def limits(self, video: Batch) -> Floats:
        """(n,) costs of the groups of a video that are within noise, or hardly a cost."""
        if not len(self.values):
            return np.full(len(self.groups), np.inf)
        return np.maximum(self.multiple * spread(self.values, self._away(video).argsort()), self.least)

    def _away(self, video: Batch) -> Floats:
        return self.distances(video)[self.taken].double().numpy()


def spread(values: Floats, order: NDArray[np.int64]) -> Floats:
    """(n,) root mean square of values (r, n) of r recordings, most of it of those that come first in an order."""
    first = order[:_ALIKE]
    alike, everywhere = np.square(values[first]).mean(0), values.var(0)
    return np.asarray(np.sqrt((len(first) * alike + _ALL * everywhere) / (len(first) + _ALL)))


def multiple(values: Floats, spreads: Floats) -> float:
    """Return the multiple of the spreads (r, n) that no cost exceeds in a share :data:`QUIET` of r good recordings.

    >>> multiple(np.array([[-1.0, 0], [-2, 0], [-3, 0], [-4, 0], [-5, 0], [6, 0]]), np.ones((6, 2)))
    4.0
    """
    costs = np.divide(-values, spreads, out=np.zeros_like(values), where=spreads > 0)
    return float(np.quantile(costs.max(1), QUIET))


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
