"""Scoring rules of the sports: pure functions from the judges' marks to a score, each with a worked example.

Every rule has the signature ``(judges (…, J), difficulty (…) or None) -> (…)``. It takes tensors, arrays and
lists, returns a tensor, is differentiable, and returns NaN where a mark is unknown (NaN).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from aqakit.errors import DataError

Numbers = Tensor | ArrayLike


def diving(judges: Numbers, difficulty: Numbers | None = None) -> Tensor:
    """Sum of the three middle marks × difficulty (World Aquatics).

    Of seven marks, the two highest and the two lowest are dropped; of five, one of each; of three, none.

    Args:
        judges: (…, 7), (…, 5) or (…, 3) marks from 0 to 10 in half points, in any order.
        difficulty: (…) degree of difficulty; without it the result is the judges' total, 0 to 30.

    Raises:
        DataError: the number of judges is not 7, 5 or 3.

    >>> diving([7.5, 8.0, 7.0, 7.5, 8.5, 7.0, 8.0], 3.5).item()  # 7.5 + 7.5 + 8 = 23
    80.5
    >>> diving([[6.0, 7.0, 6.5, 9.0, 5.0], [1.0, 1.0, 2.0, 3.0, 3.0]], [2.0, 1.5]).tolist()
    [39.0, 9.0]
    >>> diving([6.0, 7.0, 6.5]).item()
    19.5
    """
    marks = _marks(judges)
    _require("diving", marks, (7, 5, 3))
    return _times(_middle(marks, 3), difficulty)


def synchronised_diving(judges: Numbers, difficulty: Numbers | None = None) -> Tensor:
    """Sum of five of the eleven (or nine, or five) marks × 0.6 × difficulty (World Aquatics).

    Eleven judges: three for the execution of one diver, three for the other, five for synchronisation, in
    this order. The highest and the lowest mark of each of the three panels are dropped, which leaves 1 + 1 + 3.
    Nine judges: two and two for execution, five for synchronisation. The highest and the lowest of the four
    execution marks and of the five synchronisation marks are dropped, which leaves 2 + 3. Five marks are those that
    were left.

    Args:
        judges: (…, 11), (…, 9) or (…, 5) marks from 0 to 10 in half points, panel by panel.
        difficulty: (…) degree of difficulty; without it the result is the judges' total, 0 to 30.

    Raises:
        DataError: the number of judges is not 11, 9 or 5.

    >>> synchronised_diving([7, 8, 6, 8, 8, 9, 8, 7, 9, 8.5, 8], 3.0).item()  # (7 + 8 + 24.5) × 0.6 × 3
    71.1
    >>> synchronised_diving([7, 8, 6, 9, 8, 7, 9, 8.5, 8]).item()  # (15 + 24.5) × 0.6
    23.7
    >>> round(synchronised_diving([7.5, 9, 8, 8, 8.5], 3.3).item(), 2)  # 41 × 0.6 × 3.3
    81.18
    """
    marks = _marks(judges)
    _require("synchronised_diving", marks, (11, 9, 5))
    if marks.shape[-1] == 5:
        return _times(marks.sum(-1) * 0.6, difficulty)
    sizes = (3, 3, 5) if marks.shape[-1] == 11 else (4, 5)
    panels = torch.split_with_sizes(marks, sizes, dim=-1)
    kept = torch.stack([_middle(panel, panel.shape[-1] - 2) for panel in panels])
    return _times(kept.sum(0) * 0.6, difficulty)


def sum_of_items(judges: Numbers, difficulty: Numbers | None = None) -> Tensor:
    """Global rating score of JIGSAWS: the sum of its six items, each from 1 to 5; 6 to 30 in total.

    Args:
        judges: (…, 6) items.
        difficulty: ignored; surgery has none.

    Raises:
        DataError: the number of items is not 6.

    >>> sum_of_items([3, 4, 2, 3, 3, 4]).item()
    19.0
    """
    marks = _marks(judges)
    _require("sum_of_items", marks, (6,))
    return marks.sum(-1)


def rhythmic_gymnastics(judges: Numbers, difficulty: Numbers | None = None) -> Tensor:
    """Difficulty score + execution score − penalty.

    In the released Rhythmic Gymnastics files the penalty is already subtracted from ``Total_Score``: use it as it
    is, and apply this rule only to its three columns.

    Args:
        judges: (…, 3) difficulty score, execution score and penalty (a positive number), in this order.
        difficulty: ignored; here it is one of the added scores, not a factor.

    Raises:
        DataError: the number of columns is not 3.

    >>> rhythmic_gymnastics([8.5, 7.0, 0.5]).item()
    15.0
    """
    marks = _marks(judges)
    _require("rhythmic_gymnastics", marks, (3,))
    return marks[..., 0] + marks[..., 1] - marks[..., 2]


@dataclass(frozen=True)
class Rule:
    """A scoring rule and the inputs it accepts.

    Attributes:
        name: its key in :data:`RULES`.
        judges: the accepted numbers of marks.
        difficulty: whether the declared difficulty multiplies the judges' total; if not, it is ignored.
        score: ``(judges (…, J), difficulty (…) or None) -> (…)``.
    """

    name: str
    judges: tuple[int, ...]
    difficulty: bool
    score: Callable[[Numbers, Numbers | None], Tensor]


RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("diving", (7, 5, 3), True, diving),
        Rule("synchronised_diving", (11, 9, 5), True, synchronised_diving),
        Rule("sum_of_items", (6,), False, sum_of_items),
        Rule("rhythmic_gymnastics", (3,), False, rhythmic_gymnastics),
    )
}


def _marks(judges: Numbers) -> Tensor:
    if isinstance(judges, Tensor) and judges.is_floating_point():
        return judges
    return torch.as_tensor(judges, dtype=torch.float64)


def _require(rule: str, marks: Tensor, allowed: tuple[int, ...]) -> None:
    given = marks.shape[-1] if marks.ndim else 0
    if given not in allowed:
        known = " or ".join(str(number) for number in allowed)
        raise DataError(f"the rule {rule} needs {known} marks for each performance, but was given {given}")


def _middle(marks: Tensor, keep: int) -> Tensor:
    drop = (marks.shape[-1] - keep) // 2
    total = marks.sort(-1).values[..., drop : drop + keep].sum(-1)
    # An unknown mark sorts to the end and would be dropped as if it were the highest.
    return total.masked_fill(marks.isnan().any(-1), math.nan)


def _times(total: Tensor, difficulty: Numbers | None) -> Tensor:
    if difficulty is None:
        return total
    return total * torch.as_tensor(difficulty, dtype=total.dtype, device=total.device)
