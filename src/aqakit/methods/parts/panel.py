"""One model per judge and the scoring rule of the sport: shared by MUSDL and DAE with judges.

The rules that add up marks have one form: each panel of judges drops its highest and lowest marks, the others are
added, and the sum is multiplied by a factor. :class:`Panel` computes the distribution of the score from those of the
marks. Judges are assumed to be independent given the video: errors that they share, such as a misleading view, are not
part of the spread.
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
from aqakit.system.wording import option
from aqakit.types import Batch, LabelSpec

_CELLS = 64
_REACH = 4.5
"""Standard deviations on either side covered by the grid of a normal mark; a probability of 7e-6 lies outside."""


class JudgeMethods(Method):
    """One independent method per judge, trained on that judge's marks."""

    def __init__(self, judges: Sequence[Method], panel: Panel) -> None:
        super().__init__()
        self.judges, self.panel = nn.ModuleList(judges), panel

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of the judges' methods, summed over the judges, for rows with known marks."""
        known = batch.select(batch.labelled & ~batch.judges.isnan().any(1))
        terms: dict[str, Tensor] = {}
        for method, marks in zip(self._methods(), known.judges.T, strict=True):
            method.epoch = self.epoch
            for name, term in method.losses(known.replace(score=marks)).items():
                terms[name] = terms[name] + term if name in terms else term
        return terms

    def start(self, train: Batch) -> None:
        """Each judge's method starts at that judge's marks."""
        known = train.select(~train.judges.isnan().any(1))
        for method, marks in zip(self._methods(), known.judges.T, strict=True):
            if len(marks):
                method.start(known.replace(score=marks))

    def marks(self, batch: Batch) -> list[ScoreDistribution]:
        """Predict the marks of each judge: J distributions of (B,) marks."""
        return [method.predict(batch) for method in self._methods()]

    def _methods(self) -> list[Method]:
        return cast(list[Method], list(self.judges))


@dataclass(frozen=True)
class Panel:
    """The judges of a sport and how its rule adds up their marks.

    Attributes:
        rule: The rule, with its name and the score of known marks.
        sizes: Number of judges of each panel, in the order of the marks.
        drops: Number of marks that each panel drops at either end.
        factor: Factor of the sum.
        difficulty: Whether the sum is also multiplied by the declared difficulty of the video.
    """

    rule: Rule
    sizes: tuple[int, ...]
    drops: tuple[int, ...]
    factor: float = 1.0
    difficulty: bool = False

    @property
    def kept(self) -> int:
        """Number of marks that are added."""
        return sum(self.sizes) - 2 * sum(self.drops)

    def point(self, marks: Tensor, batch: Batch) -> Tensor:
        """Map marks (B, J) to scores (B,)."""
        return self.rule.score(marks, self._difficulty(batch))

    def binned(self, marks: Binned, batch: Batch) -> ScoreDistribution:
        """Map (B, J) histograms over equal bins to B exact scores, with a bin centred on each possible total."""
        low, step = marks.centres[0], marks.widths.mean()
        total = self.total(marks.probabilities)
        edges = self.factor * (self.kept * low + step * _edges(total))
        return self._times_difficulty(_histogram(total, edges), batch)

    def normal(self, marks: Normal, batch: Batch) -> ScoreDistribution:
        """Map (B, J) normals to B scores: an exact normal if no mark is dropped, otherwise a histogram.

        The bins come from rounding the marks to a grid of 64 points per video. The grid covers the range of the kept
        marks: a judge who is far from the others, or far less certain, is dropped and does not coarsen it. A spread
        below one step is rounded up to one.
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
        """Map probabilities (B, J, K) of K equal steps of each mark to those of each sum, (B, kept × (K − 1) + 1)."""
        panels = zip(marks.split_with_sizes(self.sizes, 1), self.drops, strict=True)
        first, *others = [middle_total(panel, drop) for panel, drop in panels]
        for other in others:
            first = _convolve(first, other)
        return first

    def _range(self, marks: Normal) -> tuple[Tensor, Tensor]:
        """Return the ends (B,) of the range of the kept marks, dropping ends of the judges' ranges like marks."""
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
                f"the rule {self.rule.name} multiplies the judges' total by the declared difficulty, but "
                f"{missing} of {len(batch)} videos have none; give {option('difficulty')}, or a difficulty column in "
                "the manifest"
            )
        return batch.difficulty


def panel_of(method: str, labels: LabelSpec) -> Panel:
    """Return the panel for these labels; the declared difficulty is a factor unless the target excludes it.

    Raises:
        OptionError: If there are no judges, no rule, a rule of another form, or the wrong number of judges.
    """
    rule = _rule(method, labels)
    difficulty = rule.difficulty and labels.total is not None
    if rule.name == "synchronised_diving":
        sizes = {11: (3, 3, 5), 9: (4, 5), 5: (5,)}[labels.judges]
        dropped = 0 if labels.judges == 5 else 1
        return Panel(rule, sizes, (dropped,) * len(sizes), 0.6, difficulty)
    drop = (labels.judges - 3) // 2 if rule.name == "diving" else 0
    return Panel(rule, (labels.judges,), (drop,), 1.0, difficulty)


def middle_total(marks: Tensor, drop: int) -> Tensor:
    """Return the exact distribution of the sum of a panel's marks without the highest and the lowest.

    Dynamic programming: marks are processed in ascending order, ties in the order of the judges. The sum starts with
    the judge who comes after ``drop`` others. From then on, the state is the set of judges processed and the sum so
    far. Once the sum is complete, the remaining judges only need higher marks.

    Args:
        marks: (B, J, K) probability of each of K equal steps for each of J independent judges.
        drop: Number of marks dropped at either end.

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
    # reached[n]: (B, sets of judges processed, sums of n marks)
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
    """Transitions of the dynamic programme for one judge, for each of the K steps of the mark.

    Attributes:
        moves: For each number of marks already added, the sets of other judges processed, and the sets they become.
        mark: (B, K) probability of the mark.
        lower: (B, sets, K) probability that all judges of a first set come before it.
        higher: (B, sets, K) probability that all judges outside a last set come after it.
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
    """Return indices of the sets of ``size`` others, without and with the judge, in the order of ``combinations``."""
    everyone = range(len(others) + 1)
    place = {read: number for n in (size, size + 1) for number, read in enumerate(combinations(everyone, n))}
    found = [(place[read], place[tuple(sorted((*read, judge)))]) for read in combinations(others, size)]
    sets, joined = torch.tensor(found, device=device).T
    return sets, joined


def _all_of(groups: Sequence[tuple[int, ...]], probabilities: Tensor) -> Tensor:
    """Multiply over the judges of each group: (B, J, K) → (B, groups, K)."""
    index = torch.tensor(groups, dtype=torch.int64, device=probabilities.device)  # (groups, drop)
    return probabilities[:, index].prod(2)


def _convolve(first: Tensor, other: Tensor) -> Tensor:
    """Convolve the probabilities of two independent sums: (B, M), (B, N) → (B, M + N − 1)."""
    kernel = other.flip(-1)[:, None]
    return conv1d(first[None], kernel, padding=other.shape[-1] - 1, groups=len(first))[0]


def _edges(total: Tensor) -> Tensor:
    """Return the edges (S + 1,) of bins centred on 0, 1, … S − 1."""
    return torch.arange(total.shape[-1] + 1, dtype=total.dtype, device=total.device) - 0.5


def _histogram(probabilities: Tensor, edges: Tensor) -> Binned:
    return Binned(probabilities.clamp_min(torch.finfo(probabilities.dtype).tiny).log(), edges)


def _rule(method: str, labels: LabelSpec) -> Rule:
    if not labels.judges or labels.marks is None:
        raise OptionError(
            f"{method} learns the marks of the judges, but these labels have none; "
            "add columns judge_1, judge_2, … to the manifest, or choose a method that learns the score"
        )
    if labels.rule is None:
        raise OptionError(
            f"{method} needs the rule that turns the {labels.judges} marks into a score, but these labels have none; "
            f"set one, as in {option('data', 'manifest:rule=diving')}"
        )
    rule = RULES[labels.rule]
    if rule.name not in ("diving", "synchronised_diving", "sum_of_items"):
        raise OptionError(f"{method} adds up marks, but the rule {rule.name} does more; choose a method of the score")
    if labels.judges not in rule.judges:
        known = " or ".join(map(str, rule.judges))
        raise OptionError(f"{method}: the rule {rule.name} needs {known} marks, but these labels have {labels.judges}")
    return rule
