"""VAT: virtual adversarial training on unlabelled videos.

Answers are made smooth in the direction in which they change most.

For every unlabelled video the small change of its features is sought that moves the base's answer most (a power
iteration on the divergence, Miyato et al. 2018, Algorithm 1), and the answer is taught not to move. The distance is
the Kullback–Leibler divergence of the answers' distributions where the base gives one, and their squared difference
where it gives a point, as the S4AQA paper has it.

- Features have no unit of their own, so ``epsilon``, the size of the change, is a share of the norm of the video's
  features. A clip that is padding never changes.
- Dropout and batch norm stand still while distances are measured: two passes differ by the change alone.
- The paper smooths labelled videos too; here the labelled ones teach the base alone.
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
"""Size, as a share of ``epsilon``'s unit, of the change at which the divergence's curvature is felt."""


class VAT(SemiSupervised):
    """A base whose answers on unlabelled videos are smooth.

    Args:
        base: answers.
        scale: of the score.
        weight: of the term.
        epsilon: norm of the change ÷ norm of the features.
        iterations: of the power method.
    """

    def __init__(self, base: Method, scale: ScoreScale, *, weight: float, epsilon: float, iterations: int) -> None:
        super().__init__(base)
        self.scale, self.weight, self.epsilon, self.iterations = scale, weight, epsilon, iterations

    def unlabelled_losses(self, batch: Batch) -> dict[str, Tensor]:
        """Weight × mean divergence between the answers before and after the change."""
        unlabelled = batch.select(~batch.labelled)
        with still(self.base):
            with torch.no_grad():
                answer = self.base.predict(unlabelled)
            change = self.epsilon * self.direction(unlabelled, answer)
            return {"smoothness": self.weight * self.distance(unlabelled, answer, change).mean()}

    def direction(self, batch: Batch, answer: ScoreDistribution) -> Tensor:
        """(B, N, *F) the change that moves an answer most, of the norm of each video's features.

        Raises:
            OptionError: the base's answer has no gradient.
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
                raise OptionError("vat: the base's answer has no gradient; choose one that answers by a distribution")
            (gradient,) = torch.autograd.grad(distance, probe)
            change = _unit(torch.where(mask, gradient, 0.0)) * norm
        return change.detach()

    def distance(self, batch: Batch, answer: ScoreDistribution, change: Tensor) -> Tensor:
        """(B,) divergence of the answer to changed features from a given one."""
        moved = self.base.predict(with_first(batch, first(batch).features.detach() + change))
        return divergence(answer, moved, self.scale)


def _norm(x: Tensor) -> Tensor:
    """(B, 1, …) of the entries of each row."""
    return x.flatten(1).norm(dim=1).reshape(-1, *[1] * (x.ndim - 1))


def _unit(x: Tensor) -> Tensor:
    """Rows of norm 1, or 0 where there is nothing."""
    return x / _norm(x).clamp(min=torch.finfo(x.dtype).tiny)


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    base: BaseOption = "usdl",
    weight: Annotated[float, Field(gt=0, description="of the smoothness of unlabelled videos' answers")] = 1.0,
    epsilon: Annotated[float, Field(gt=0, description="size of the change, as a share of the features' norm")] = 0.1,
    iterations: Annotated[int, Field(gt=0, description="power iterations that find the direction")] = 1,
) -> VAT:
    """VAT around a base method."""
    scorer = build_base("vat", base, features, labels)
    return VAT(scorer, labels.scale, weight=weight, epsilon=epsilon, iterations=iterations)
