"""CoRe + DAE: contrastive regression with normal leaves.

The DAE paper plugs DAE into CoRe and reports results (its DAE-CoRe rows), but has no public code and does not say
where. Our interpretation: the tree, the exemplars and the classification of leaves are those of CoRe
(:mod:`aqakit.methods.core`). In each leaf, a DAE head regresses the position within the interval: a mean and a bounded
log-variance, trained on the true leaf with DAE's likelihood loss α (p−μ)²/σ² + β log σ². The prediction is the mixture
of these normals over all leaves of all exemplars. Its spread is therefore learnt, while that of CoRe comes from the
widths of the intervals.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from aqakit.methods.parts.exemplars import Match, MatchOption, VotersOption, mixture
from aqakit.methods.parts.heads import LOG_VARIANCE_BOUND
from aqakit.methods.parts.interval_regression import DepthOption, ExemplarRegression, NodeWidthOption
from aqakit.methods.parts.losses import normal_nll
from aqakit.methods.parts.regression_tree import intervals
from aqakit.scores.distributions import Mixture, Normal
from aqakit.types import Batch, FeatureSpec, LabelSpec

PAPER = (
    "Zhang et al., Auto-Encoding Score Distribution Regression for Action Quality Assessment, "
    "Neural Computing and Applications 2023. https://arxiv.org/abs/2111.11029"
)
FEATURES = FeatureSpec({"i3d": (1024,)})


class CoReDAE(ExemplarRegression):
    """Predict a mixture of normals over exemplars and leaves for each video."""

    def __init__(
        self,
        features: FeatureSpec,
        labels: LabelSpec,
        *,
        depth: int,
        node_width: int,
        voters: int,
        match: Match,
        alpha: float,
        beta: float,
    ) -> None:
        super().__init__(features, labels, outputs=2, depth=depth, node_width=node_width, voters=voters, match=match)
        self.alpha, self.beta = alpha, beta

    def position_loss(self, outputs: Tensor, position: Tensor) -> Tensor:
        """DAE's likelihood loss of the position."""
        return normal_nll(_normal(outputs), position, alpha=self.alpha, beta=self.beta)

    def predict(self, batch: Batch) -> Mixture:
        """Return B mixtures of normals."""
        log_probability, outputs, score = self.votes(batch)
        low, width = intervals(self.edges)
        position = _normal(outputs)  # (B, V, L)
        return mixture(log_probability, score[..., None] + low + position.loc * width, position.scale * width)


def _normal(outputs: Tensor) -> Normal:
    """Convert mean and unbounded log-variance (…, 2) to normals (…) of the position."""
    log_variance = LOG_VARIANCE_BOUND * torch.tanh(outputs[..., 1] / LOG_VARIANCE_BOUND)
    return Normal(outputs[..., 0], (log_variance / 2).exp())


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    depth: DepthOption = 5,
    node_width: NodeWidthOption = 256,
    voters: VotersOption = 10,
    match: MatchOption = "difficulty",
    alpha: Annotated[float, Field(gt=0, description="weight of squared error ÷ variance")] = 0.6,
    beta: Annotated[float, Field(gt=0, description="weight of the log-variance")] = 0.4,
) -> CoReDAE:
    """Build CoRe with DAE leaves for these features and labels."""
    return CoReDAE(
        features,
        labels,
        depth=depth,
        node_width=node_width,
        voters=voters,
        match=match,
        alpha=alpha,
        beta=beta,
    )
