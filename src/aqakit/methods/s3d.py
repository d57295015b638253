"""S3D: one model for each stage of the action, then fusion.

A dive is cut into stages (jump, drop, entry, ending). One P3D per stage learns the score with the squared error, and
the stages are fused (Xiang et al. 2018): ``fusion="mean"`` is the mean of the scores of the stage models; ``"linear"``
is a linear regression and ``"svr"`` a support vector regression on the mean of the stages' features; the latter gave
the published number. The stages are determined as follows:

- if there are as many clips as stages, the clips are the stages (backbone ``p3d``, whose clips are those of S3D, or its
  released features); otherwise each stage is an equal share of the clips;
- with ``segmenter``, an ED-TCN predicts the stage of every clip. :func:`fit_segmenter` trains it on videos with
  labelled stages. Its first stage is what precedes the action and has no model. Its :meth:`~EDTCN.begins` can also
  produce the table of stages that the backbone ``p3d`` reads. This is the procedure of the paper: segment by frames,
  then show P3D 16 frames of each stage.

The stage models are linear, like the last layer of P3D. Their losses train a fine-tuned backbone, one for all stages;
the paper has four. On cached features, a linear or support vector fusion is fitted before the first epoch, so
``epochs=1`` is enough.

The published SVR had C = 221 and ε = 0.01, selected on the test set; here, values that are not given are selected
inside the training set. Its kernel is the RBF with γ = 1 / D. The code rounds features to one decimal: ``decimals=1``.
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
from aqakit.methods.parts.losses import preference_nll, squared_error
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
    """Compute the mean of the clips of each stage: batch → (B, S, D).

    Args:
        count: Number of stages S.
        segmenter: Predicts S + 1 stages, of which the first is left out; None for equal shares of the clips.
    """

    def __init__(self, count: int, segmenter: EDTCN | None) -> None:
        super().__init__()
        self.count, self.segmenter = count, segmenter

    def forward(self, batch: Batch) -> Tensor:
        """Return (B, S, D)."""
        inside = equal_shares(batch.clips, self.count)
        if self.segmenter is not None:
            self._segment(batch, inside, self.segmenter)
        weight = inside / inside.sum(2, keepdim=True).clamp(min=1)
        return weight.to(batch.features.dtype) @ batch.features

    def _segment(self, batch: Batch, inside: Tensor, segmenter: EDTCN) -> None:
        """Overwrite the shares of videos with enough clips by the predicted stages."""
        for row, clips in enumerate(batch.clips):
            video = batch.features[row, clips]  # (n, D)
            if len(video) > self.count:
                stage = stages_of(segmenter.begins(video), len(video)).to(clips.device)
                inside[row, :, clips] = stage == 1 + torch.arange(self.count, device=clips.device)[:, None]


class Mean(nn.Module):
    """Compute the mean of the stages' features, optionally rounded: batch → (B, D)."""

    def __init__(self, decimals: int | None) -> None:
        super().__init__()
        self.decimals = decimals

    def forward(self, staged: Batch) -> Tensor:
        """Return (B, D) for a batch whose clips are the stages."""
        mean = staged.features.mean(1)
        return mean if self.decimals is None else mean.round(decimals=self.decimals)


class LeastSquares(Method):
    """Predict a point for each video by the minimum-norm linear regression on the stages' :class:`Mean`."""

    weights: Tensor
    intercept: Tensor

    def __init__(self, embed: Mean) -> None:
        super().__init__()
        self.embed = embed
        self.register_memory("weights", torch.float64)
        self.register_memory("intercept", torch.float64)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Nothing: :meth:`remember` does all the training."""
        return {}

    @torch.no_grad()
    def remember(self, train: Batch) -> None:
        """Fit the regression."""
        x = self.embed(train).double()
        fitted = LinearRegression().fit(x.cpu().numpy(), train.score.double().cpu().numpy())
        self.weights, self.intercept = x.new_tensor(fitted.coef_), x.new_tensor(fitted.intercept_)

    def predict(self, batch: Batch) -> Point:
        """Return B points."""
        value = self.embed(batch).double() @ self.weights + self.intercept
        return Point(value.to(batch.features.dtype))


class S3D(Method):
    """Predict a point for each video.

    Args:
        stages: Computes the features (B, S, D) of the stages from the clips.
        models: One model per stage.
        fusion: Predicts from all stages and is fitted in :meth:`remember`; None for the mean of the models.
    """

    def __init__(self, stages: Stages, models: list[PointHead], fusion: LeastSquares | SupportVectors | None) -> None:
        super().__init__()
        self.stages, self.models, self.fusion = stages, nn.ModuleList(models), fusion
        self.needs_clips = stages.segmenter is not None  # a stage of a summary is no stage of the action

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Mean squared error of each stage model."""
        known = batch.labelled_rows()
        return {
            f"stage_{k}": mean_loss(squared_error(answer, known.score))
            for k, answer in enumerate(self.answers(known), start=1)
        }

    def pair_losses(self, pairs: Batch, weight: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Thurstone's likelihood of the mean of the stage models, whatever the fusion, which is not learnt by steps."""
        return {"pairs": (weight * preference_nll(self._mean(pairs), noise)).mean()}

    def answers(self, batch: Batch) -> list[Point]:
        """Return the B points of each stage model."""
        x = self._staged(batch).features
        return [model(x[:, k]) for k, model in enumerate(self.models)]

    def remember(self, train: Batch) -> None:
        """Fit the fusion, if there is one."""
        if self.fusion is not None:
            self.fusion.remember(self._staged(train))

    def predict(self, batch: Batch) -> Point:
        """Return B points."""
        if self.fusion is not None:
            return self.fusion.predict(self._staged(batch))
        return self._mean(batch)

    def _mean(self, batch: Batch) -> Point:
        return Point(torch.stack([answer.mean for answer in self.answers(batch)]).mean(0))

    def _staged(self, batch: Batch) -> Batch:
        """Return the batch with one clip for each stage."""
        stages = self.stages(batch)  # (B, S, D)
        clips = torch.ones(stages.shape[:2], dtype=torch.bool, device=stages.device)
        return batch.replace(streams={"stages": Stream(stages, clips)})


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    fusion: Annotated[
        Literal["mean", "linear", "svr"],
        Field(description="mean of the stage scores, or linear or support vector regression on the stages' features"),
    ] = "svr",
    stages: Annotated[int, Field(gt=0, description="number of stages of the action, without what precedes it")] = 4,
    segmenter: Annotated[
        Path | None, Field(description="weights of an ED-TCN that predicts stages; equal shares of the clips if none")
    ] = None,
    decimals: Annotated[
        int | None, Field(ge=0, description="round features to this many decimals before a regression (public code: 1)")
    ] = None,
    cost: CostOption = None,
    epsilon: EpsilonOption = None,
) -> S3D:
    """Build S3D for these features and labels.

    Raises:
        OptionError: If the fusion would ignore an option, or the segmenter has other stages or features.
        DataError: If the segmenter cannot be read.
    """
    if fusion != "svr" and (cost, epsilon) != (None, None):
        raise OptionError("s3d: cost and epsilon apply only to fusion=svr; leave them out")
    if fusion == "mean" and decimals is not None:
        raise OptionError("s3d: decimals applies only to fusion=linear and fusion=svr; leave it out")
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
            f"s3d: {file} predicts {segmenter.classes - 1} stages from features of width {segmenter.width}, "
            f"but here there are {stages} of width {width}"
        )
    return segmenter
