"""Cross-conformal prediction: calibrated answers of an ensemble, fitted on samples that its members did not see.

Each of n training samples was held out from one member. Its normal score under that member's answer says how wrong the
member was, in units of its predicted spread. The calibrated answer to a new recording consists of n equally likely
scores: for each training sample, the score that is as far from the answer of the same member. (CV+: Barber et al. 2021,
"Predictive inference with the jackknife+", section 3. As a predictive distribution: Vovk et al. 2018, "Cross-conformal
predictive distributions".)

**Guarantee.** If samples are exchangeable, an interval of level p holds a new score with a probability of at least
2p − 1 − √(2/n) (Barber et al., theorem 4). In practice the probability is about p: in simulations, 90 % intervals hold
88 to 93 % of new scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, Self, cast, get_args

import numpy as np
import torch
from torch import Tensor

from aqakit.errors import DataError, OptionError
from aqakit.scores.distributions import Normal, Point, Quantiles, ScoreDistribution
from aqakit.scores.recalibration import LEVELS
from aqakit.types import ScoreScale

Base = Literal["conformal", "absolute", "isotonic"]
"""What a distance is measured by: the predicted spread, points of the score, or the predicted shape."""

_SMALLEST = 1e-6  # a spread of 0 counts as this


@dataclass(frozen=True)
class CrossConformal:
    """Normal scores of n held-out samples.

    Attributes:
        base: what they are measured by.
        member: for each sample, the member that did not see it.
        distance: its normal score under the answer of that member; signed.
        weight: how many of the n samples a new one counts for: 1, or more if samples of a group share their errors.
    """

    kind: ClassVar[str] = "cross-conformal"

    base: Base
    member: tuple[int, ...]
    distance: tuple[float, ...]
    weight: float = 1.0

    @classmethod
    def fit(
        cls,
        held_out: ScoreDistribution,
        score: Tensor,
        member: Sequence[int],
        base: str = "conformal",
        groups: int | None = None,
    ) -> Self:
        """Measure the held-out answers (n,) against the true scores (n,); rows without a score (NaN) are left out.

        Args:
            held_out: the answer for each sample, by the member that did not see it.
            score: (n,) true scores.
            member: (n,) numbers of these members.
            base: what distances are measured by.
            groups: number of groups that the samples come from, if whole groups were held out.

        Raises:
            OptionError: no such base.
            DataError: fewer than two samples have a score.
        """
        if base not in get_args(Base):
            raise OptionError(f"recalibrate {base} is for a single model; several take {', '.join(get_args(Base))}")
        known = ~score.isnan()
        if int(known.sum()) < 2:
            raise DataError("cross-conformal intervals need at least two held-out samples with scores")
        measured = _measure(cast(Base, base), held_out.detach().select(known)).normal_score(score[known])
        chosen = torch.as_tensor(member)[known]
        weight = 1.0 if groups is None else (1 + math.sqrt(max(1.0, len(chosen) / groups))) / 2
        return cls(cast(Base, base), tuple(chosen.tolist()), tuple(measured.double().tolist()), weight)

    def apply(self, members: Sequence[ScoreDistribution], scale: ScoreScale | None = None) -> Quantiles:
        """The calibrated answers (B,).

        At level p the interval ends at the ⌈(n + 1)(1 + p)/2⌉-th smallest and the ⌈(n + 1)(1 + p)/2⌉-th largest of
        the n scores. If groups of g samples on average were held out, (1 + √g)/2 takes the place of 1, unrounded:
        samples that share their errors tell less than their number says. Where n is too small for a level, the ends
        go on as those of a normal distribution: that is a guess and not a guarantee.

        Args:
            members: the answer of each member, all of batch shape (B,).
            scale: of the scores; intervals are cut to it.
        """
        own = [[d for d, by in zip(self.distance, self.member, strict=True) if by == k] for k in range(len(members))]
        parts = [
            _measure(self.base, one.to(torch.float64)).from_normal_score(
                torch.tensor(distances, dtype=torch.float64)[:, None]
            )  # (n_k, B)
            for one, distances in zip(members, own, strict=True)
            if distances
        ]
        scores = torch.cat(parts).movedim(0, -1).sort(-1).values  # (B, n)
        centre = torch.stack([one.mean.double() for one in members]).mean(0)
        levels, values = self._quantiles(len(self.distance), lambda at: scores[..., at])
        if scale is not None:
            values = values.clamp(scale.low, scale.high)
        return Quantiles(centre, values, levels).to(members[0].dtype)

    def leave_one_out_coverage(self, level: float = 0.9, group: Sequence[object] | None = None) -> Tensor:
        """Whether the interval of each held-out sample (n,) holds its score, calibrated without that sample.

        The answer is that of the member that did not see the sample, so its interval in scores holds the score where
        the interval in distances holds the distance.

        Args:
            level: of the interval.
            group: (n,) groups, if whole groups were held out: the distances of a sample's own group are left out too.
        """
        distance = torch.tensor(self.distance, dtype=torch.float64)
        if group is None:
            return self._without_one(distance, level)
        own = torch.from_numpy(np.unique(np.asarray(group), return_inverse=True)[1])
        held = torch.zeros(len(distance), dtype=torch.bool)
        for part in own.unique():
            inside = own == part
            others = distance[~inside].sort().values
            held[inside] = self._holds(distance[inside], len(others), lambda at: others[at][None], level)  # noqa: B023
        return held

    def _without_one(self, distance: Tensor, level: float) -> Tensor:
        ordered, order = distance.sort()
        rank = order.argsort()[:, None]  # (n, 1)
        return self._holds(distance, len(distance) - 1, lambda at: ordered[at + (at >= rank)], level)

    def _holds(self, distance: Tensor, others: int, at: Callable[[Tensor], Tensor], level: float) -> Tensor:
        """Whether intervals of other distances hold these (n,); ``at`` finds the k-th smallest of the others."""
        if others < 2:
            return torch.zeros(len(distance), dtype=torch.bool)
        levels, values = self._quantiles(others, at)
        low, high = Quantiles(values.new_zeros(len(values)), values, levels).interval(level)
        return (low <= distance) & (distance <= high)

    def _quantiles(self, n: int, at: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Levels (L,) and quantiles (B, L) of n equally likely numbers; ``at`` finds the k-th smallest, k from 0."""
        levels, ranks = _ranks(n, self.weight)
        place = torch.tensor(ranks, dtype=torch.float64) - 1
        below, above = at(place.floor().long()), at(place.ceil().long())
        return torch.tensor(levels, dtype=torch.float64), below + (above - below) * place.frac()

    def to_json(self) -> dict[str, Any]:
        """JSON values from which :meth:`from_json` makes the same again, exactly."""
        return {"kind": self.kind, **asdict(self)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """What :meth:`to_json` described."""
        return cls(stored["base"], tuple(stored["member"]), tuple(stored["distance"]), stored["weight"])


def _measure(base: Base, answer: ScoreDistribution) -> ScoreDistribution:
    """The distribution whose normal scores are the distances."""
    if base == "isotonic" and not isinstance(answer, Point):
        return answer
    if base == "absolute" or isinstance(answer, Point):
        return Normal(answer.mean, torch.ones_like(answer.mean))
    return Normal(answer.mean, answer.std.clamp_min(_SMALLEST))


def _ranks(n: int, weight: float) -> tuple[list[float], list[float]]:
    """Levels of quantiles, increasing, and the rank among n sorted scores that stands for each.

    Ranks are whole numbers, rounded outwards, where a guarantee holds; between two samples that share their errors with
    others there is none, and the rank lies between them. Of several levels that share a rank, the outermost is kept:
    few samples then do not look surer than they are.
    """
    exact = {p: (n + weight) * (1 + p) / 2 for p in LEVELS}
    ranks = {rank if weight > 1 else float(math.ceil(rank - 1e-9)): (1 + p) / 2 for p, rank in exact.items()}
    above = [(level, rank) for rank, level in ranks.items() if n / 2 + 1 <= rank <= n]
    if not above:  # two scores, say: the widest interval there is stands for its own level
        above = [(n / (n + weight), float(n))]
    both = [(1 - level, n + 1 - rank) for level, rank in reversed(above)] + above
    return [level for level, _ in both], [rank for _, rank in both]
