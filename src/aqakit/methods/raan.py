"""RAAN: which of two shows more skill, by pros and cons.

Two branches look for what speaks for skill and what speaks against it (Doughty et al. 2019). Each has three attention
filters over time (Linear–ReLU–Linear, softmax over the clips) and scores what each filter attends to by 2·tanh of a
linear layer; a third scorer sees the plain mean of the clips. The answer is the mean of both branches over their
filters. Four losses of a pair, u being the plain scorer:

- ranking: max(0, 1 − lead of the better one), for the mean of each branch and for u;
- diversity: 0.1 × ‖AᵀA − I‖ of the filters A (clips × filters) of each branch and video;
- disparity: max(0, 0.05 − (least lead of a filter − lead by u)), for each branch: attention leads by more;
- rank-aware: max(0, 0.15 − (least lead of a filter of the branch of pros on the better video over that of cons on the
  worse one − lead by u)).

In the public code, steps alternate: the ranking loss moves the linear layers only, and the other three move the
attention only, at a tenth of the learning rate (``attention_rate``). Here both are in every step and no gradient
reaches the other part. The linear layers start at 0. Published training adds noise of 0.01 to the features of 400
segments (Adam, 1e-4, batches of 128 pairs, 2,000 epochs). Protocol: share of listed pairs in order; there are no
scores.

A data set with scores gives the pairs of each batch: all of two different scores. The answer knows order only: its
units are the mean and spread of the training scores, within two spreads of the mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import linear

from aqakit.methods.parts.base import Method
from aqakit.methods.parts.heads import Units
from aqakit.scores.distributions import Point
from aqakit.types import Batch, FeatureSpec, LabelSpec, ScoreScale, Stream

PAPER = (
    "Doughty et al., The Pros and Cons: Rank-aware Temporal Attention for Skill Determination in Long Videos, "
    "CVPR 2019. https://arxiv.org/abs/1812.05538"
)
FEATURES = FeatureSpec({"i3d": (1024,)})

EARLIER = {"attention_rate": 1.0}
"""Runs that do not say it had one rate."""

BRANCHES = ("pros", "cons")


@dataclass(frozen=True)
class Scores:
    """What the scorers say of videos.

    Attributes:
        filters: (B, K) of each branch, with a gradient for the linear layers only.
        attended: (B, K) of each branch, the same with a gradient for the attention only.
        plain: (B,) of the mean of the clips.
        overlap: (B,) of each branch, ‖AᵀA − I‖ of its filters.
    """

    filters: dict[str, Tensor]
    attended: dict[str, Tensor]
    plain: Tensor
    overlap: dict[str, Tensor]

    def at(self, index: tuple[slice | None, ...]) -> Scores:
        """The same, indexed alike in the axis of videos."""
        filters, attended, overlap = (
            {name: value[index] for name, value in one.items()} for one in (self.filters, self.attended, self.overlap)
        )
        return Scores(filters, attended, self.plain[index], overlap)


class Attention(nn.Module):
    """A branch: K filters over time, and a scorer of what they attend to."""

    def __init__(self, width: int, filters: int, hidden: int) -> None:
        super().__init__()
        self.filters = nn.ModuleList(
            nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 1, bias=False)) for _ in range(filters)
        )  # a last bias would change nothing under the softmax
        self.score = scorer(width)

    def forward(self, stream: Stream) -> tuple[Tensor, Tensor, Tensor]:
        """Return filters (B, N, K), and scores (B, K) that train the scorer, and those that train the filters."""
        raw = torch.cat([one(stream.features) for one in self.filters], dim=2)
        attention = raw.masked_fill(~stream.clips[..., None], -torch.inf).softmax(1)
        features = torch.where(stream.clips[..., None], stream.features, 0.0)
        seen = attention.transpose(1, 2) @ features  # (B, K, D)
        scorer = self.score.weight.detach(), self.score.bias.detach()
        return attention, _squashed(self.score(seen.detach())), _squashed(linear(seen, *scorer))


def scorer(width: int) -> nn.Linear:
    """A linear layer to one number, which starts at 0: no video leads before something is learnt."""
    layer = nn.Linear(width, 1)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _squashed(score: Tensor) -> Tensor:
    return 2 * score.squeeze(-1).tanh()


class RAAN(Method):
    """Predict a point for each video."""

    supports_vmap = True

    def __init__(
        self,
        width: int,
        scale: ScoreScale,
        *,
        filters: int,
        hidden: int,
        margins: tuple[float, float, float],
        diversity: float,
        attention_rate: float,
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleDict({name: Attention(width, filters, hidden) for name in BRANCHES})
        self.plain = scorer(width)
        self.units = Units(scale)
        self.margins, self.diversity = margins, diversity
        self.rates = {f"branches.{name}.filters": attention_rate for name in BRANCHES}

    def start(self, train: Batch) -> None:
        """Use the mean and the spread of the training scores."""
        self.units.start_at(train.score)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Ranking, diversity, disparity and rank-aware loss of all pairs of labelled videos with different scores."""
        known = batch.labelled_rows()
        said = self._scores(known)
        better = (known.score[:, None] > known.score).to(said.plain.dtype)  # (B, B)
        rows, columns = (slice(None), None), (None, slice(None))
        terms = self._terms(said.at(rows), said.at(columns))
        return {name: (better * term).sum() / better.sum().clamp(min=1) for name, term in terms.items()}

    def pair_losses(self, pairs: Batch, weight: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """The same of the pairs themselves; the noise of judges has no part in hinge losses."""
        said, count = self._scores(pairs), len(weight)
        terms = self._terms(said.at((slice(count),)), said.at((slice(count, None),)))
        return {f"pairs_{name}": (weight * term).mean() for name, term in terms.items()}

    def predict(self, batch: Batch) -> Point:
        """Return B points."""
        said = self._scores(batch).filters
        return Point(self.units(torch.stack([said[name].mean(1) for name in BRANCHES]).mean(0)))

    def _scores(self, batch: Batch) -> Scores:
        stream = Stream(batch.features, batch.clips)
        filters, attended, overlap = {}, {}, {}
        for name, branch in self.branches.items():
            attention, filters[name], attended[name] = branch(stream)
            gram = attention.transpose(1, 2) @ attention  # (B, K, K)
            overlap[name] = torch.linalg.vector_norm(gram - torch.eye(gram.shape[1], device=gram.device), dim=(1, 2))
        mean = torch.where(stream.clips[..., None], stream.features, 0.0).sum(1) / stream.clips.sum(1, keepdim=True)
        return Scores(filters, attended, _squashed(self.plain(mean)), overlap)

    def _terms(self, better: Scores, worse: Scores) -> dict[str, Tensor]:
        """The losses of pairs, of any shape to which both sides broadcast."""
        rank, disparity, aware = self.margins
        plain = better.plain - worse.plain
        leads = [better.filters[name].mean(-1) - worse.filters[name].mean(-1) for name in BRANCHES]
        least = [(better.attended[name] - worse.attended[name]).amin(-1) - plain.detach() for name in BRANCHES]
        pros, cons = BRANCHES
        gap = (better.attended[pros] - worse.attended[cons]).amin(-1) - plain.detach()
        overlap = [better.overlap[name] + worse.overlap[name] for name in BRANCHES]
        return {
            "ranking": torch.stack([(rank - lead).relu() for lead in [*leads, plain]]).sum(0),
            "diversity": self.diversity * torch.stack(overlap).sum(0),
            "disparity": torch.stack([(disparity - lead).relu() for lead in least]).sum(0),
            "rank_aware": (aware - gap).relu(),
        }


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    filters: Annotated[int, Field(gt=0, description="attention filters of each branch")] = 3,
    attention_width: Annotated[int, Field(gt=0, description="hidden units of a filter")] = 256,
    rank_margin: Annotated[float, Field(ge=0, description="required lead of the better video, of scores to ±2")] = 1.0,
    disparity_margin: Annotated[
        float, Field(ge=0, description="by how much the lead of every filter should exceed that of the plain mean")
    ] = 0.05,
    aware_margin: Annotated[
        float, Field(ge=0, description="the same of pros of the better over cons of the worse video")
    ] = 0.15,
    diversity_weight: Annotated[float, Field(ge=0, description="weight of the overlap of the filters")] = 0.1,
    attention_rate: Annotated[
        float, Field(gt=0, description="learning rate of the attention, as a share of the run's")
    ] = 0.1,
) -> RAAN:
    """Build RAAN for these features and labels."""
    return RAAN(
        features.width,
        labels.scale,
        filters=filters,
        hidden=attention_width,
        margins=(rank_margin, disparity_margin, aware_margin),
        diversity=diversity_weight,
        attention_rate=attention_rate,
    )
