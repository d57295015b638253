"""Folds that divide no group, and validation samples taken from training samples, in whole groups if there are any."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from sklearn.model_selection import GroupKFold, KFold

from aqakit.types import Sample, Split


def train_validation_split(samples: Sequence[Sample], share: float, seed: int) -> tuple[list[str], list[str]]:
    """Return the ids of the training and of the validation samples.

    Whole groups go to validation; a sample without a group is one of its own. Together they hold as nearly ``share`` of
    the scored samples as groups can, but at least one and not all; the seed chooses which. If there are fewer than
    three groups, single samples are used instead. Unlabelled samples of training groups stay in the training set; those
    of validation groups are left out, so no sample of a validation group is used for training.
    """
    scored = [s for s in samples if s.score is not None]
    wanted = round(share * len(scored))
    if wanted == 0:
        return [s.id for s in samples], []
    whole = len({_unit(s) for s in scored}) >= 3
    units = {s.id: _unit(s) if whole else f"row {s.id}" for s in samples}
    sizes = Counter(units[s.id] for s in scored)
    shuffled = np.random.default_rng(seed).permutation(sorted(sizes)).tolist()
    held = {shuffled[k] for k in _nearest([sizes[unit] for unit in shuffled], wanted)}
    return [i for i, unit in units.items() if unit not in held], [s.id for s in scored if units[s.id] in held]


def _unit(sample: Sample) -> str:
    """Return the unit that must not be divided: the group, or the row itself if it has no group."""
    return f"group {sample.group}" if sample.group else f"row {sample.id}"


def _nearest(sizes: Sequence[int], wanted: int) -> list[int]:
    """Return the positions of some sizes, the first ones if possible, whose sum is nearest to a wanted sum.

    The sum is positive and not that of all; of two sums that are as near, the smaller one is taken.
    """
    reached = [1]  # bit s of the k-th number: whether some of the first k sizes have the sum s
    for size in sizes:
        reached.append(reached[-1] | reached[-1] << size)
    sums = [s for s in range(1, sum(sizes)) if reached[-1] >> s & 1] or [sum(sizes)]
    left, chosen = min(sums, key=lambda s: abs(s - wanted)), []
    for k in reversed(range(len(sizes))):
        if not reached[k] >> left & 1:
            chosen.append(k)
            left -= sizes[k]
    return chosen


def testable(trials: Sequence[Sample]) -> list[Sample]:
    """The samples with a score; all of them if none has one, since it may be known which of two is better."""
    return [s for s in trials if s.score is not None] or list(trials)


def leave_one_group_out(action: str | None, trials: Sequence[Sample]) -> Iterator[Split]:
    """Yield a fold for each group with a score, in order of appearance; none if there is only one such group."""
    judged = testable(trials)
    groups = list(dict.fromkeys(s.group for s in judged if s.group is not None))
    for group in groups if len(groups) > 1 else ():
        train = tuple(s.id for s in trials if s.group != group)
        test = tuple(s.id for s in judged if s.group == group)
        yield Split(f"{action}-{group}" if action else group, train, test)


def five_fold(action: str | None, trials: Sequence[Sample]) -> Iterator[Split]:
    """Yield five folds of about equal size: fewer if there are fewer groups, none if there is only one."""
    labelled = testable(trials)
    units = [_unit(s) for s in labelled]
    folds = min(5, len(set(units)))
    if folds < 2:
        return
    grouped = any(s.group for s in labelled)
    splitter = GroupKFold(folds) if grouped else KFold(folds, shuffle=True, random_state=0)
    for k, (_, rows) in enumerate(splitter.split(labelled, groups=units if grouped else None), 1):
        test = {labelled[row].id for row in rows}
        away = {units[row] for row in rows}
        train = tuple(s.id for s in trials if _unit(s) not in away)
        yield Split(f"{action or 'fold'}-{k}", train, tuple(s.id for s in trials if s.id in test))
