"""A scale from comparisons alone: which of two was better, and nothing else.

The model is that of Bradley and Terry (1952): i is preferred to j with probability σ(θᵢ − θⱼ). The strengths θ have a
normal prior, N(0, τ²), so that one that has won every comparison does not lie at infinity. Intervals come from the
Hessian at the mode, averaged over a grid of τ by the marginal likelihood in Laplace's approximation: with few
comparisons τ is uncertain, and intervals at its best value alone would be too narrow. In simulations 90 % intervals of
differences hold 90 % with hundreds of comparisons of each item, and 87 % with twenty. Strengths of items that no chain
of comparisons links cannot be compared: they are in different components.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import expit, log_expit
from scipy.stats import norm

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

_SPREADS = np.geomspace(0.1, 10, 21)
"""Values of τ that are averaged over, in log odds: 10 is a world in which nearly every comparison is certain."""
_STEPS, _TOLERANCE = 100, 1e-10
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)


@dataclass(frozen=True)
class PairedScale:
    """Strengths of n items, in log odds, and how sure they are.

    Attributes:
        strength: (n,) posterior mode, averaged over τ, with mean 0 in each component.
        covariance: (n, n) of the strengths.
        component: (n,) number of the component of each item; items of different ones cannot be compared.
        spread: mean of the standard deviation τ of the prior.
    """

    strength: Floats
    covariance: Floats
    component: Indices
    spread: float

    def difference(self, i: int, j: int, level: float = 0.9) -> tuple[float, float, float]:
        """Return θᵢ − θⱼ and the ends of its central interval.

        Raises:
            ValueError: no chain of comparisons links the two.
        """
        if self.component[i] != self.component[j]:
            raise ValueError("no chain of comparisons links the two")
        mean = float(self.strength[i] - self.strength[j])
        half = float(norm.ppf((1 + level) / 2) * np.sqrt(self._variance()[i, j]))
        return mean, mean - half, mean + half

    def shares(self, level: float = 0.9) -> tuple[Floats, Floats, Floats]:
        """Return the share (n,) of comparisons with the rest of its component that each item should win, and its ends.

        Half for an item that is alone.
        """
        half = norm.ppf((1 + level) / 2) * np.sqrt(self.covariance.diagonal())
        mid, low, high = (self._share(self.strength + move) for move in (0.0, -half, half))
        return mid, low, high

    def next_pair(self, candidates: Sequence[tuple[int, int]] | None = None) -> tuple[int, int]:
        """Return the pair whose comparison tells most: the largest mutual information of its outcome and the strengths.

        The difference of two strengths is normal in Laplace's approximation. A pair of different components has the
        variance of the prior, and so is asked for early.
        """
        n = len(self.strength)
        first, second = np.triu_indices(n, 1) if candidates is None else np.array(candidates).T
        mean = self.strength[first] - self.strength[second]
        sd = np.sqrt(self._variance()[first, second])
        chance = expit(mean[:, None] + sd[:, None] * _NODES)  # (pairs, nodes)
        weights = _WEIGHTS / _WEIGHTS.sum()
        told = _entropy(chance @ weights) - _entropy(chance) @ weights
        best = int(told.argmax())
        return int(first[best]), int(second[best])

    def _variance(self) -> Floats:
        own = self.covariance.diagonal()
        return np.asarray(own[:, None] + own[None] - 2 * self.covariance)

    def _share(self, strength: Floats) -> Floats:
        """Against the others as they are estimated, whatever the item's own strength."""
        chance = expit(strength[:, None] - self.strength[None])
        rivals = (self.component[:, None] == self.component[None]) & ~np.eye(len(strength), dtype=bool)
        count = rivals.sum(1)
        return np.where(count > 0, (chance * rivals).sum(1) / np.maximum(count, 1), 0.5)


def fit(items: int, better: Sequence[int], worse: Sequence[int], weight: Sequence[float] | None = None) -> PairedScale:
    """Fit the strengths of ``items`` items to comparisons, given as indices.

    Args:
        items: their number n.
        better: (m,) the item that was preferred.
        worse: (m,) the other one.
        weight: (m,) how often; once by default.

    Raises:
        ValueError: there are no comparisons, or an item is compared with itself.
    """
    won, lost = np.array(better, np.intp), np.array(worse, np.intp)
    times = np.ones(len(won)) if weight is None else np.array(weight, float)
    if not len(won) or (won == lost).any():
        raise ValueError("a scale needs comparisons, each of two different items")
    links = coo_array((np.ones(len(won)), (won, lost)), shape=(items, items))
    component = connected_components(links, directed=False)[1]
    modes, covariances, evidences = zip(*(_mode(items, won, lost, times, spread) for spread in _SPREADS), strict=True)
    weights = np.exp(np.array(evidences) - max(evidences))
    weights /= weights.sum()
    found = np.array([_centred(mode, component) for mode in modes])
    strength = weights @ found
    apart = found - strength
    covariance = np.tensordot(weights, covariances, 1) + (weights[:, None] * apart).T @ apart
    spread = float(weights @ _SPREADS)
    return PairedScale(strength, covariance, component, spread)


def _centred(strength: Floats, component: Indices) -> Floats:
    """The strengths, less the mean of their component."""
    means = np.bincount(component, strength) / np.bincount(component)
    return np.asarray(strength - means[component])


def contradictions(better: Sequence[int], worse: Sequence[int]) -> list[tuple[int, int]]:
    """Return the pairs that were said both ways, (i, j) with i < j."""
    said = set(zip(better, worse, strict=True))
    return sorted((i, j) for i, j in said if i < j and (j, i) in said)


def surprises(scale: PairedScale, better: Sequence[int], worse: Sequence[int], chance: float = 0.1) -> list[int]:
    """Return which comparisons the scale gives less than a chance, the least likely first."""
    likely = expit(scale.strength[np.array(better)] - scale.strength[np.array(worse)])
    return [int(k) for k in likely.argsort(kind="stable") if likely[k] < chance]


def cycle(better: Sequence[int], worse: Sequence[int]) -> list[int]:
    """Return a shortest circle in which each item was preferred to the next, [a, b, …, a]; empty if there is none."""
    after: dict[int, set[int]] = {}
    for i, j in zip(better, worse, strict=True):
        after.setdefault(i, set()).add(j)
    found = [way for start in sorted(after) if (way := _back_to(start, after))]
    return min(found, key=len, default=[])


def _back_to(start: int, after: dict[int, set[int]]) -> list[int]:
    before: dict[int, int] = {}
    edge = [start]
    while edge:
        reached = []
        for i in edge:
            for j in sorted(after.get(i, ())):
                if j == start:
                    return _path(i, start, before)
                if j not in before:
                    before[j] = i
                    reached.append(j)
        edge = reached
    return []


def _path(last: int, start: int, before: dict[int, int]) -> list[int]:
    """The way from ``start`` to ``last``, and back to ``start``."""
    way, here = [start], last
    while here != start:
        way.append(here)
        here = before[here]
    return [start, *way[:0:-1], start]


def _mode(items: int, won: Indices, lost: Indices, times: Floats, spread: float) -> tuple[Floats, Floats, float]:
    """Mode and covariance of the strengths, and the log marginal likelihood, by Newton's method."""
    strength = np.zeros(items)
    for _ in range(_STEPS):
        gradient, hessian = _derivatives(strength, won, lost, times, spread)
        step = cho_solve(cho_factor(hessian), gradient)
        strength += step / max(1.0, float(np.abs(step).max()) / 2)  # far from the mode, Newton's steps are too long
        if np.abs(step).max() < _TOLERANCE:
            break
    _, hessian = _derivatives(strength, won, lost, times, spread)
    factor = cho_factor(hessian)
    likelihood = float(times @ log_expit(strength[won] - strength[lost]))
    prior = -0.5 * float(strength @ strength) / spread**2 - items * np.log(spread)
    evidence = likelihood + prior - float(np.log(np.diag(factor[0])).sum())
    return strength, np.asarray(cho_solve(factor, np.eye(items))), evidence


def _derivatives(strength: Floats, won: Indices, lost: Indices, times: Floats, spread: float) -> tuple[Floats, Floats]:
    """Gradient (n,) of the log posterior, and minus its Hessian (n, n)."""
    n, chance = len(strength), expit(strength[won] - strength[lost])
    pull, bend = times * (1 - chance), times * chance * (1 - chance)
    gradient = np.bincount(won, pull, n) - np.bincount(lost, pull, n) - strength / spread**2
    between = np.zeros((n, n))
    np.add.at(between, (won, lost), bend)
    between += between.T
    return gradient, np.diag(between.sum(1) + 1 / spread**2) - between


def _entropy(chance: Floats) -> Floats:
    kept = np.clip(chance, 1e-12, 1 - 1e-12)
    return np.asarray(-kept * np.log(kept) - (1 - kept) * np.log1p(-kept))
