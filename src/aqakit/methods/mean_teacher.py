"""Mean Teacher: the student's averaged weights teach it.

Student and teacher see every unlabelled video, each with its own noise and dropout. A consistency loss, whose weight
ramps up over the first epochs, draws the student's prediction to the teacher's (Tarvainen and Valpola 2017). The
teacher's weights are the exponential moving average of the student's (in the first steps, the plain average). They are
updated at the start of a step, so they do not include the last step of a run. The teacher makes the predictions;
without unlabelled videos there is no teacher, and the student makes them.

The papers add noise to pixels; here it is added to the features, as a share of each video's root mean square.
"""

import copy
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from aqakit.errors import OptionError
from aqakit.methods.parts.base import Method
from aqakit.methods.parts.semi_supervised import (
    BaseOption,
    RampOption,
    SemiSupervised,
    build_base,
    divergence,
    freeze,
    noisy,
    ramp,
)
from aqakit.scores.distributions import ScoreDistribution
from aqakit.types import Batch, Description, FeatureSpec, LabelSpec, ScoreScale

PAPER = (
    "Tarvainen and Valpola, Mean teachers are better role models: Weight-averaged consistency targets improve "
    "semi-supervised deep learning results, NIPS 2017. https://arxiv.org/abs/1703.01780"
)
FEATURES = FeatureSpec({"i3d": (1024,)})


class MeanTeacher(SemiSupervised):
    """A base (the student) and the moving average of its weights (the teacher).

    Args:
        base: Student.
        scale: Score scale.
        weight: Weight of the consistency loss after the ramp.
        decay: Decay of the moving average per step.
        noise: Noise added to the features, as a share of a video's root mean square.
        ramp: Epochs until the full weight.
        answer: Whether the teacher or the student makes the predictions.

    Attributes:
        steps: () number of training steps with unlabelled videos.
    """

    steps: Tensor

    def __init__(
        self,
        base: Method,
        scale: ScoreScale,
        *,
        weight: float,
        decay: float,
        noise: float,
        ramp: int,
        answer: Literal["teacher", "student"],
    ) -> None:
        super().__init__(base)
        self.teacher = copy.deepcopy(base)
        freeze(self.teacher)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.scale, self.weight, self.decay, self.noise = scale, weight, decay, noise
        self.ramp, self.answer = ramp, answer

    def unlabelled_losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return weight × mean divergence of the student's predictions from the teacher's."""
        self._update()
        unlabelled = batch.select(~batch.labelled)
        with torch.no_grad():
            taught = self.teacher.predict(noisy(unlabelled, self.noise))
        distance = divergence(taught, self.base.predict(noisy(unlabelled, self.noise)), self.scale).mean()
        if not distance.requires_grad:
            raise OptionError(
                "mean_teacher: the base's prediction has no gradient; use one that predicts a distribution"
            )
        return {"consistency": self.weight * ramp(self.epoch, self.ramp) * distance}

    def predict(self, batch: Batch) -> ScoreDistribution:
        """Return the teacher's prediction, or the student's if there is no teacher yet or ``answer`` is "student"."""
        return self._speaker().predict(batch)

    def describe(self, batch: Batch) -> Description:
        """Return the description of the model that makes the predictions."""
        return self._speaker().describe(batch)

    def remember(self, train: Batch) -> None:
        """Pass the training set to student and teacher."""
        super().remember(train)
        self.teacher.remember(train)

    def _speaker(self) -> Method:
        return self.teacher if self.answer == "teacher" and int(self.steps) else self.base

    @torch.no_grad()
    def _update(self) -> None:
        self.steps += 1
        decay = min(self.decay, 1 - 1 / int(self.steps))
        for mine, own in zip(self.teacher.parameters(), self.base.parameters(), strict=True):
            mine.lerp_(own, 1 - decay)
        for kept, now in zip(self.teacher.buffers(), self.base.buffers(), strict=True):
            kept.copy_(now)


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    base: BaseOption = "usdl:dropout=0.3",
    weight: Annotated[float, Field(gt=0, description="weight of the consistency loss of unlabelled videos")] = 1.0,
    decay: Annotated[float, Field(ge=0, lt=1, description="decay of the teacher's moving average, per step")] = 0.99,
    noise: Annotated[
        float, Field(ge=0, description="noise added to the features, as a share of their root mean square")
    ] = 0.1,
    ramp: RampOption = 20,
    answer: Annotated[
        Literal["teacher", "student"], Field(description="which model makes the predictions")
    ] = "teacher",
) -> MeanTeacher:
    """Build Mean Teacher around a base method."""
    student = build_base("mean_teacher", base, features, labels)
    return MeanTeacher(student, labels.scale, weight=weight, decay=decay, noise=noise, ramp=ramp, answer=answer)
