"""Contrastive regression: score differences to exemplars with known scores.

Shared by CoRe and its DAE variant: the memory of exemplars, the pairs and the tree. The memory holds the mean clip
features of the training videos, sorted by score. A new video costs one pass through a backbone; the released code
passes every exemplar through it again for every video.
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
MatchOption = Annotated[Match, Field(description="exemplars of the same or nearest declared difficulty, or of any")]

_UNKNOWN = 1e9
"""Stands for an unknown difficulty: equal to other unknown ones, and equally far from all known ones."""
_EDGE_EXEMPLARS = 4096
"""Maximum number of exemplars used to compute the leaf edges: 8 million pairs are enough for a quantile."""


class ExemplarRegression(Method):
    """Regression tree on pairs of an exemplar and a video.

    Args:
        features: Spec of the input features, which must be vectors.
        labels: Labels, of which only the scale is used.
        outputs: Number of outputs per leaf.
        depth: Depth of the tree.
        node_width: Channels of its nodes.
        voters: Exemplars for each video.
        match: Whether exemplars have the nearest declared difficulty.

    Attributes:
        exemplars: (M, D) mean clip features.
        scores: (M,) ascending.
        difficulties: (M,) declared, or 1e9 if unknown.
        edges: (L/2 + 1,) edges of the leaves of positive differences.
        outside: () number of pairs, among those that gave the edges, that differ by more than the last edge (the score
            span).
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
        """Return the loss (P,) of the true leaves' outputs (P, outputs) for true positions (P,)."""

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """For each video and one exemplar, in both orders: −log p of the true leaf, and the loss of the position."""
        known = batch.labelled_rows()
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
        """Store the exemplars and compute the edges of the leaves from their score differences.

        Raises:
            DataError: If no video is labelled.
        """
        if len(train) == 0:
            raise DataError("contrastive regression needs labelled videos to compare with, but there are none")
        train = train.select(train.score.argsort(stable=True))
        self.exemplars = self.pool(train.features, train.clips)
        self.scores, self.difficulties = train.score, train.difficulty.nan_to_num(nan=_UNKNOWN)
        sizes = self._differences()
        self.edges = quantile_edges(sizes, self.leaves, self.scale.span)
        self.outside = (sizes > self.scale.span).sum()

    @torch.no_grad()
    def partners(self, known: Batch, features: Tensor) -> Tensor:
        """Draw a random exemplar (B,) for each video, not itself, from those as near in difficulty as its voters.

        A video is identified with the exemplar that has its score and the nearest features. A single exemplar is paired
        with itself.
        """
        distance = torch.cdist(features, self.exemplars).masked_fill(known.score[:, None] != self.scores, torch.inf)
        itself = distance.isfinite() & (distance == distance.amin(1, keepdim=True))
        apart = self._apart(known.difficulty).masked_fill(itself, torch.inf)
        count = max(1, min(self.voters, len(self.scores) - 1))
        near = apart <= apart.kthvalue(count, dim=1, keepdim=True).values
        return torch.rand_like(apart).masked_fill(~near, -1).argmax(1)

    def voters_of(self, difficulty: Tensor) -> Tensor:
        """Return the V exemplars nearest in difficulty, (B,) → (B, V); ties are taken evenly over their scores."""
        apart = self._apart(difficulty)
        count = min(self.voters, len(self.scores))
        farthest = apart.kthvalue(count, dim=1, keepdim=True).values
        nearer, tied = apart < farthest, apart == farthest
        missing, candidates = count - nearer.sum(1, keepdim=True), tied.sum(1, keepdim=True)
        reached = (tied.cumsum(1) * missing + candidates // 2) // candidates
        before = ((tied.cumsum(1) - 1) * missing + candidates // 2) // candidates
        chosen = nearer | (
            tied & (reached > before)
        )  # `count` of them in each row, whose numbers come first when sorted
        place = torch.arange(chosen.shape[1], device=chosen.device)
        return torch.where(chosen, place, chosen.shape[1]).sort(1).values[:, :count]

    def votes(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return log-probabilities (B, V, L), outputs (B, V, L, ·) and scores (B, V, L) for B videos and V exemplars.

        The scores are those at the lower end of each leaf: the exemplar's score plus the smallest difference.
        """
        chosen = self.voters_of(batch.difficulty)
        videos = self.pool(batch.features, batch.clips)[:, None].expand(*chosen.shape, -1)
        pairs = self._pair(self.exemplars[chosen], self.scores[chosen], videos)
        log_probability, outputs = self.tree(pairs.flatten(0, 1))
        low, _ = intervals(self.edges)
        base = self.scores[chosen][..., None] + low
        return log_probability.unflatten(0, chosen.shape), outputs.unflatten(0, chosen.shape), base

    def _pair(self, first: Tensor, score: Tensor, second: Tensor) -> Tensor:
        """Concatenate the video with known score, the other, and that score as a share: → (…, 2 D + 1)."""
        share = (score - self.scale.low) / self.scale.span
        return torch.cat([first, second, share[..., None]], dim=-1)

    def _apart(self, difficulty: Tensor) -> Tensor:
        """Return absolute differences of declared difficulty, (B,) → (B, M)."""
        if self.match == "none":
            return difficulty.new_zeros(*difficulty.shape, *self.scores.shape)
        return (difficulty.nan_to_num(nan=_UNKNOWN)[:, None] - self.difficulties).abs()

    def _differences(self) -> Tensor:
        """Return |difference| (G,) of pairs of equal difficulty; of all pairs if those are fewer than the exemplars."""
        count = len(self.scores)
        thin = torch.linspace(0, count - 1, min(count, _EDGE_EXEMPLARS), device=self.scores.device).long()
        sizes = F.pdist(self.scores[thin, None], p=1)
        equal = F.pdist(self.difficulties[thin, None], p=1) == 0
        return sizes[equal] if self.match == "difficulty" and equal.sum() >= len(thin) else sizes


def mixture(log_probability: Tensor, mean: Tensor, std: Tensor) -> Mixture:
    """Build B mixtures from the leaves of all voters, (B, V, L) each; every voter has the same weight."""
    return Mixture(log_probability.flatten(1), Normal(mean.flatten(1), std.flatten(1)))
