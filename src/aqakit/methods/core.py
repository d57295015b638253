"""CoRe: contrastive regression against known exemplars.

It predicts the difference to exemplars of known score.

A tree classifies the difference between the scores of two videos into intervals that are equally frequent in training,
and regresses where in its interval it lies (Yu et al., section 3). Published: with ``target=total`` the exemplars are
of the same difficulty; with ``target=score`` they are any, ``match=none``. Where paper and public code differ, and
where we differ from both:

- *differences outside of every leaf* are labelled as the most negative leaf by the code; here they belong to the
  outermost leaf on their side. The scale's span is the last edge, so on a true scale there are none;
- *position loss*: the code adds up means leaf by leaf over its batch of one or two videos; here it is the mean over
  pairs, so that rare leaves do not weigh more in larger batches. Only the true leaf learns, as published;
- *exemplars at prediction* are random in the code, so that its answer is too. Here they are fixed: those of the same
  declared difficulty, then of the nearest, taken evenly over their scores;
- *exemplars in training* come from the memory, which is renewed every epoch where the backbone learns: gradients reach
  a live backbone through one video of a pair, in both of its roles, and the published code's through both;
- *answer*: the code takes the most probable leaf, and the mean over the voters: ``answer="votes"``, a point. The
  default keeps every voter's every leaf, as a normal around the regressed position as wide as the interval is (its
  width ÷ √12, the spread of a uniform), for the tree tells nothing finer of its error.
"""

import math
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from aqakit.methods.parts.exemplars import (
    DepthOption,
    ExemplarRegression,
    Match,
    MatchOption,
    NodeWidthOption,
    VotersOption,
    mixture,
)
from aqakit.methods.parts.regression_tree import intervals
from aqakit.scores.distributions import Mixture, Point
from aqakit.types import Batch, FeatureSpec, LabelSpec

PAPER = (
    "Yu et al., Group-aware Contrastive Regression for Action Quality Assessment, ICCV 2021. "
    "https://arxiv.org/abs/2108.07797"
)
FEATURES = FeatureSpec({"i3d": (1024,)})

Answer = Literal["distribution", "votes"]

_SHARPEST = 1 / 200
"""Least spread of an answer, as a share of the score scale, for intervals that are empty or nearly so."""


class CoRe(ExemplarRegression):
    """A mixture over exemplars and leaves, or the exemplars' mean vote, for each video."""

    def __init__(
        self,
        features: FeatureSpec,
        labels: LabelSpec,
        *,
        depth: int,
        node_width: int,
        voters: int,
        match: Match,
        answer: Answer,
    ) -> None:
        super().__init__(features, labels, outputs=1, depth=depth, node_width=node_width, voters=voters, match=match)
        self.answer = answer

    def position_loss(self, outputs: Tensor, position: Tensor) -> Tensor:
        """Squared error of the position."""
        return (outputs.squeeze(-1) - position).square()

    def predict(self, batch: Batch) -> Mixture | Point:
        """B mixtures of normals, or B points."""
        log_probability, outputs, base = self.votes(batch)
        _, width = intervals(self.edges)
        score = base + outputs.squeeze(-1) * width  # (B, V, L)
        if self.answer == "votes":
            best = log_probability.argmax(-1, keepdim=True)
            return Point(score.gather(-1, best).squeeze(-1).mean(-1))
        spread = (width / math.sqrt(12)).clamp(min=_SHARPEST * self.scale.span)
        return mixture(log_probability, score, spread.expand_as(score))


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    depth: DepthOption = 5,
    node_width: NodeWidthOption = 256,
    voters: VotersOption = 10,
    match: MatchOption = "difficulty",
    answer: Annotated[
        Answer, Field(description="all leaves of all voters, or the mean of their most probable leaves")
    ] = "distribution",
) -> CoRe:
    """CoRe for these features and labels."""
    return CoRe(features, labels, depth=depth, node_width=node_width, voters=voters, match=match, answer=answer)
