"""Contrastive regression on intervals of score differences, as in CoRe and the temporal parsing transformer.

A network classifies the difference to an exemplar into intervals that are equally frequent in training, and regresses
the position within each.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from aqakit.methods.parts.base import mean_loss
from aqakit.methods.parts.exemplars import SHARPEST, ExemplarMethod, mixture
from aqakit.methods.parts.regression_tree import RegressionTree, intervals, place, quantile_edges
from aqakit.scores.distributions import Mixture, Point
from aqakit.types import Batch, FeatureSpec, LabelSpec

Answer = Literal["distribution", "votes"]

DepthOption = Annotated[int, Field(ge=2, le=10, description="levels of the tree, which has 2^(depth − 1) leaves")]
NodeWidthOption = Annotated[int, Field(gt=0, description="channels of each node of the tree")]
AnswerOption = Annotated[
    Answer, Field(description="prediction: all leaves of all voters, or the mean of their most probable leaves")
]

_EDGE_EXEMPLARS = 4096
"""Maximum number of exemplars used to compute the leaf edges: 8 million pairs are enough for a quantile."""


class IntervalRegression(ExemplarMethod):
    """A method whose memory also holds the edges of the intervals.

    Args:
        features: Spec of the input features, which must be vectors.
        labels: Labels, of which only the scale is used.
        leaves: Number of intervals (L), even.
        exemplars: Further arguments of :class:`~aqakit.methods.parts.exemplars.ExemplarMethod`.

    Attributes:
        edges: (L/2 + 1,) edges of the leaves of positive differences.
        outside: () number of pairs, among those that gave the edges, that differ by more than the last edge (the score
            span).
    """

    edges: Tensor
    outside: Tensor

    def __init__(self, features: FeatureSpec, labels: LabelSpec, *, leaves: int, **exemplars: Any) -> None:
        super().__init__(features, labels, **exemplars)
        self.leaves = leaves
        self.register_memory("edges")
        self.register_memory("outside", torch.int64)

    @torch.no_grad()
    def remember(self, train: Batch) -> None:
        """Store the exemplars and compute the edges of the leaves from their score differences.

        Raises:
            DataError: If no video is labelled.
        """
        super().remember(train)
        sizes = self._differences()
        self.edges = quantile_edges(sizes, self.leaves, self.scale.span)
        self.outside = (sizes > self.scale.span).sum()

    def answer_of(
        self, log_probability: Tensor, position: Tensor, score: Tensor, answer: Answer = "distribution"
    ) -> Mixture | Point:
        """Return B answers of V voters with L leaves.

        The distribution is a mixture of normals. Each is centred on the regressed position and has the standard
        deviation of a uniform distribution over the interval (its width ÷ √12).

        Args:
            log_probability: (B, V, L) of the leaves.
            position: (B, V, L) within the leaves.
            score: (B, V) of the exemplars.
            answer: The mixture, or the mean vote of the most probable leaves as a point.
        """
        low, width = intervals(self.edges)
        mean = score[..., None] + low + position * width  # (B, V, L)
        if answer == "votes":
            best = log_probability.argmax(-1, keepdim=True)
            return Point(mean.gather(-1, best).squeeze(-1).mean(-1))
        spread = (width / math.sqrt(12)).clamp(min=SHARPEST * self.scale.span)
        return mixture(log_probability, mean, spread.expand_as(mean))

    def _differences(self) -> Tensor:
        """Return |difference| (G,) of pairs of equal kind or difficulty, if those are what a video is compared with.

        If such pairs are fewer than the exemplars, and with any other match, all pairs count.
        """
        count = len(self.scores)
        thin = torch.linspace(0, count - 1, min(count, _EDGE_EXEMPLARS), device=self.scores.device).long()
        sizes = F.pdist(self.scores[thin, None], p=1)
        like = {"kind": self.kinds.to(sizes.dtype), "difficulty": self.difficulties}.get(self.match)
        if like is None:
            return sizes
        equal = F.pdist(like[thin, None], p=1) == 0
        return sizes[equal] if equal.sum() >= len(thin) else sizes


class ExemplarRegression(IntervalRegression):
    """Regression tree on pairs of an exemplar and a video: CoRe and its DAE variant.

    Args:
        features: Spec of the input features, which must be vectors.
        labels: Labels, of which only the scale is used.
        outputs: Number of outputs per leaf.
        depth: Depth of the tree.
        node_width: Channels of its nodes.
        exemplars: Further arguments of :class:`~aqakit.methods.parts.exemplars.ExemplarMethod`.
    """

    def __init__(
        self,
        features: FeatureSpec,
        labels: LabelSpec,
        *,
        outputs: int,
        depth: int,
        node_width: int,
        **exemplars: Any,
    ) -> None:
        super().__init__(features, labels, leaves=2 ** (depth - 1), **exemplars)
        self.tree = RegressionTree(2 * features.width + 1, depth=depth, hidden=node_width, outputs=outputs)

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

    def votes(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return log-probabilities (B, V, L), outputs (B, V, L, ·) and scores (B, V) of V exemplars of B videos."""
        features = self.pool(batch.features, batch.clips)
        chosen = self.voters_of(batch, features)
        videos = features[:, None].expand(*chosen.shape, -1)
        pairs = self._pair(self.exemplars[chosen], self.scores[chosen], videos)
        log_probability, outputs = self.tree(pairs.flatten(0, 1))
        return (
            log_probability.unflatten(0, chosen.shape),
            outputs.unflatten(0, chosen.shape),
            self.scores[chosen],
        )

    def _pair(self, first: Tensor, score: Tensor, second: Tensor) -> Tensor:
        """Concatenate the video with known score, the other, and that score as a share: → (…, 2 D + 1)."""
        share = (score - self.scale.low) / self.scale.span
        return torch.cat([first, second, share[..., None]], dim=-1)
