"""CoRe: contrastive regression against known exemplars.

It predicts the score difference between a video and exemplars with known scores.

A regression tree classifies the difference into intervals that are equally frequent in training, and regresses the
position within the interval (Yu et al., section 3). Published settings: with ``target=total`` the exemplars have the
same difficulty; with ``target=score`` they are arbitrary (``match=none``). ``match=kind``
compares with the same dive number. Where paper, public code and this
implementation differ:

- *differences outside every leaf*: the code labels them as the most negative leaf; here they belong to the outermost
  leaf on their side. The last edge is the span of the score scale, so scores within the scale never cause them;
- *position loss*: the code sums the means of the leaves over its batch of one or two videos; here it is the mean over
  pairs, so that rare leaves do not weigh more in larger batches. Only the true leaf is trained, as published;
- *exemplars at prediction*: random in the code, so its predictions are random too. Here they are fixed: those with the
  same declared difficulty, then those with the nearest, spread evenly over their scores;
- *exemplars in training*: they come from the memory, which is recomputed every epoch if the backbone is fine-tuned. The
  gradient reaches the backbone through one video of a pair, in both of its roles; in the published code through both;
- *answer*: the code takes the most probable leaf and averages over the voters; ``answer="votes"`` gives this point. The
  default keeps all leaves of all voters as a mixture of normals. Each is centred on the regressed position and has the
  standard deviation of a uniform distribution over the interval (its width ÷ √12), because the tree predicts its own
  error no more finely.
"""

from torch import Tensor

from aqakit.methods.parts.exemplars import Match, MatchOption, VotersOption
from aqakit.methods.parts.interval_regression import (
    Answer,
    AnswerOption,
    DepthOption,
    ExemplarRegression,
    NodeWidthOption,
)
from aqakit.scores.distributions import Mixture, Point
from aqakit.types import Batch, FeatureSpec, LabelSpec

PAPER = (
    "Yu et al., Group-aware Contrastive Regression for Action Quality Assessment, ICCV 2021. "
    "https://arxiv.org/abs/2108.07797"
)
FEATURES = FeatureSpec({"i3d": (1024,)})


class CoRe(ExemplarRegression):
    """Predict a mixture over exemplars and leaves, or the mean vote of the exemplars, for each video."""

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
        """Return B mixtures of normals, or B points."""
        log_probability, outputs, score = self.votes(batch)
        return self.answer_of(log_probability, outputs.squeeze(-1), score, self.answer)


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    depth: DepthOption = 5,
    node_width: NodeWidthOption = 256,
    voters: VotersOption = 10,
    match: MatchOption = "difficulty",
    answer: AnswerOption = "distribution",
) -> CoRe:
    """Build CoRe for these features and labels."""
    return CoRe(features, labels, depth=depth, node_width=node_width, voters=voters, match=match, answer=answer)
