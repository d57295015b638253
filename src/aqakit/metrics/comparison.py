"""Which methods differ beyond noise: paired bootstrap, Holm's correction, and letters for a table.

Two methods are compared on the same resamples of test samples and seeds, so that effects common to both cancel out.
Methods that share a letter do not differ: their difference is within noise.

>>> letters(np.array([[0, 0, 1], [0, 0, 0], [1, 0, 0]], dtype=bool))  # only the first and the last differ
['a', 'ab', 'b']
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from string import ascii_lowercase
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aqakit.metrics.bootstrap import Groups, Statistic, bootstrap, interval
from aqakit.types import Floats

DRAWS = 10_000  # with Holm's correction of 190 pairs, p = 2 / DRAWS is still significant
ALPHA = 0.05


@dataclass(frozen=True)
class Difference:
    """Difference of two methods, first minus second, with 95 % interval and two-sided p-value."""

    estimate: float
    low: float
    high: float
    p: float

    @property
    def within_noise(self) -> bool:
        """Whether the difference is not significant."""
        return self.p >= ALPHA


@dataclass(frozen=True)
class Grouping:
    """Comparison of several methods in all pairs.

    Attributes:
        names: from the best to the worst.
        p: (M, M) p-values of the pairs in that order, Holm-corrected.
        letters: letters of each name.
    """

    names: Sequence[str]
    p: Floats
    letters: Mapping[str, str]

    def ties_of_the_best(self) -> list[str]:
        """Return the names that do not differ from the best beyond noise."""
        return [name for name, p in zip(self.names[1:], self.p[0, 1:]) if p >= ALPHA]


def resampled(
    statistic: Statistic,
    true: ArrayLike,
    predicted: ArrayLike,
    folds: ArrayLike | None = None,
    groups: Groups | None = None,
    *,
    draws: int | None = None,
    seed: int = 0,
) -> Floats:
    """Return (draws,) means over folds and seeds of a statistic, resampling samples or groups, and seeds.

    The same seed, folds and groups give every method the same resamples.

    Args:
        statistic: as in :func:`aqakit.metrics.bootstrap.bootstrap`.
        true: (n,) scores.
        predicted: (n,) scores, or (seeds, n).
        folds: (n,) test fold of each sample; None for a single fold.
        groups: n groups, which are resampled as a whole; None if no samples belong together.
        draws: number of resamples; :data:`DRAWS` if None.
        seed: seed of the resampling.
    """
    runs = np.atleast_2d(np.asarray(predicted, dtype=np.float64))
    found = np.stack([bootstrap(statistic, true, one, folds, groups, draws=draws or DRAWS, seed=seed) for one in runs])
    chosen = np.random.default_rng([seed, 1]).integers(len(runs), size=found.shape)
    return np.asarray(np.take_along_axis(found, chosen, axis=0).mean(0))


def over_samples(
    statistic: Statistic,
    true: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    folds: ArrayLike | None = None,
    groups: Groups | None = None,
    *,
    draws: int | None = None,
    seed: int = 0,
) -> Difference:
    """Compare a statistic of two methods, first minus second; the arguments are those of :func:`resampled`."""
    name = np.zeros(np.shape(true)) if folds is None else np.asarray(folds)
    masks = [name == fold for fold in np.unique(name)]
    score = np.asarray(true, dtype=np.float64)
    means, drawn = [], []
    for predicted in (first, second):
        runs = np.atleast_2d(np.asarray(predicted, dtype=np.float64))
        means.append(np.mean([np.nan_to_num(statistic(score[mask], one[mask])) for one in runs for mask in masks]))
        drawn.append(resampled(statistic, score, runs, name, groups, draws=draws, seed=seed))
    return over_draws(drawn[0], drawn[1], float(means[0] - means[1]))


def over_draws(first: Floats, second: Floats, estimate: float) -> Difference:
    """Compare two :func:`resampled` statistics (draws,), first minus second; undefined ones count as 0.

    Args:
        first: draws of one method.
        second: draws of another, on the same resamples.
        estimate: the difference on the original samples.
    """
    return _difference(estimate, np.nan_to_num(first) - np.nan_to_num(second))


def over_cells(first: ArrayLike, second: ArrayLike, *, draws: int = DRAWS, seed: int = 0) -> Difference:
    """Compare results (seeds, folds) by their mean difference, with seeds and folds resampled.

    For results without known predictions. It needs several folds or seeds: a single result gives p = 1.
    """
    apart = np.atleast_2d(np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64))
    if apart.size < 2:
        return Difference(float(apart.mean()), float("nan"), float("nan"), 1.0)
    random = np.random.default_rng(seed)
    rows, columns = (random.integers(size, size=(draws, size)) for size in apart.shape)
    drawn = apart[rows[:, :, None], columns[:, None, :]].mean((1, 2))
    return _difference(float(apart.mean()), drawn)


def group(draws: Mapping[str, Floats], *, higher_is_better: bool = True) -> Grouping:
    """Compare methods in all pairs, given their :func:`resampled` statistics (draws,); undefined ones count as 0."""
    known = {name: np.nan_to_num(values) for name, values in draws.items()}
    names = sorted(known, key=lambda name: float(known[name].mean()), reverse=higher_is_better)
    pairs = list(combinations(range(len(names)), 2))
    corrected = holm([p_value(known[names[i]] - known[names[j]]) for i, j in pairs])
    p = np.ones((len(names), len(names)))
    for (i, j), value in zip(pairs, corrected):
        p[i, j] = p[j, i] = value
    return Grouping(names, p, dict(zip(names, letters(p < ALPHA))))


def mark(rows: Sequence[dict[str, Any]], draws: Mapping[str, Floats]) -> list[str]:
    """Set the letters of one task's honest rows in the column ``group``; return a sentence if the best is tied."""
    if len(draws) < 2:
        return []
    found = group(draws)
    for row in rows:
        if not row["optimistic"]:
            row["group"] = found.letters[row["method"]]
    if not (ties := found.ties_of_the_best()):
        return []
    return [f"{rows[0]['task']}: {', '.join([found.names[0], *ties])} do not differ beyond noise."]


def p_value(differences: Floats) -> float:
    """Two-sided p-value of resampled differences (draws,): twice the share on the rarer side of 0."""
    below, above = ((side.sum() + 1) / (len(differences) + 1) for side in (differences <= 0, differences >= 0))
    return float(min(1.0, 2 * min(below, above)))


def holm(p: ArrayLike) -> Floats:
    """Correct p-values (n,) for n tests (Holm 1979).

    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    scaled = values[order] * np.arange(len(values), 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return corrected


def letters(different: NDArray[np.bool_]) -> list[str]:
    """Return letters of M methods; two share one if and only if they do not differ (Piepho 2004, insert and absorb).

    Args:
        different: (M, M) symmetric, in the order in which letters are assigned.
    """
    columns = [frozenset(range(len(different)))]
    for i, j in zip(*np.nonzero(np.triu(different, 1))):
        split = [part for c in columns for part in ((c - {i}, c - {j}) if {i, j} <= c else (c,))]
        columns = [c for k, c in enumerate(split) if not any(c < d for d in split) and c not in split[:k]]
    columns.sort(key=sorted)
    return ["".join(_letter(k) for k, c in enumerate(columns) if row in c) for row in range(len(different))]


def _letter(number: int) -> str:
    """Return the letters a to z, then the letters with primes."""
    return ascii_lowercase[number % 26] + "'" * (number // 26)


def _difference(estimate: float, drawn: Floats) -> Difference:
    return Difference(estimate, *interval(drawn), p_value(drawn))
