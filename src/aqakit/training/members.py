"""Which samples each member of a cross-fitted ensemble does not see.

Of K members, member k is trained without the k-th of K parts of the labelled training samples. Together, the held-out
answers of all members are an honest answer for every training sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from aqakit.errors import OptionError
from aqakit.types import Sample

Parts = Literal["auto", "group", "sample"]
"""Whether whole groups are held out, or single samples; ``auto`` follows the protocol."""


MEMBERS = 5
"""Of a run on frozen features, if there are enough samples."""

_FEWEST = 3  # scored samples for more than one member


def members_for(scored: int) -> int:
    """How many members a number of scored samples allows; nobody asked for a number."""
    return min(MEMBERS, scored) if scored >= _FEWEST else 1


def held_out_parts(samples: Sequence[Sample], count: int, seed: int, *, whole_groups: bool) -> list[list[str]]:
    """Divide the scored samples into parts, by id; nothing for a single member.

    Whole groups are put together into parts of about equal size, if there are at least ``count`` groups. Otherwise
    single samples are, so that the scores of every part are spread alike.

    Raises:
        OptionError: there are fewer scored samples than parts, or too few to train on.
    """
    if count == 1:
        return []
    scored = [s for s in samples if s.score is not None]
    if len(scored) < max(count, _FEWEST):
        raise OptionError(
            f"{count} members need at least {max(count, _FEWEST)} scored training samples; there are {len(scored)}"
        )
    random = np.random.default_rng(seed)
    names = {s.group for s in scored}
    if whole_groups and None not in names and len(names) >= count:
        return _by_group(scored, count, random)
    return _by_score(scored, count, random)


def straddles(train: Sequence[Sample], test: Sequence[Sample]) -> bool:
    """Whether a group is on both sides of a split, as in the published folds of JIGSAWS."""
    groups = {s.group for s in train if s.group is not None}
    return any(s.group in groups for s in test)


def _by_group(scored: Sequence[Sample], count: int, random: np.random.Generator) -> list[list[str]]:
    """The largest groups first, each to the smallest part; groups of one size in a seeded order."""
    groups: dict[str, list[str]] = {}
    for sample in scored:
        groups.setdefault(str(sample.group), []).append(sample.id)
    names = random.permutation(sorted(groups)).tolist()
    parts: list[list[str]] = [[] for _ in range(count)]
    for name in sorted(names, key=lambda name: -len(groups[name])):
        min(parts, key=len).extend(groups[name])
    return parts


def _by_score(scored: Sequence[Sample], count: int, random: np.random.Generator) -> list[list[str]]:
    """Of every ``count`` samples that follow each other in score, one goes to each part."""
    shuffled = [scored[i] for i in random.permutation(len(scored))]  # equal scores come in no order of the file
    order = np.argsort([s.score for s in shuffled], kind="stable")
    parts: list[list[str]] = [[] for _ in range(count)]
    for start in range(0, len(order), count):
        chosen = order[start : start + count]
        for part, row in zip(random.permutation(count), chosen):
            parts[part].append(shuffled[row].id)
    return parts
