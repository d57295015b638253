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

``family`` replaces the normal by another distribution with the same mean and variance layers: Laplace, logistic, or
Student's t with four degrees of freedom. Its likelihood loss is 2 α (log p(μ) − log p(g)) + 2 β log s, where s is the
scale and the first term does not depend on how high the density is at μ. For the normal this is the loss above; for
α = β = ½ it is the negative log-likelihood of any family, up to a constant. The sample y is μ + ε σ with ε drawn from
the family with variance 1.

The ablation has the rows of the paper's Tables V and VI. ``alpha=0`` leaves the support term alone, in every epoch:
then nothing trains the spread, the prediction is a point, and the method is plain regression. So the paper's rows
"regression baseline" and "support loss", which differ there, are one here. ``beta=0`` leaves the reconstruction term.
"""

from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from aqakit.errors import OptionError
from aqakit.methods.parts.base import DropoutOption, HiddenOption, Method, PoolingOption, Trunk, mean_loss
from aqakit.methods.parts.heads import LocationScaleHead, PointHead
from aqakit.methods.parts.losses import location_scale_nll, reconstruction, squared_error
from aqakit.scores.distributions import Laplace, LocationScale, Logistic, Normal, Point, Student
from aqakit.types import Batch, FeatureSpec, LabelSpec

PAPER = (
    "Zhang et al., Auto-Encoding Score Distribution Regression for Action Quality Assessment, "
    "Neural Computing and Applications 2023. https://arxiv.org/abs/2111.11029"
)
FEATURES = FeatureSpec({"i3d": (1024,)})

ABLATION: dict[str, dict[str, Any]] = {
    "regression = support": {"loss": "reconstruction", "alpha": 0, "family": "normal"},
    "reconstruction": {"loss": "reconstruction", "beta": 0},
    "support + reconstruction": {"loss": "reconstruction"},
    "likelihood": {"loss": "likelihood"},
}

_FAMILIES: dict[str, type[LocationScale]] = {
    "normal": Normal,
    "laplace": Laplace,
    "logistic": Logistic,
    "student": Student,
}

LossOption = Annotated[
    Literal["likelihood", "reconstruction"], Field(description="loss of the journal version, or of the first version")
]
AlphaOption = Annotated[float | None, Field(ge=0, description="weight of the error or reconstruction term (0.6, or 1)")]
BetaOption = Annotated[float | None, Field(ge=0, description="weight of the log-variance or support term (0.4, or 1)")]
SupportOption = Annotated[
    int | None, Field(gt=0, description="epochs between support terms, reconstruction loss only (10)")
]
NoiseOption = Annotated[
    Literal["deviation", "variance"] | None,
    Field(description="scale of the sampling noise: σ or σ², reconstruction loss only (deviation)"),
]


class DAE(Method):
    """Predict a distribution for each video; subclasses define the loss."""

    def __init__(self, trunk: Trunk, head: LocationScaleHead) -> None:
        super().__init__()
        self.trunk, self.head, self.supports_vmap = trunk, head, trunk.supports_vmap

    def predict(self, batch: Batch) -> LocationScale:
        """Return B distributions of the family."""
        return self.head(self.trunk(batch))


class LikelihoodDAE(DAE):
    """DAE trained with the weighted likelihood."""

    def __init__(self, trunk: Trunk, head: LocationScaleHead, *, alpha: float, beta: float) -> None:
        super().__init__(trunk, head)
        self.alpha, self.beta = alpha, beta

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """α (g−μ)²/σ² + β log σ², or the same weights with the density of another family."""
        known = batch.labelled_rows()
        loss = location_scale_nll(self.predict(known), known.score, alpha=self.alpha, beta=self.beta)
        return {"likelihood": mean_loss(loss)}


class ReconstructionDAE(DAE):
    """DAE trained with the squared error of a sample in every epoch, and of the mean in some, unless β is 0."""

    def __init__(
        self,
        trunk: Trunk,
        head: LocationScaleHead,
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
        known = batch.labelled_rows()
        answer = self.predict(known)
        zero = torch.zeros_like(answer.mean)
        noise = type(answer).from_mean_std(zero, zero + 1).sample()[0]
        drawn = reconstruction(answer, known.score, noise, reading=self.noise)
        terms = {"reconstruction": self.alpha * mean_loss(drawn)}
        if self.beta and (self.epoch + 1) % self.support_every == 0:
            terms["support"] = self.beta * mean_loss(squared_error(answer, known.score))
        return terms


class SupportDAE(Method):
    """DAE without its spread: trained with the squared error of the mean alone, it predicts a point."""

    def __init__(self, trunk: Trunk, head: PointHead, *, beta: float) -> None:
        super().__init__()
        self.trunk, self.head, self.beta = trunk, head, beta
        self.supports_vmap = trunk.supports_vmap

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """β (μ−g)² in every epoch."""
        known = batch.labelled_rows()
        return {"support": self.beta * mean_loss(squared_error(self.predict(known), known.score))}

    def predict(self, batch: Batch) -> Point:
        """Return B points."""
        return self.head(self.trunk(batch))


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    loss: LossOption = "likelihood",
    family: Annotated[
        Literal["normal", "laplace", "logistic", "student"],
        Field(description="distribution of the score; student has four degrees of freedom"),
    ] = "normal",
    alpha: AlphaOption = None,
    beta: BetaOption = None,
    support_every: SupportOption = None,
    noise: NoiseOption = None,
    pooling: PoolingOption = "average",
    hidden: HiddenOption = (256, 128),
    dropout: DropoutOption = 0.3,
) -> DAE | SupportDAE:
    """Build DAE for these features and labels.

    Raises:
        OptionError: If an option would be ignored, as ``noise`` with the likelihood loss, or no term would be left.
    """
    _check(loss, family, alpha, beta, support_every, noise)
    likely = loss == "likelihood"
    alpha = (0.6 if likely else 1.0) if alpha is None else alpha
    beta = (0.4 if likely else 1.0) if beta is None else beta
    trunk = Trunk(features, pooling=pooling, hidden=hidden, dropout=dropout)
    if not alpha:
        return SupportDAE(trunk, PointHead(trunk.width, labels.scale), beta=beta)
    head = LocationScaleHead(trunk.width, labels.scale, _FAMILIES[family])
    if likely:
        return LikelihoodDAE(trunk, head, alpha=alpha, beta=beta)
    return ReconstructionDAE(
        trunk, head, alpha=alpha, beta=beta, support_every=support_every or 10, noise=noise or "deviation"
    )


def _check(
    loss: str, family: str, alpha: float | None, beta: float | None, support_every: int | None, noise: str | None
) -> None:
    """Refuse options that do not go together."""
    if loss == "likelihood":
        if support_every is not None or noise is not None:
            raise OptionError("dae: support_every and noise apply only to loss=reconstruction; remove them")
        if alpha == 0 or beta == 0:
            raise OptionError("dae: loss=likelihood needs both its terms; give an alpha and a beta above 0")
    elif alpha == 0 == beta:
        raise OptionError("dae: alpha=0 and beta=0 leave nothing to train; give one of them a weight above 0")
    elif alpha == 0 and (support_every is not None or noise is not None or family != "normal"):
        raise OptionError("dae: alpha=0 predicts points; remove support_every, noise and family")
    elif beta == 0 and support_every is not None:
        raise OptionError("dae: beta=0 removes the support term; remove support_every")
