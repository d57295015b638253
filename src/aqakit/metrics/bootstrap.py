"""Bootstrap of a statistic: how much it would vary on other test samples, within folds.

Samples of one group (an athlete, a surgeon) share their errors, so groups are resampled as a whole (Davison and
Hinkley 1997, section 3.8). A group that is in several folds is drawn for all of them at once. If the folds hold one
group each, whole folds are resampled.

A fold whose statistic is undefined counts as 0, in a resample as in the mean over the folds themselves. Only a resample
that repeats a single true score of a fold, where nothing can be ranked, is left out: its mean is over the other folds.
Counting it as 0 too would pull the intervals of small folds towards 0, by half if a fold has two samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aqakit.types import Floats

Statistic = Callable[[Floats, Floats], Floats]
Groups = Sequence[str | None]
"""Group of each sample; samples of group None are independent."""

Rows = NDArray[np.int64]

_AT_ONCE = 2_000_000  # maximum number of resampled scores in memory


def bootstrap(
    statistic: Statistic,
    true: ArrayLike,
    predicted: ArrayLike,
    folds: ArrayLike | None = None,
    groups: Groups | None = None,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Floats:
    """Return (draws,) means over folds of a statistic, with samples or whole groups resampled within the folds.

    The same seed, folds and groups give the same resamples, so that two methods can be compared in pairs.

    Args:
        statistic: ``(true (…, n), predicted (…, n)) -> (…)``, as in :mod:`aqakit.metrics.accuracy`.
        true: (n,) scores.
        predicted: (n,) scores.
        folds: (n,) test fold of each sample; None for a single fold.
        groups: n groups; None if no samples belong together.
        draws: number of resamples.
        seed: seed of the resampling.

    Returns:
        (draws,) means; NaN where no fold of a resample has two different true scores.
    """
    true, predicted = np.asarray(true, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    fold = np.zeros(len(true)) if folds is None else np.asarray(folds)
    random = np.random.default_rng(seed)
    total, weight = np.zeros((2, draws))
    for clusters in _strata(fold, groups or [None] * len(true)):
        size = sum(map(len, clusters))
        for part in np.array_split(np.arange(draws), -(-draws * size // _AT_ONCE)):
            drawn = random.integers(len(clusters), size=(len(part), len(clusters)))
            for name in np.unique(fold[np.concatenate(clusters)]):
                inside = [rows[fold[rows] == name] for rows in clusters]
                found, share = _resampled(statistic, true, predicted, inside, drawn)
                total[part] += found * share
                weight[part] += share
    return np.divide(total, weight, out=np.full(draws, np.nan), where=weight > 0)


def in_groups(folds: ArrayLike, groups: Groups | None) -> bool:
    """Whether :func:`bootstrap` resamples whole groups, because test samples share one.

    >>> in_groups([0, 0, 1], ["ann", "bob", None]), in_groups([0, 0, 1], ["ann", "bob", "ann"])
    (False, True)
    """
    fold = np.asarray(folds)
    return any(len(rows) > 1 for clusters in _strata(fold, groups or [None] * len(fold)) for rows in clusters)


def resampled_units(grouped: bool) -> str:
    """Return what is resampled, for the notes of a table; ``grouped`` is the answer of :func:`in_groups`."""
    return "groups of test samples, which share their errors (an athlete, a surgeon)" if grouped else "test samples"


def _strata(fold: NDArray[np.generic], groups: Groups) -> Iterator[list[Rows]]:
    """Yield the clusters, as rows, that are resampled together: those of each fold, and of folds that share groups."""
    clusters: dict[str | tuple[int], list[int]] = {}
    for row, group in enumerate(groups):
        clusters.setdefault((row,) if group is None else group, []).append(row)
    stratum = _joined(fold, clusters.values())
    by_stratum: dict[int, list[Rows]] = {number: [] for number in np.unique(stratum).tolist()}
    for rows in clusters.values():
        by_stratum[stratum[rows[0]]].append(np.array(rows))
    alone = [own for own in by_stratum.values() if len(own) == 1]
    yield from (own for own in by_stratum.values() if len(own) > 1)
    if len(alone) > 1 and any(len(rows) > 1 for (rows,) in alone):
        yield [rows for (rows,) in alone]
    else:  # how groups differ cannot be known from one
        yield from ([np.array([row]) for row in rows] for (rows,) in alone)


def _joined(fold: NDArray[np.generic], clusters: Iterable[Sequence[int]]) -> Rows:
    """Number the folds of the samples; folds that share a cluster have one number."""
    number = np.unique(fold, return_inverse=True)[1]
    for rows in clusters:
        joined = np.unique(number[rows])
        number[np.isin(number, joined)] = joined[0]
    return number


def _resampled(
    statistic: Statistic, true: Floats, predicted: Floats, clusters: Sequence[Rows], drawn: Rows
) -> tuple[Floats, Floats]:
    """Return the statistic (draws,) on the drawn clusters of one fold, and the weight of the fold in each draw.

    The weight is the number of drawn clusters that the fold has samples of, over their number in the fold. It is 1
    unless the clusters of several folds are resampled together, and 0 where nothing can be ranked.
    """
    size, everything = np.array([len(rows) for rows in clusters]), np.concatenate(clusters)
    varied = bool(np.ptp(true[everything]))
    share = (size > 0)[drawn].sum(1) / (size > 0).sum()
    length, found = size[drawn].sum(1), np.zeros(len(drawn))
    for count in np.unique(length[length > 0]):
        (at,) = np.nonzero(length == count)
        rows = everything[_places(size, drawn[at], int(count))]
        score = true[rows]
        found[at] = statistic(score, predicted[rows])
        same = (score == score[:, :1]).all(1)
        share[at[varied & same & np.isnan(found[at])]] = 0.0
    return np.nan_to_num(found), share


def _places(size: Rows, drawn: Rows, count: int) -> Rows:
    """Return the places (draws, count) of the samples of drawn clusters, if all clusters lie one after another."""
    own = size[drawn].ravel()
    start = np.repeat((size.cumsum() - size)[drawn].ravel(), own)
    within = np.arange(own.sum()) - np.repeat(own.cumsum() - own, own)
    return np.asarray((start + within).reshape(len(drawn), count))


def bootstrap_interval(
    statistic: Statistic,
    true: ArrayLike,
    predicted: ArrayLike,
    folds: ArrayLike | None = None,
    groups: Groups | None = None,
    *,
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile interval, of probability ``level``, of the draws of :func:`bootstrap`.

    Returns:
        Low and high end, ignoring draws where nothing can be ranked; NaN if that is all of them.
    """
    means = bootstrap(statistic, true, predicted, folds, groups, draws=draws, seed=seed)
    return interval(means, level)


def interval(draws: Floats, level: float = 0.95) -> tuple[float, float]:
    """Return the central percentile interval of draws (n,), ignoring NaN; NaN if all are."""
    known = draws[~np.isnan(draws)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
