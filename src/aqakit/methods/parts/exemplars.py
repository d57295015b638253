"""Contrastive regression: how much better or worse than exemplars, whose scores are known.

What CoRe and its DAE variant share: the memory of exemplars, the pairs, and the tree. The memory holds the training
videos' mean clip features in the order of their scores; a new video costs one pass through a backbone, where the
released code passes every exemplar through it again for every video.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from aqakit.errors import DataError
from aqakit.methods.parts import pooling
from aqakit.methods.parts.base import Method, mean_loss
from aqakit.methods.parts.regression_tree import RegressionTree, intervals, place, quantile_edges
from aqakit.scores.distributions import Mixture, Normal
from aqakit.types import Batch, FeatureSpec, LabelSpec

Match = Literal["difficulty", "none"]

DepthOption = Annotated[int, Field(ge=2, le=10, description="levels of the tree, which has 2^(depth − 1) leaves")]
NodeWidthOption = Annotated[int, Field(gt=0, description="channels of each node of the tree")]
VotersOption = Annotated[int, Field(gt=0, description="exemplars that each video is compared with")]
MatchOption = Annotated[
    Match, Field(description="exemplars of the same or nearest declared difficulty, or whatever the difficulty")
]

_UNKNOWN = 1e9
"""Stands for a difficulty that is not declared: the same as any other such, and equally far from all that are."""
_EDGE_EXEMPLARS = 4096
"""The leaves' edges come from at most so many exemplars: 8 million pairs show a quantile well enough."""


class ExemplarRegression(Method):
    """A regression tree on pairs of an exemplar and a video.

    Args:
        features: vectors.
        labels: of which the scale is used.
        outputs: what a leaf regresses.
        depth: of the tree.
        node_width: channels of its nodes.
        voters: exemplars for each video.
        match: whether exemplars are of the nearest declared difficulty.

    Attributes:
        exemplars: (M, D) mean clip features.
        scores: (M,) increasing.
        difficulties: (M,) declared, or 1e9.
        edges: (L/2 + 1,) of the leaves of positive differences.
        outside: () how many of the pairs that gave the edges differ by more than the last of them, the score span.
    """

    exemplars: Tensor
    scores: Tensor
    difficulties: Tensor
    edges: Tensor
    outside: Tensor

    def __init__(
        self,
        features: FeatureSpec,
        labels: LabelSpec,
        *,
        outputs: int,
        depth: int,
        node_width: int,
        voters: int,
        match: Match,
    ) -> None:
        super().__init__()
        self.pool = pooling.build("average", features.width)
        self.tree = RegressionTree(2 * features.width + 1, depth=depth, hidden=node_width, outputs=outputs)
        self.scale, self.leaves, self.voters, self.match = labels.scale, 2 ** (depth - 1), voters, match
        for name in ("exemplars", "scores", "difficulties", "edges"):
            self.register_memory(name)
        self.register_memory("outside", torch.int64)

    @abstractmethod
    def position_loss(self, outputs: Tensor, position: Tensor) -> Tensor:
        """(P, outputs) of the true leaves, (P,) true positions in them → (P,)."""

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Of each video and one exemplar, in both orders: −log p of the true leaf, and the loss of its position."""
        known = batch.select(batch.labelled)
        features = self.pool(known.features, known.clips)
        partner = self.partners(known, features)
        exemplars, scores = self.exemplars[partner], self.scores[partner]
        pairs = torch.cat([self._pair(exemplars, scores, features), self._pair(features, known.score, exemplars)])
        difference = torch.cat([known.score - scores, scores - known.score])
        leaf, position = place(difference, self.edges)
        log_probability, outputs = self.tree.along(pairs, leaf)
        return {
            "leaf": mean_loss(-log_probability),
            "position": mean_loss(self.position_loss(outputs, position)),
        }

    @torch.no_grad()
    def remember(self, train: Batch) -> None:
        """Keep the exemplars, and divide their differences among the leaves.

        Raises:
            DataError: no labelled video.
        """
        if len(train) == 0:
            raise DataError("contrastive regression needs labelled videos to compare with, and there are none")
        train = train.select(train.score.argsort(stable=True))
        self.exemplars = self.pool(train.features, train.clips)
        self.scores, self.difficulties = train.score, train.difficulty.nan_to_num(nan=_UNKNOWN)
        sizes = self._differences()
        self.edges = quantile_edges(sizes, self.leaves, self.scale.span)
        self.outside = (sizes > self.scale.span).sum()

    @torch.no_grad()
    def partners(self, known: Batch, features: Tensor) -> Tensor:
        """(B,) a random exemplar for each video, of those as near in difficulty as its voters would be, but itself.

        Itself is, of the exemplars with its score, the one with the nearest features; a lone exemplar has no other.
        """
        distance = torch.cdist(features, self.exemplars).masked_fill(known.score[:, None] != self.scores, torch.inf)
        itself = distance.isfinite() & (distance == distance.amin(1, keepdim=True))
        apart = self._apart(known.difficulty).masked_fill(itself, torch.inf)
        count = max(1, min(self.voters, len(self.scores) - 1))
        near = apart <= apart.kthvalue(count, dim=1, keepdim=True).values
        return torch.rand_like(apart).masked_fill(~near, -1).argmax(1)

    def voters_of(self, difficulty: Tensor) -> Tensor:
        """(B,) → (B, V) the exemplars nearest in difficulty; equally near ones are taken evenly over their scores."""
        apart = self._apart(difficulty)
        count = min(self.voters, len(self.scores))
        farthest = apart.kthvalue(count, dim=1, keepdim=True).values
        nearer, tied = apart < farthest, apart == farthest
        missing, candidates = count - nearer.sum(1, keepdim=True), tied.sum(1, keepdim=True)
        reached = (tied.cumsum(1) * missing + candidates // 2) // candidates
        before = ((tied.cumsum(1) - 1) * missing + candidates // 2) // candidates
        return (nearer | (tied & (reached > before))).nonzero()[:, 1].reshape(-1, count)

    def votes(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Of B videos and V exemplars: log-probabilities (B, V, L), outputs (B, V, L, ·), and scores (B, V, L).

        The scores are those at the lower end of each leaf: that of the exemplar and the least difference.
        """
        chosen = self.voters_of(batch.difficulty)
        videos = self.pool(batch.features, batch.clips)[:, None].expand(*chosen.shape, -1)
        pairs = self._pair(self.exemplars[chosen], self.scores[chosen], videos)
        log_probability, outputs = self.tree(pairs.flatten(0, 1))
        low, _ = intervals(self.edges)
        base = self.scores[chosen][..., None] + low
        return log_probability.unflatten(0, chosen.shape), outputs.unflatten(0, chosen.shape), base

    def _pair(self, first: Tensor, score: Tensor, second: Tensor) -> Tensor:
        """(…, D), (…), (…, D) → (…, 2 D + 1): the one whose score is told, the other, and that score as a share."""
        share = (score - self.scale.low) / self.scale.span
        return torch.cat([first, second, share[..., None]], dim=-1)

    def _apart(self, difficulty: Tensor) -> Tensor:
        """(B,) → (B, M) absolute differences of declared difficulty."""
        if self.match == "none":
            return difficulty.new_zeros(len(difficulty), len(self.scores))
        return (difficulty.nan_to_num(nan=_UNKNOWN)[:, None] - self.difficulties).abs()

    def _differences(self) -> Tensor:
        """(G,) |difference| of the pairs of equal difficulty; of all pairs where those are fewer than the exemplars."""
        count = len(self.scores)
        thin = torch.linspace(0, count - 1, min(count, _EDGE_EXEMPLARS), device=self.scores.device).long()
        sizes = F.pdist(self.scores[thin, None], p=1)
        equal = F.pdist(self.difficulties[thin, None], p=1) == 0
        return sizes[equal] if self.match == "difficulty" and equal.sum() >= len(thin) else sizes


def mixture(log_probability: Tensor, mean: Tensor, std: Tensor) -> Mixture:
    """(B, V, L) each → B mixtures of all voters' leaves, in which every voter weighs the same."""
    return Mixture(log_probability.flatten(1), Normal(mean.flatten(1), std.flatten(1)))
