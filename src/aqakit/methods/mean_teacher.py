"""Mean Teacher: the student's averaged weights teach it.

Student and teacher see every unlabelled video each with noise and dropout of its own, and the student's answer is
drawn to the teacher's, with a weight that grows over the first epochs (Tarvainen and Valpola 2017). The teacher's
weights are the exponential mean of the student's, updated when a step begins, so that the last step of a run is not
in them; in the first steps the mean is a plain one. The teacher answers, and where no video is unlabelled there is
none, so that the student does.

The papers add noise to pixels; here it goes to the features, as a share of each video's root mean square.
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
    """A base, and the mean of what it was.

    Args:
        base: the student.
        scale: of the score.
        weight: of the consistency after the ramp.
        decay: of the mean, for each step.
        noise: of the features, as a share of a video's root mean square.
        ramp: epochs until the full weight.
        answer: whose answer counts.

    Attributes:
        steps: () of training with unlabelled videos.
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
        """Weight × mean divergence of the student's answer from the teacher's."""
        self._update()
        unlabelled = batch.select(~batch.labelled)
        with torch.no_grad():
            taught = self.teacher.predict(noisy(unlabelled, self.noise))
        distance = divergence(taught, self.base.predict(noisy(unlabelled, self.noise)), self.scale).mean()
        if not distance.requires_grad:
            raise OptionError("mean_teacher: the base's answer has no gradient; choose one that gives a distribution")
        return {"consistency": self.weight * ramp(self.epoch, self.ramp) * distance}

    def predict(self, batch: Batch) -> ScoreDistribution:
        """The teacher's answer, or the student's where there is no teacher or it was asked for."""
        return self._speaker().predict(batch)

    def describe(self, batch: Batch) -> Description:
        """What the one who answers says."""
        return self._speaker().describe(batch)

    def remember(self, train: Batch) -> None:
        """Both remember."""
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
    weight: Annotated[float, Field(gt=0, description="of the consistency of unlabelled videos' answers")] = 1.0,
    decay: Annotated[float, Field(ge=0, lt=1, description="of the teacher's mean, for each step")] = 0.99,
    noise: Annotated[float, Field(ge=0, description="in the features, as a share of their root mean square")] = 0.1,
    ramp: RampOption = 20,
    answer: Annotated[Literal["teacher", "student"], Field(description="whose answer counts")] = "teacher",
) -> MeanTeacher:
    """Mean Teacher around a base method."""
    student = build_base("mean_teacher", base, features, labels)
    return MeanTeacher(student, labels.scale, weight=weight, decay=decay, noise=noise, ramp=ramp, answer=answer)
