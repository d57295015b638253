"""Validation splits: validation samples are taken from the training samples, in whole groups if there are groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aqakit.types import Sample


def train_validation_split(samples: Sequence[Sample], share: float, seed: int) -> tuple[list[str], list[str]]:
    """Return the ids of the training and of the validation samples.

    Whole groups go to validation, in a seeded random order, until they hold ``share`` of the scored samples. If there
    are fewer than three groups, single samples are used instead. Unlabelled samples of training groups stay in the
    training set; those of validation groups are left out, so no sample of a validation group is used for training.
    """
    scored = [s for s in samples if s.score is not None]
    wanted = round(share * len(scored))
    if wanted == 0:
        return [s.id for s in samples], []
    groups = {s.id: s.group for s in scored}
    if len(set(groups.values())) < 3:
        groups = {s.id: s.id for s in scored}
    names = sorted({g for g in groups.values() if g is not None})
    held: set[str | None] = set()
    for name in np.random.default_rng(seed).permutation(names):
        if sum(groups[s.id] in held for s in scored) >= wanted:
            break
        held.add(str(name))
    validation = [s.id for s in scored if groups[s.id] in held]
    return [s.id for s in samples if s.group not in held and groups.get(s.id) not in held], validation
