"""Pseudo-labels: the base's confident answers as labels.

Training goes in rounds. At the end of each a copy of the base becomes the labeller; in the next, the unlabelled
videos of a batch about which it is surest take its answers as their scores (Lee 2013). Labels from the model of the
same step, as in Lee's classification, would teach a regression nothing: the error of one's own answer is zero.

How sure the labeller is, the spread of its distribution says. A base that answers by points has none; there it is the
spread of the answers to noisy copies of the video.

A base that learns from judges' marks, not from scores, learns nothing here: there are no pseudo-marks.
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
"""Of the noisy copies that stand in for a point's spread: share of the root mean square, and how many."""


class PseudoLabel(SemiSupervised):
    """A base that learns from its own surest answers.

    Args:
        base: answers.
        weight: of the pseudo-labelled rows after the ramp.
        confident: share of a batch's unlabelled rows that are sure enough.
        round_epochs: epochs between one labeller and the next; the first round has none.
        ramp: epochs until the full weight, counted from the first labeller.

    Attributes:
        made: () number of the round whose end made the labeller; 0 before the first.
    """

    made: Tensor

    def __init__(self, base: Method, *, weight: float, confident: float, round_epochs: int, ramp: int) -> None:
        super().__init__(base)
        self.labeller = copy.deepcopy(base)
        freeze(self.labeller)
        self.register_buffer("made", torch.zeros((), dtype=torch.int64))
        self.weight, self.confident, self.round_epochs, self.ramp = weight, confident, round_epochs, ramp

    def unlabelled_losses(self, batch: Batch) -> dict[str, Tensor]:
        """Weight × the base's losses on the rows that the labeller is sure of; nothing in the first round."""
        if self.epoch < self.round_epochs:
            return {}
        self._take_over()
        sure = self.label(batch.select(~batch.labelled))
        weight = self.weight * ramp(self.epoch - self.round_epochs, self.ramp)
        return {"pseudo_label": weight * torch.stack(list(self.base.losses(sure).values())).sum()}

    @torch.no_grad()
    def label(self, batch: Batch) -> Batch:
        """The surest rows of an unlabelled batch, at least one, with the labeller's answers as scores."""
        with still(self.labeller):
            answer = self.labeller.predict(batch)
            spread = self._spread(batch, answer)
        count = max(1, round(self.confident * len(batch)))
        rows = spread.topk(count, largest=False).indices
        return batch.select(rows).replace(score=answer.mean[rows])

    def remember(self, train: Batch) -> None:
        """Both remember."""
        super().remember(train)
        self.labeller.remember(train)

    def _spread(self, batch: Batch, answer: ScoreDistribution) -> Tensor:
        """(B,)."""
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
    weight: Annotated[float, Field(gt=0, description="of the pseudo-labelled videos")] = 1.0,
    confident: Annotated[float, Field(gt=0, le=1, description="share of unlabelled videos that get a label")] = 0.5,
    round_epochs: Annotated[int, Field(gt=0, description="epochs from one labeller to the next")] = 20,
    ramp: RampOption = 20,
) -> PseudoLabel:
    """Pseudo-labels around a base method."""
    scorer = build_base("pseudo_label", base, features, labels)
    return PseudoLabel(scorer, weight=weight, confident=confident, round_epochs=round_epochs, ramp=ramp)
