"""Pairs in training: the scores that they give where there are none, how sure they are, and the rows of a step.

Where no training sample has a score, each gets one from the pairs: the percentage of comparisons with the others that
it should win, by the model of :mod:`aqakit.scores.paired_comparison`. A model sees only scores that come from pairs of
two samples that it is trained on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import log_ndtr
from torch import Tensor

from aqakit.datasets.parts.pairs import SCALE, Pair, among
from aqakit.errors import OptionError
from aqakit.scores import paired_comparison
from aqakit.system.wording import option
from aqakit.types import Batch, LabelSpec, Sample

_SHARPEST, _DULLEST = 1 / 4, 50.0
"""Least and largest noise, in standard deviations of the scores."""


@dataclass(frozen=True)
class PairRows:
    """The P pairs that a model is trained on.

    Attributes:
        rows: (P, 2) int64, the better and the worse sample among those that the model is trained on.
        weight: (P,) of each pair: its own, divided by their mean, times that of the loss.
        noise: standard deviation of a judge's comparison, in units of the score.
    """

    rows: Tensor
    weight: Tensor
    noise: float

    @classmethod
    def of(cls, pairs: Sequence[Pair], samples: Sequence[Sample], loss_weight: float = 1.0) -> PairRows | None:
        """Find the samples of pairs among those of a source, which must hold all of them; None without pairs."""
        if not pairs:
            return None
        where = {s.id: row for row, s in enumerate(samples)}
        rows = torch.tensor([[where[p.better], where[p.worse]] for p in pairs])
        weight = torch.tensor([p.weight for p in pairs])
        score = {s.id: s.score for s in samples if s.score is not None}
        return cls(rows, loss_weight * weight / weight.mean(), noise_of(pairs, score))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def videos(self) -> Tensor:
        """Rows (2 P,) of their samples: the better ones, then the worse ones."""
        return self.rows.T.flatten()

    def select(self, index: Tensor | slice) -> PairRows:
        """Select some of the pairs."""
        return PairRows(self.rows[index], self.weight[index], self.noise)


@dataclass(frozen=True)
class PairBatch:
    """P pairs in a step, of one model or of several, those of the first one first.

    Attributes:
        videos: 2 P videos, with or without scores: of each model, the better one of each pair, then the worse ones.
        weight: (P,) of each pair.
        noise: (P,) standard deviation of a judge's comparison, in units of the score.
    """

    videos: Batch
    weight: Tensor
    noise: Tensor

    @classmethod
    def of(cls, videos: Batch, chosen: Sequence[PairRows]) -> PairBatch:
        """Bring the videos of the chosen pairs of each model together with their weights."""
        weight = torch.cat([pairs.weight for pairs in chosen])
        noise = torch.cat([torch.full_like(pairs.weight, pairs.noise) for pairs in chosen])
        return cls(videos, *(value.to(videos.score.device) for value in (weight, noise)))

    def times(self, factor: float) -> PairBatch:
        """Return the same pairs with other weights."""
        return replace(self, weight=factor * self.weight)


def ratings(pairs: Sequence[Pair]) -> dict[str, float]:
    """Return the score of each sample that was compared: the percentage of comparisons that it should win."""
    names = sorted(compared(pairs))
    number = {name: k for k, name in enumerate(names)}
    better, worse = [number[p.better] for p in pairs], [number[p.worse] for p in pairs]
    scale = paired_comparison.fit(len(names), better, worse, [p.weight for p in pairs])
    shares = SCALE.low + SCALE.span * scale.shares()[0]
    return dict(zip(names, shares.tolist(), strict=True))


def scores_of(samples: Iterable[Sample], pairs: Iterable[Pair], labels: str | None = None) -> dict[str, float]:
    """Return the scores that pairs give samples of which none has one; empty if one has, or if there are no pairs.

    Raises:
        OptionError: some scores should be kept (``labels``), and there are none.
    """
    known = list(samples)
    own = among(pairs, [s.id for s in known])
    if not own or any(s.score is not None for s in known):
        return {}
    if labels is not None:
        raise OptionError(f"labels {labels} keeps some scores, and there are only pairs; leave out {option('labels')}")
    return ratings(own)


def rated_labels(labels: LabelSpec) -> LabelSpec:
    """The label description of samples whose scores come from pairs: percentages, whatever the scores would be."""
    return replace(labels, scale=SCALE, total=None, judges=0, marks=None, rule=None)


def notes(learnt: Sequence[Pair], pairs: Sequence[Pair], *, alone: bool) -> list[str]:
    """What a reader must know of the pairs of a run: those that were learnt from, of all pairs."""
    if not pairs:
        return []
    found = [f"pairs: of {len(pairs)}, {len(learnt)} are of two training samples and were learnt from"]
    if alone:
        found.append(
            "no training sample has a score: scores are the percentage of comparisons with the training samples that a "
            "recording should win, and held-out samples are judged by the scale of all training pairs"
        )
        if (count := components(learnt)) > 1:
            found.append(f"no comparison links {count} components of the training samples; their means count as equal")
    return found


def components(pairs: Sequence[Pair]) -> int:
    """How many parts there are that no comparison links."""
    number = {name: k for k, name in enumerate(sorted(compared(pairs)))}
    ends = ([number[p.better] for p in pairs], [number[p.worse] for p in pairs])
    links = coo_array((np.ones(len(pairs)), ends), shape=(len(number), len(number)))
    return int(connected_components(links, directed=False)[0])


def compared(pairs: Sequence[Pair]) -> set[str]:
    """Ids of the samples of pairs."""
    return {name for pair in pairs for name in (pair.better, pair.worse)}


def noise_of(pairs: Sequence[Pair], score: Mapping[str, float]) -> float:
    """Return the standard deviation of a comparison under which the pairs are likeliest, in units of the score.

    With differences d of two scores, it is the τ that maximises Σ weight log Φ(d / τ), from 1/4 to 50 standard
    deviations of the scores. Without pairs of two known scores, it is half a standard deviation.
    """
    spread = float(np.std(list(score.values()))) if score else 0.0
    spread = spread or 1.0
    known = [p for p in pairs if p.better in score and p.worse in score]
    if not known:
        return spread / 2
    apart = np.array([score[p.better] - score[p.worse] for p in known]) / spread
    weight = np.array([p.weight for p in known])
    found = minimize_scalar(
        lambda log: -float(weight @ log_ndtr(apart / math.exp(log))),
        bounds=(math.log(_SHARPEST), math.log(_DULLEST)),
        method="bounded",
    )
    return spread * math.exp(found.x)
