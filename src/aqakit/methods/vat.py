"""VAT: virtual adversarial training on unlabelled videos.

Predictions are smoothed in the direction in which they change most.

For every unlabelled video, a power iteration on the divergence finds the small change of its features that moves the
base's prediction most (Miyato et al. 2018, Algorithm 1); the loss then penalises this movement. The distance is the
Kullback–Leibler divergence if the base predicts distributions, and the squared difference if it predicts points, as in
the S4AQA paper.

- Features have no unit of their own, so ``epsilon``, the size of the change, is a share of the norm of the video's
  features. Padded clips never change.
- Dropout is off and batch norm uses its running statistics while distances are measured, so that two passes differ only
  by the change.
- The paper also smooths labelled videos; here they only train the base.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from aqakit.errors import OptionError
from aqakit.methods.parts.base import Method
from aqakit.methods.parts.semi_supervised import (
    BaseOption,
    SemiSupervised,
    build_base,
    divergence,
    first,
    mask_of,
    still,
    with_first,
)
from aqakit.scores.distributions import ScoreDistribution
from aqakit.types import Batch, FeatureSpec, LabelSpec, ScoreScale

PAPER = (
    "Miyato et al., Virtual Adversarial Training: A Regularization Method for Supervised and Semi-Supervised Learning, "
    "TPAMI 2018. https://arxiv.org/abs/1704.03976"
)
FEATURES = FeatureSpec({"i3d": (1024,)})

_PROBE = 1e-2
"""Norm, relative to that of the features, of the change with which the power iteration probes the divergence."""


class VAT(SemiSupervised):
    """A base with smooth predictions on unlabelled videos.

    Args:
        base: Method that makes the predictions.
        scale: Score scale.
        weight: Weight of the smoothness loss.
        epsilon: Norm of the change ÷ norm of the features.
        iterations: Number of power iterations.
    """

    def __init__(self, base: Method, scale: ScoreScale, *, weight: float, epsilon: float, iterations: int) -> None:
        super().__init__(base)
        self.scale, self.weight, self.epsilon, self.iterations = scale, weight, epsilon, iterations

    def unlabelled_losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return weight × mean divergence between the predictions before and after the change."""
        unlabelled = batch.select(~batch.labelled)
        with still(self.base):
            with torch.no_grad():
                answer = self.base.predict(unlabelled)
            change = self.epsilon * self.direction(unlabelled, answer)
            return {"smoothness": self.weight * self.distance(unlabelled, answer, change).mean()}

    def direction(self, batch: Batch, answer: ScoreDistribution) -> Tensor:
        """Return the change (B, N, *F) that moves a prediction most, with the norm of each video's features.

        Raises:
            OptionError: If the base's prediction has no gradient.
        """
        stream = first(batch)
        mask = mask_of(stream)
        features = torch.where(mask, stream.features, 0.0).detach()
        norm = _norm(features)
        change = _unit(torch.where(mask, torch.randn_like(features), 0.0)) * norm
        for _ in range(self.iterations):
            probe = (_PROBE * change).requires_grad_()
            distance = self.distance(batch, answer, probe).sum()
            if not distance.requires_grad:
                raise OptionError("vat: the base's prediction has no gradient; use one that predicts a distribution")
            (gradient,) = torch.autograd.grad(distance, probe)
            change = _unit(torch.where(mask, gradient, 0.0)) * norm
        return change.detach()

    def distance(self, batch: Batch, answer: ScoreDistribution, change: Tensor) -> Tensor:
        """Return the divergence (B,) between a given prediction and that for the changed features."""
        moved = self.base.predict(with_first(batch, first(batch).features.detach() + change))
        return divergence(answer, moved, self.scale)


def _norm(x: Tensor) -> Tensor:
    """Return the norm of each row, (B, 1, …)."""
    return x.flatten(1).norm(dim=1).reshape(-1, *[1] * (x.ndim - 1))


def _unit(x: Tensor) -> Tensor:
    """Scale each row to norm 1; rows of zeros stay 0."""
    return x / _norm(x).clamp(min=torch.finfo(x.dtype).tiny)


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    base: BaseOption = "usdl",
    weight: Annotated[float, Field(gt=0, description="weight of the smoothness loss of unlabelled videos")] = 1.0,
    epsilon: Annotated[float, Field(gt=0, description="size of the change, as a share of the features' norm")] = 0.1,
    iterations: Annotated[int, Field(gt=0, description="number of power iterations")] = 1,
) -> VAT:
    """Build VAT around a base method."""
    scorer = build_base("vat", base, features, labels)
    return VAT(scorer, labels.scale, weight=weight, epsilon=epsilon, iterations=iterations)
