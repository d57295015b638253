"""DAE: a distribution auto-encoder for the score.

An encoder predicts a normal distribution of the score for each video: mean μ and log-variance (Zhang et al., eq. 1–3).
Two versions of its loss were published, and both are available:

- ``loss="likelihood"`` (the journal version): weighted Gaussian likelihood α (g−μ)²/σ² + β log σ², α = 0.6, β = 0.4.
  The released code divides by the squared error instead and detaches the spread from the gradient; it cannot run. This
  is the only version with a meaningful spread, and therefore the default.
- ``loss="reconstruction"`` (the first version): α (y−g)² of a reparametrised sample y in every epoch, plus the support
  term β (μ−g)² once every ``support_every`` epochs (ten in the paper; 1, every epoch, in the released code). ``noise``
  covers a second ambiguity: y = μ + ε σ in the code, y = μ + ε σ² in the paper.

The released code predicts a random sample; here the prediction is the distribution itself, whose mean is μ.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from aqakit.errors import OptionError
from aqakit.methods.parts.base import DropoutOption, HiddenOption, Method, PoolingOption, Trunk, mean_loss
from aqakit.methods.parts.heads import NormalHead
from aqakit.methods.parts.losses import normal_nll, reconstruction, squared_error
from aqakit.scores.distributions import Normal
from aqakit.types import Batch, FeatureSpec, LabelSpec

PAPER = (
    "Zhang et al., Auto-Encoding Score Distribution Regression for Action Quality Assessment, "
    "Neural Computing and Applications 2023. https://arxiv.org/abs/2111.11029"
)
FEATURES = FeatureSpec({"i3d": (1024,)})

LossOption = Annotated[
    Literal["likelihood", "reconstruction"], Field(description="loss of the journal version, or of the first version")
]
AlphaOption = Annotated[float | None, Field(gt=0, description="weight of the error or reconstruction term (0.6, or 1)")]
BetaOption = Annotated[float | None, Field(gt=0, description="weight of the log-variance or support term (0.4, or 1)")]
SupportOption = Annotated[
    int | None, Field(gt=0, description="epochs between support terms, reconstruction loss only (10)")
]
NoiseOption = Annotated[
    Literal["deviation", "variance"] | None,
    Field(description="scale of the sampling noise: σ or σ², reconstruction loss only (deviation)"),
]


class DAE(Method):
    """Predict a normal distribution for each video; subclasses define the loss."""

    def __init__(self, trunk: Trunk, head: NormalHead) -> None:
        super().__init__()
        self.trunk, self.head = trunk, head

    def predict(self, batch: Batch) -> Normal:
        """Return B normals."""
        return self.head(self.trunk(batch))


class LikelihoodDAE(DAE):
    """DAE trained with the weighted Gaussian likelihood."""

    def __init__(self, trunk: Trunk, head: NormalHead, *, alpha: float, beta: float) -> None:
        super().__init__(trunk, head)
        self.alpha, self.beta = alpha, beta

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """α (g−μ)²/σ² + β log σ²."""
        known = batch.select(batch.labelled)
        loss = normal_nll(self.predict(known), known.score, alpha=self.alpha, beta=self.beta)
        return {"likelihood": mean_loss(loss)}


class ReconstructionDAE(DAE):
    """DAE trained with the squared error of a sample in every epoch, and of the mean in some."""

    def __init__(
        self,
        trunk: Trunk,
        head: NormalHead,
        *,
        alpha: float,
        beta: float,
        support_every: int,
        noise: Literal["deviation", "variance"],
    ) -> None:
        super().__init__(trunk, head)
        self.alpha, self.beta = alpha, beta
        self.support_every, self.noise = support_every, noise

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """α (y−g)², and β (μ−g)² in every ``support_every``-th epoch."""
        known = batch.select(batch.labelled)
        normal = self.predict(known)
        drawn = reconstruction(normal, known.score, torch.randn_like(normal.mean), reading=self.noise)
        terms = {"reconstruction": self.alpha * mean_loss(drawn)}
        if (self.epoch + 1) % self.support_every == 0:
            terms["support"] = self.beta * mean_loss(squared_error(normal, known.score))
        return terms


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    loss: LossOption = "likelihood",
    alpha: AlphaOption = None,
    beta: BetaOption = None,
    support_every: SupportOption = None,
    noise: NoiseOption = None,
    pooling: PoolingOption = "average",
    hidden: HiddenOption = (256, 128),
    dropout: DropoutOption = 0.0,
) -> DAE:
    """Build DAE for these features and labels.

    Raises:
        OptionError: If ``support_every`` or ``noise`` is given with the likelihood loss, which would ignore it.
    """
    trunk = Trunk(features, pooling=pooling, hidden=hidden, dropout=dropout)
    head = NormalHead(trunk.width, labels.scale)
    if loss == "reconstruction":
        return ReconstructionDAE(
            trunk,
            head,
            alpha=alpha or 1.0,
            beta=beta or 1.0,
            support_every=support_every or 10,
            noise=noise or "deviation",
        )
    if support_every is not None or noise is not None:
        raise OptionError("dae: support_every and noise apply only to loss=reconstruction; remove them")
    return LikelihoodDAE(trunk, head, alpha=alpha or 0.6, beta=beta or 0.4)
