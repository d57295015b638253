"""S3D: one model for each stage of the action, then fusion.

A dive is cut in stages (jump, drop, entry, ending). A P3D per stage learns the score with the squared error, and their
answers are fused (Xiang et al. 2018): ``fusion="mean"`` is the mean of the stage models' scores; ``"linear"`` is a
linear regression and ``"svr"`` a support vector regression on the mean of the stages' features, which reached the
published number. What makes the stages here:

- clips whose number is that of the stages are the stages (backbone ``p3d``, whose clips are those of S3D, or its
  released features); of more or fewer clips, a stage is an equal share;
- with ``segmenter``, an ED-TCN tells the stage of every clip. It is learnt by :func:`fit_segmenter` from videos whose
  stages are labelled, and its first stage is what comes before the action, of which there is no model. Its
  :meth:`~EDTCN.begins` also make the table of stages that the backbone ``p3d`` reads, which is the way of the paper:
  segment by frames, then show P3D 16 frames of each stage.

The stage models are linear, as the last layer of P3D is. They are what trains a live backbone, one for all stages; the
paper has four. A linear or support vector fusion of cached features learns all it needs before the first epoch, so that
``epochs=1`` is enough.

The published SVR had C = 221 and ε = 0.01, selected on the test set; here, what is not given is selected inside the
training set. Its kernel is the RBF with γ = 1 / D. The code rounds features to one decimal: ``decimals=1``.
"""

from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from sklearn.linear_model import LinearRegression
from torch import Tensor, nn

from aqakit.errors import OptionError
from aqakit.methods.parts.base import Method, mean_loss
from aqakit.methods.parts.ed_tcn import EDTCN, fit_segmenter, stages_of
from aqakit.methods.parts.heads import PointHead
from aqakit.methods.parts.losses import squared_error
from aqakit.methods.parts.pooling import equal_shares
from aqakit.methods.parts.support_vectors import CostOption, EpsilonOption, SupportVectors
from aqakit.scores.distributions import Point
from aqakit.types import Batch, FeatureSpec, LabelSpec, Stream

__all__ = ["EDTCN", "FEATURES", "PAPER", "S3D", "build", "fit_segmenter"]

PAPER = (
    "Xiang et al., S3D: Stacking Segmental P3D for Action Quality Assessment, ICIP 2018. "
    "https://doi.org/10.1109/ICIP.2018.8451364"
)
FEATURES = FeatureSpec({"p3d": (2048,)})


class Stages(nn.Module):
    """Batch → (B, S, D): the mean of the clips of each stage.

    Args:
        count: S.
        segmenter: tells S + 1 stages, of which the first is left out; None for equal shares of the clips.
    """

    def __init__(self, count: int, segmenter: EDTCN | None) -> None:
        super().__init__()
        self.count, self.segmenter = count, segmenter

    def forward(self, batch: Batch) -> Tensor:
        """(B, S, D)."""
        inside = equal_shares(batch.clips, self.count)
        if self.segmenter is not None:
            self._segment(batch, inside, self.segmenter)
        weight = inside / inside.sum(2, keepdim=True).clamp(min=1)
        return weight.to(batch.features.dtype) @ batch.features

    def _segment(self, batch: Batch, inside: Tensor, segmenter: EDTCN) -> None:
        """Overwrite the shares of videos that have a clip for each stage."""
        for row, clips in enumerate(batch.clips):
            video = batch.features[row, clips]  # (n, D)
            if len(video) > self.count:
                stage = stages_of(segmenter.begins(video), len(video)).to(clips.device)
                inside[row, :, clips] = stage == 1 + torch.arange(self.count, device=clips.device)[:, None]


class Mean(nn.Module):
    """Batch → (B, D): the mean of the stages' features, perhaps rounded."""

    def __init__(self, decimals: int | None) -> None:
        super().__init__()
        self.decimals = decimals

    def forward(self, staged: Batch) -> Tensor:
        """(B, D), of a batch whose clips are the stages."""
        mean = staged.features.mean(1)
        return mean if self.decimals is None else mean.round(decimals=self.decimals)


class LeastSquares(Method):
    """A point for each video, by a linear regression of the stages' :class:`Mean`; of many solutions the smallest."""

    weights: Tensor
    intercept: Tensor

    def __init__(self, embed: Mean) -> None:
        super().__init__()
        self.embed = embed
        self.register_memory("weights", torch.float64)
        self.register_memory("intercept", torch.float64)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Nothing: :meth:`remember` is all the training."""
        return {}

    @torch.no_grad()
    def remember(self, train: Batch) -> None:
        """Fit."""
        x = self.embed(train).double()
        fitted = LinearRegression().fit(x.cpu().numpy(), train.score.double().cpu().numpy())
        self.weights, self.intercept = x.new_tensor(fitted.coef_), x.new_tensor(fitted.intercept_)

    def predict(self, batch: Batch) -> Point:
        """B points."""
        value = self.embed(batch).double() @ self.weights + self.intercept
        return Point(value.to(batch.features.dtype))


class S3D(Method):
    """A point for each video.

    Args:
        stages: makes (B, S, D) of the clips.
        models: one for each stage.
        fusion: answers from all stages, and learns by remembering; None for the mean of the models.
    """

    def __init__(self, stages: Stages, models: list[PointHead], fusion: LeastSquares | SupportVectors | None) -> None:
        super().__init__()
        self.stages, self.models, self.fusion = stages, nn.ModuleList(models), fusion

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Mean squared error of each stage model."""
        known = batch.select(batch.labelled)
        return {
            f"stage_{k}": mean_loss(squared_error(answer, known.score))
            for k, answer in enumerate(self.answers(known), start=1)
        }

    def answers(self, batch: Batch) -> list[Point]:
        """B points of each stage model."""
        x = self._staged(batch).features
        return [model(x[:, k]) for k, model in enumerate(self.models)]

    def remember(self, train: Batch) -> None:
        """Fit the fusion, where it is one that learns."""
        if self.fusion is not None:
            self.fusion.remember(self._staged(train))

    def predict(self, batch: Batch) -> Point:
        """B points."""
        if self.fusion is not None:
            return self.fusion.predict(self._staged(batch))
        return Point(torch.stack([answer.mean for answer in self.answers(batch)]).mean(0))

    def _staged(self, batch: Batch) -> Batch:
        """The same with one clip for each stage."""
        stages = self.stages(batch)  # (B, S, D)
        clips = torch.ones(stages.shape[:2], dtype=torch.bool, device=stages.device)
        return batch.replace(streams={"stages": Stream(stages, clips)})


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    fusion: Annotated[
        Literal["mean", "linear", "svr"],
        Field(description="mean of the stage scores; or linear or support vector regression of the stages' features"),
    ] = "svr",
    stages: Annotated[int, Field(gt=0, description="stages of the action, without what comes before it")] = 4,
    segmenter: Annotated[
        Path | None, Field(description="weights of an ED-TCN that tells the stages; equal shares of the clips if none")
    ] = None,
    decimals: Annotated[
        int | None, Field(ge=0, description="features are rounded to so many decimals before a regression (code: 1)")
    ] = None,
    cost: CostOption = None,
    epsilon: EpsilonOption = None,
) -> S3D:
    """S3D for these features and labels.

    Raises:
        OptionError: an option that the fusion would ignore, or a segmenter of other stages or features.
        DataError: the segmenter cannot be read.
    """
    if fusion != "svr" and (cost, epsilon) != (None, None):
        raise OptionError("s3d: cost and epsilon belong to fusion=svr; leave them out")
    if fusion == "mean" and decimals is not None:
        raise OptionError("s3d: decimals belongs to fusion=linear and fusion=svr; leave it out")
    parts = Stages(stages, _checked(segmenter, stages, features.width) if segmenter else None)
    models = [PointHead(features.width, labels.scale) for _ in range(stages)]
    if fusion == "mean":
        return S3D(parts, models, None)
    if fusion == "linear":
        return S3D(parts, models, LeastSquares(Mean(decimals)))
    machine = SupportVectors(
        Mean(decimals), scaling="none", kernel="rbf", cost=cost, epsilon=epsilon, gamma=1 / features.width
    )
    return S3D(parts, models, machine)


def _checked(file: Path, stages: int, width: int) -> EDTCN:
    segmenter = EDTCN.load(file).requires_grad_(False)
    if (segmenter.classes, segmenter.width) != (stages + 1, width):
        raise OptionError(
            f"s3d: {file} tells {segmenter.classes - 1} stages of features of width {segmenter.width}, "
            f"and here there are {stages} of width {width}"
        )
    return segmenter
