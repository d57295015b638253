"""Pseudo-labels: the base's confident answers as labels.

Training runs in rounds. At the end of each round, a copy of the base becomes the labeller. In the next round, the
unlabelled videos of a batch about which it is most confident take its predictions as scores (Lee 2013). Labels from the
model of the same step, as in Lee's classification, would not train a regression: the error of a model's own prediction
is zero.

Confidence is measured by the spread of the predicted distribution. A base that predicts points has none; then it is the
spread of the predictions for noisy copies of the video.

A base that is trained on judges' marks instead of scores learns nothing here: there are no pseudo-marks.
"""

import copy
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from aqakit.methods.parts.base import Method
from aqakit.methods.parts.semi_supervised import (
    BaseOption,
    RampOption,
    SemiSupervised,
    build_base,
    freeze,
    noisy,
    ramp,
    still,
)
from aqakit.scores.distributions import Point, ScoreDistribution
from aqakit.types import Batch, FeatureSpec, LabelSpec

PAPER = (
    "Lee, Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for Deep Neural Networks, "
    "ICML Workshop on Challenges in Representation Learning 2013. "
    "https://www.semanticscholar.org/paper/798d9840d2439a0e5d47bcf5d164aa46d5e7dc26"
)
FEATURES = FeatureSpec({"i3d": (1024,)})

_NOISE, _COPIES = 0.1, 8
"""Noisy copies that give a point its spread: noise as a share of the root mean square, and number of copies."""


class PseudoLabel(SemiSupervised):
    """A base trained on its own most confident predictions.

    Args:
        base: Method that makes the predictions.
        weight: Weight of the pseudo-labelled rows after the ramp.
        confident: Share of a batch's unlabelled rows that get a label.
        round_epochs: Epochs between two labellers; the first round has none.
        ramp: Epochs until the full weight, counted from the first labeller.

    Attributes:
        made: () number of the round that produced the labeller; 0 before the first.
    """

    made: Tensor

    def __init__(self, base: Method, *, weight: float, confident: float, round_epochs: int, ramp: int) -> None:
        super().__init__(base)
        self.labeller = copy.deepcopy(base)
        freeze(self.labeller)
        self.register_buffer("made", torch.zeros((), dtype=torch.int64))
        self.weight, self.confident, self.round_epochs, self.ramp = weight, confident, round_epochs, ramp

    def unlabelled_losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return weight × the base's losses on the most confident rows; empty in the first round."""
        if self.epoch < self.round_epochs:
            return {}
        self._take_over()
        sure = self.label(batch.select(~batch.labelled))
        weight = self.weight * ramp(self.epoch - self.round_epochs, self.ramp)
        return {"pseudo_label": weight * torch.stack(list(self.base.losses(sure).values())).sum()}

    @torch.no_grad()
    def label(self, batch: Batch) -> Batch:
        """Select the most confident rows of an unlabelled batch, at least one, and label them by the labeller."""
        with still(self.labeller):
            answer = self.labeller.predict(batch)
            spread = self._spread(batch, answer)
        count = max(1, round(self.confident * len(batch)))
        rows = spread.topk(count, largest=False).indices
        return batch.select(rows).replace(score=answer.mean[rows])

    def remember(self, train: Batch) -> None:
        """Pass the training set to base and labeller."""
        super().remember(train)
        self.labeller.remember(train)

    def _spread(self, batch: Batch, answer: ScoreDistribution) -> Tensor:
        """Return the spread (B,) of the predictions."""
        if not isinstance(answer, Point):
            return answer.std
        return torch.stack([self.labeller.predict(noisy(batch, _NOISE)).mean for _ in range(_COPIES)]).std(0)

    def _take_over(self) -> None:
        number = self.epoch // self.round_epochs
        if number != int(self.made):
            self.labeller.load_state_dict(self.base.state_dict())
            self.made.fill_(number)


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    base: BaseOption = "usdl",
    weight: Annotated[float, Field(gt=0, description="weight of the pseudo-labelled videos")] = 1.0,
    confident: Annotated[float, Field(gt=0, le=1, description="share of unlabelled videos that get a label")] = 0.5,
    round_epochs: Annotated[int, Field(gt=0, description="epochs between two labellers")] = 20,
    ramp: RampOption = 20,
) -> PseudoLabel:
    """Build pseudo-labelling around a base method."""
    scorer = build_base("pseudo_label", base, features, labels)
    return PseudoLabel(scorer, weight=weight, confident=confident, round_epochs=round_epochs, ramp=ramp)
