"""Is a recording like those that a run has learnt from? A conformal test on features; scores play no part.

Each stream of a video becomes one vector: its mean, first and last clip. The distance of a vector to a set of videos is
the Mahalanobis distance with the correlation matrix of their vectors, shrunk by :data:`SHRINKAGE` towards the identity
(Ledoit & Wolf 2004), and divided by the square root of the number of channels.

The training videos are divided into parts, and the distance of each one is taken to all videos of the other parts. A
new video is compared with each of them on the same terms: by its distance to the same videos (cross-conformal
prediction, Vovk 2015). The p-value is (1 + number of training videos at least as far away as the new one) / (n + 1). If
new videos are exchangeable with the training videos, a share of about p has a p-value of at most p. If whole groups are
left out, such as athletes, groups must be exchangeable: with few of them, the share varies from run to run.

A backbone that is trained in the run has seen the training videos, so that their features are no measure for those of
others: distances of validation videos take their place (split conformal prediction). As it may also map what it has
never seen to features that it has, there is a second test, of what its pixels look like
(:mod:`aqakit.features.appearance`), which training does not change; there, groups are always left out as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from aqakit.methods.parts.pooling import standardised

SHRINKAGE = 0.2
UNFAMILIAR = 0.05
"""About this share of new videos of the same kind is taken for unlike the training videos."""

_FEWEST = 10  # with fewer levels of p than this, distances decide
_FAR = 3.0  # then this many times the median distance of training videos counts as unlike
_MOST = 50  # more parts than this are joined
_JOINED = 10


class Familiarity:
    """The training videos of one stream, and how far videos that they were not fitted on are from them.

    Args:
        known: (n, D) vectors of the training videos, n > 2.
        group: (n,) groups; videos of a group are not compared with each other. None if each is for itself.
        held: (m, D) vectors of videos that the backbone was not trained on, if it was trained in the run: their
            distances stand in for those of training videos, which training has drawn together (split conformal).
    """

    def __init__(self, known: Tensor, group: Sequence[str] | None = None, held: Tensor | None = None) -> None:
        known = known.double()
        if held is None:
            part = _parts(list(range(len(known))) if group is None else group)
            pairs = [(known[part != k], known[part == k]) for k in part.unique()]
        else:
            pairs = [(known, held.double())]
        self.compared = [(others, distance(others, own)) for others, own in pairs]
        self.own = torch.cat([own for _, own in self.compared])

    def p_values(self, videos: Tensor) -> tuple[Tensor, Tensor]:
        """Return the p-value (B,) of vectors (B, D), and their distance relative to the median of known ones (B,)."""
        reached = torch.zeros(len(videos))
        apart = []
        for others, own in self.compared:
            far = distance(others, videos.double())
            apart.append(far)
            reached += (own[:, None] >= far).sum(0)
        relative = torch.stack(apart).median(0).values / self.own.median().clamp_min(1e-12)
        return (1 + reached) / (len(self.own) + 1), relative


def familiar(tests: Mapping[str, Familiarity], videos: Mapping[str, Tensor]) -> tuple[list[float], list[bool]]:
    """Return the p-value of each video over all streams, Bonferroni-corrected, and whether it is unlike training.

    It is unlike if its p-value is at most the attainable one closest to :data:`UNFAMILIAR`. With fewer than 9 training
    videos even the smallest is no evidence; there, it must be three times as far away as they usually are.

    Args:
        tests: by stream.
        videos: vectors (B, D) of each stream.
    """
    found = {name: test.p_values(videos[name]) for name, test in tests.items()}
    p = (torch.stack([p for p, _ in found.values()]).amin(0) * len(found)).clamp(max=1.0)
    relative = torch.stack([relative for _, relative in found.values()]).amax(0)
    levels = (max(len(test.own) for test in tests.values()) + 1) / len(found)  # of the finest test
    if levels < _FEWEST:
        return p.tolist(), (relative > _FAR).tolist()
    rare = p <= max(1, round(UNFAMILIAR * levels)) / levels + 1e-6
    return p.tolist(), rare.tolist()


def distance(known: Tensor, videos: Tensor) -> Tensor:
    """Return the distance (B,) of vectors (B, D) from vectors (m, D); channels constant among these do not count."""
    spread = known.std(0, correction=0)
    usable = spread > 1e-8 * known.abs().amax(0).clamp_min(1e-8)
    mean, spread = known[:, usable].mean(0), spread[usable]
    base, query = (standardised(vectors[:, usable], mean, spread) for vectors in (known, videos))
    if not base.shape[1]:
        return torch.zeros(len(videos), dtype=torch.float64)
    if base.shape[1] <= len(base):
        matrix = SHRINKAGE * torch.eye(base.shape[1], dtype=torch.float64) + (1 - SHRINKAGE) / len(base) * base.T @ base
        squares = (query * torch.linalg.solve(matrix, query.T).T).sum(1)
    else:  # (ρ I + (1 − ρ) AᵀA / m)⁻¹ by the Woodbury identity: a matrix of videos, not of channels
        ridge = SHRINKAGE * len(base) / (1 - SHRINKAGE) * torch.eye(len(base), dtype=torch.float64)
        shared = base @ query.T  # (m, B)
        inside = (shared * torch.linalg.solve(base @ base.T + ridge, shared)).sum(0)
        squares = (query.square().sum(1) - inside) / SHRINKAGE
    return (squares.clamp_min(0) / base.shape[1]).sqrt()


def _parts(group: Sequence[object]) -> Tensor:
    """Return (n,) the part of each video: its group, or one of ten parts of whole groups if there are many."""
    names, number = np.unique(np.asarray(group), return_inverse=True)
    if len(names) <= _MOST:
        return torch.from_numpy(number.astype(np.int64))
    order = np.random.default_rng(0).permutation(len(names))
    return torch.from_numpy((order[number] % _JOINED).astype(np.int64))
