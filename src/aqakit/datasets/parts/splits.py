"""Validation splits: validation samples are taken from the training samples, in whole groups if there are groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from aqakit.types import Sample


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
    units = {s.id: _unit(s) if whole else ("sample", s.id) for s in samples}
    sizes = Counter(units[s.id] for s in scored)
    order = np.random.default_rng(seed).permutation(len(sizes))
    shuffled = [sorted(sizes)[i] for i in order]
    held = {shuffled[k] for k in _nearest([sizes[unit] for unit in shuffled], wanted)}
    return [i for i, unit in units.items() if unit not in held], [s.id for s in scored if units[s.id] in held]


def _unit(sample: Sample) -> tuple[str, str]:
    return ("sample", sample.id) if sample.group is None else ("group", sample.group)


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
