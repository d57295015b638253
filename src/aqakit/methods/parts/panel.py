"""A method for every judge, and the sport's rule on what they answer: what MUSDL and DAE with judges share.

The rules that add up marks have one form: each panel of judges drops its highest and lowest marks, the others are
added, and a factor multiplies the sum. :class:`Panel` makes of the judges' distributions that of the score. The judges
are taken to be independent once the video is known: errors that they share, such as a view that misled them all, are
not in its spread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import comb
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, pad

from aqakit.errors import DataError, OptionError
from aqakit.methods.parts.base import Method
from aqakit.scores.distributions import Binned, Normal, ScoreDistribution
from aqakit.scores.rules import RULES, Rule
from aqakit.types import Batch, LabelSpec

_CELLS = 64
_REACH = 4.5
"""Standard deviations on either side that the grid of a normal mark covers; 7e-6 of the probability lies outside."""


class JudgeMethods(Method):
    """A method for every judge, each of which learns its judge's marks and shares nothing with the others."""

    def __init__(self, judges: Sequence[Method], panel: Panel) -> None:
        super().__init__()
        self.judges, self.panel = nn.ModuleList(judges), panel

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The terms of the judges' methods, each summed over the judges, of the rows whose marks are known."""
        known = batch.select(batch.labelled & ~batch.judges.isnan().any(1))
        terms: dict[str, Tensor] = {}
        for method, marks in zip(self._methods(), known.judges.T, strict=True):
            method.epoch = self.epoch
            for name, term in method.losses(known.replace(score=marks)).items():
                terms[name] = terms[name] + term if name in terms else term
        return terms

    def marks(self, batch: Batch) -> list[ScoreDistribution]:
        """What every judge gives: J distributions of (B,) marks."""
        return [method.predict(batch) for method in self._methods()]

    def _methods(self) -> list[Method]:
        return cast(list[Method], list(self.judges))


@dataclass(frozen=True)
class Panel:
    """The judges of a sport and how its rule adds up their marks.

    Attributes:
        rule: with its name, and the score of known marks.
        sizes: judges of each panel, in the order of their marks.
        drops: marks that each panel drops at either end.
        factor: of the sum.
        difficulty: whether the declared difficulty of the video is a factor too.
    """

    rule: Rule
    sizes: tuple[int, ...]
    drops: tuple[int, ...]
    factor: float = 1.0
    difficulty: bool = False

    @property
    def kept(self) -> int:
        """The number of marks that are added."""
        return sum(self.sizes) - 2 * sum(self.drops)

    def point(self, marks: Tensor, batch: Batch) -> Tensor:
        """(B, J) marks → (B,) scores."""
        return self.rule.score(marks, self._difficulty(batch))

    def binned(self, marks: Binned, batch: Batch) -> ScoreDistribution:
        """(B, J) histograms over equal bins → B scores, exactly: a bin is centred on each total there can be."""
        low, step = marks.centres[0], marks.widths.mean()
        total = self.total(marks.probabilities)
        edges = self.factor * (self.kept * low + step * _edges(total))
        return self._times_difficulty(_histogram(total, edges), batch)

    def normal(self, marks: Normal, batch: Batch) -> ScoreDistribution:
        """(B, J) normals → B scores: normal, and exact, where no mark is dropped, else binned.

        The bins are those of marks rounded to a grid of 64 steps for each video. It covers what a mark that is kept may
        be: a judge who is far from the others, or far less sure, is dropped and does not coarsen it. A spread below a
        step of it is rounded up to one.
        """
        if not any(self.drops):
            total = Normal(self.factor * marks.loc.sum(1), self.factor * marks.scale.square().sum(1).sqrt())
            return self._times_difficulty(total, batch)
        low, high = self._range(marks)
        step = (high - low) / (_CELLS - 1)
        cuts = low + step * (torch.arange(_CELLS - 1, device=low.device)[:, None] + 0.5)  # (K − 1, B)
        below = pad(marks.cdf(cuts[..., None]).movedim(0, -1), (1, 0))  # (B, J, K)
        totals = self.total(pad(below, (0, 1), value=1.0).diff())
        units = _histogram(totals, _edges(totals))
        return self._times_difficulty(units.affine(self.factor * step, self.factor * self.kept * low), batch)

    def total(self, marks: Tensor) -> Tensor:
        """(B, J, K) probabilities of K equal steps of each mark → (B, kept × (K − 1) + 1) of each sum of steps."""
        panels = zip(marks.split_with_sizes(self.sizes, 1), self.drops, strict=True)
        first, *others = [middle_total(panel, drop) for panel, drop in panels]
        for other in others:
            first = _convolve(first, other)
        return first

    def _range(self, marks: Normal) -> tuple[Tensor, Tensor]:
        """(B,) ends of the marks that are kept: the rule drops ends of the judges' ranges as it drops marks."""
        low, high = ((marks.loc + sign * _REACH * marks.scale).split_with_sizes(self.sizes, 1) for sign in (-1, 1))
        lowest = [ends.sort(1).values[:, drop] for ends, drop in zip(low, self.drops, strict=True)]
        highest = [ends.sort(1).values[:, -1 - drop] for ends, drop in zip(high, self.drops, strict=True)]
        return torch.stack(lowest).amin(0), torch.stack(highest).amax(0)

    def _times_difficulty(self, total: ScoreDistribution, batch: Batch) -> ScoreDistribution:
        difficulty = self._difficulty(batch)
        return total if difficulty is None else total.affine(difficulty)

    def _difficulty(self, batch: Batch) -> Tensor | None:
        if not self.difficulty:
            return None
        missing = int((~(batch.difficulty > 0)).sum())
        if missing:
            raise DataError(
                f"the rule {self.rule.name} multiplies the judges' total by the declared difficulty, and "
                f"{missing} of {len(batch)} videos have none; give --difficulty, or a column difficulty in the manifest"
            )
        return batch.difficulty


def panel_of(method: str, labels: LabelSpec) -> Panel:
    """How the score of these labels is made of marks; the declared difficulty is a factor unless taken off the target.

    Raises:
        OptionError: no judges, no rule, a rule of another form, or one of other numbers of judges.
    """
    rule = _rule(method, labels)
    difficulty = rule.difficulty and labels.total is not None
    if rule.name == "synchronised_diving":
        sizes = (3, 3, 5) if labels.judges == 11 else (4, 5)
        return Panel(rule, sizes, (1,) * len(sizes), 0.6, difficulty)
    drop = (labels.judges - 3) // 2 if rule.name == "diving" else 0
    return Panel(rule, (labels.judges,), (drop,), 1.0, difficulty)


def middle_total(marks: Tensor, drop: int) -> Tensor:
    """The distribution of the sum of a panel's marks without the highest and the lowest, exactly.

    The marks are read out in ascending order, equal ones in the order of the judges. A judge whose turn comes when
    ``drop`` others have been read begins the sum; from then on, which judges have been read and the sum so far are all
    that matters; and when the sum is complete, the others need only have higher marks.

    Args:
        marks: (B, J, K) probability of each of K equal steps for each of J independent judges.
        drop: marks that are dropped at either end.

    Returns:
        (B, (J − 2 drop) × (K − 1) + 1) probability of each sum, in steps.

    >>> import torch
    >>> coin, sure = [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]
    >>> middle_total(torch.tensor([[coin, coin, sure]]), 1)  # the higher of two coins
    tensor([[0.2500, 0.7500, 0.0000]])
    """
    B, J, K = marks.shape
    kept = J - 2 * drop
    turns = _turns(marks, drop)
    # reached[n]: (B, sets of judges read, sums of n marks)
    reached = [marks.new_zeros(B, comb(J, drop + n), n * (K - 1) + 1) for n in range(kept)]
    total = marks.new_zeros(B, kept * (K - 1) + 1)
    for step, turn in product(range(K), turns):
        for n, (sets, joined) in enumerate(turn.moves):
            read = turn.lower[:, :, step, None] if n == 0 else reached[n][:, sets]
            read = read * turn.mark[:, step, None, None]
            sums = slice(step, step + read.shape[-1])
            if n < kept - 1:
                reached[n + 1][..., sums].index_add_(1, joined, read)
            else:
                total[:, sums] += (read * turn.higher[:, :, step, None]).sum(1)
    return total


@dataclass(frozen=True)
class _Turn:
    """What a judge's turn does, for each of the K steps that the mark may be.

    Attributes:
        moves: for each number of marks added before it, the sets of judges read who are others, and what they become.
        mark: (B, K) probability of the mark.
        lower: (B, sets, K) probability that all of a first set are read before it.
        higher: (B, sets, K) probability that all who are not in a last set are read after it.
    """

    moves: list[tuple[Tensor, Tensor]]
    mark: Tensor
    lower: Tensor
    higher: Tensor


def _turns(marks: Tensor, drop: int) -> list[_Turn]:
    J = marks.shape[1]
    until, beyond = marks.cumsum(-1), marks.flip(-1).cumsum(-1).flip(-1)  # at most, at least each step
    under, over = pad(until[..., :-1], (1, 0)), pad(beyond[..., 1:], (0, 1))
    turns = []
    for judge in range(J):
        others = tuple(other for other in range(J) if other != judge)
        earlier = (torch.arange(J, device=marks.device) < judge)[:, None]
        before, after = torch.where(earlier, until, under), torch.where(earlier, over, beyond)
        first = list(combinations(others, drop))
        last = [tuple(o for o in others if o not in read) for read in combinations(others, J - drop - 1)]
        moves = [_moves(judge, others, size, marks.device) for size in range(drop, J - drop)]
        turns.append(_Turn(moves, marks[:, judge], _all_of(first, before), _all_of(last, after)))
    return turns


def _moves(judge: int, others: Sequence[int], size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Places of the sets of ``size`` others, and of the same with the judge, in the order of ``combinations``."""
    everyone = range(len(others) + 1)
    place = {read: number for n in (size, size + 1) for number, read in enumerate(combinations(everyone, n))}
    found = [(place[read], place[tuple(sorted((*read, judge)))]) for read in combinations(others, size)]
    sets, joined = torch.tensor(found, device=device).T
    return sets, joined


def _all_of(groups: Sequence[tuple[int, ...]], probabilities: Tensor) -> Tensor:
    """(B, J, K) → (B, groups, K): the product over the judges of each group."""
    index = torch.tensor(groups, dtype=torch.int64, device=probabilities.device)  # (groups, drop)
    return probabilities[:, index].prod(2)


def _convolve(first: Tensor, other: Tensor) -> Tensor:
    """(B, M), (B, N) probabilities of two independent sums → (B, M + N − 1) of theirs."""
    kernel = other.flip(-1)[:, None]
    return conv1d(first[None], kernel, padding=other.shape[-1] - 1, groups=len(first))[0]


def _edges(total: Tensor) -> Tensor:
    """(S + 1,) edges of bins centred on 0, 1, … S − 1."""
    return torch.arange(total.shape[-1] + 1, dtype=total.dtype, device=total.device) - 0.5


def _histogram(probabilities: Tensor, edges: Tensor) -> Binned:
    return Binned(probabilities.clamp_min(torch.finfo(probabilities.dtype).tiny).log(), edges)


def _rule(method: str, labels: LabelSpec) -> Rule:
    if not labels.judges or labels.marks is None:
        raise OptionError(
            f"{method} learns the marks of the judges, and these labels have none; "
            "give columns judge_1, judge_2, … in a manifest, or take a method that learns the score"
        )
    if labels.rule is None:
        raise OptionError(
            f"{method} needs the rule that makes a score of the {labels.judges} marks, and these labels name none; "
            "give the manifest one, as in --data manifest:rule=diving"
        )
    rule = RULES[labels.rule]
    if rule.name not in ("diving", "synchronised_diving", "sum_of_items"):
        raise OptionError(f"{method} adds up marks, and the rule {rule.name} does more; take a method of the score")
    if labels.judges not in rule.judges:
        known = " or ".join(map(str, rule.judges))
        raise OptionError(f"{method}: the rule {rule.name} needs {known} marks, and these labels have {labels.judges}")
    return rule
