"""Rocket: random convolutions, and ridge regression.

Each kernel mixes a few channels at random and moves along the series with a random dilation. What is kept of it is the
share of moments at which it is positive, and its maximum. Ridge regression on these, whose strength is selected by
cross-validation inside the training set, whole groups on one side. The spread of the answer is that of the errors made
in this cross-validation.

The published kernels have 7, 9 or 11 weights; these have 9. A series ends where its recording does: beyond, it is 0,
the mean of the training set.
"""

from __future__ import annotations

import math
from typing import Annotated, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from sklearn.kernel_ridge import KernelRidge
from torch import Tensor, nn
from torch.nn.functional import conv1d

from aqakit.errors import DataError
from aqakit.methods.parts.fitted import Fitted, check_enough
from aqakit.methods.parts.shapes import vectors
from aqakit.methods.parts.support_vectors import inner_splits
from aqakit.scores.distributions import Normal
from aqakit.types import Batch, FeatureSpec, LabelSpec, Stream

PAPER = (
    "Dempster et al., ROCKET: exceptionally fast and accurate time series classification using random convolutional "
    "kernels, Data Mining and Knowledge Discovery 2020. https://doi.org/10.1007/s10618-020-00701-z"
)
FEATURES = FeatureSpec({"movement": (41,)})

_LENGTH, _MOST_CHANNELS = 9, 9
_STRENGTHS = np.logspace(-3, 1, 9)
_LEAST = 1e-6


class Kernels(nn.Module):
    """Random kernels over one stream: (B, N, D) → (B, 2 K); drawn from PyTorch's generator.

    Attributes:
        mix: (K, D) weights of the channels, at most nine of which are not 0.
        weight: (K, 9) weights along the series, with mean 0.
        bias: (K,).
        reach: (K,) logarithm of the dilation, as a share of that of the largest one.
        length: () median length of the training series, which gives the largest dilation.
    """

    mix: Tensor
    weight: Tensor
    bias: Tensor
    reach: Tensor
    length: Tensor

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        weight = torch.randn(count, _LENGTH)
        self.register_buffer("mix", _mixed(width, count))
        self.register_buffer("weight", weight - weight.mean(1, keepdim=True))
        self.register_buffer("bias", 2 * torch.rand(count) - 1)
        self.register_buffer("reach", torch.rand(count))
        self.register_buffer("length", torch.tensor(float(_LENGTH)))
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))

    def fit(self, stream: Stream) -> None:
        """Take length, mean and standard deviation of each channel from the training set.

        Raises:
            DataError: no series has more than one moment.
        """
        if int(stream.clips.sum(1).max()) < 2:
            raise DataError(
                "rocket reads a series, but these features are one vector per recording; choose a backbone that gives "
                "a vector for each moment, such as movement:features=places"
            )
        known = stream.features[stream.clips]
        spread = known.std(0, correction=0)
        self.length = stream.clips.sum(1).float().median()
        self.centre, self.spread = known.mean(0), torch.where(spread > _LEAST, spread, 1.0)

    def forward(self, stream: Stream) -> Tensor:
        """Return share of positive moments and maximum of each kernel, (B, 2 K)."""
        inside = stream.clips[:, None]  # (B, 1, N)
        series = ((stream.features - self.centre) / self.spread * stream.clips[..., None]).transpose(1, 2)
        share, most = (series.new_zeros(series.shape[0], len(self.bias)) for _ in range(2))
        largest = math.log2(max((float(self.length) - 1) / (_LENGTH - 1), 1.0))
        dilation = (2 ** (self.reach * largest)).long()
        for step in dilation.unique().tolist():
            own = (dilation == step).nonzero().squeeze(1)
            mixed = self.mix[own] @ series  # (B, k, N)
            found = conv1d(
                *(mixed, self.weight[own][:, None], self.bias[own]),
                padding=step * (_LENGTH // 2),
                dilation=step,
                groups=len(own),
            )
            share[:, own] = ((found > 0) & inside).sum(2) / inside.sum(2)
            most[:, own] = found.masked_fill(~inside, -torch.inf).amax(2)
        return torch.cat([share, most], dim=1)


def _mixed(width: int, count: int) -> Tensor:
    """(K, D) of which 1 to 9 channels are not 0, fewer more often."""
    chosen = (2 ** (torch.rand(count) * math.log2(min(width, _MOST_CHANNELS) + 1))).long()
    order = torch.rand(count, width).argsort(1).argsort(1)
    return torch.randn(count, width) * (order < chosen[:, None]) / chosen[:, None].sqrt()


class Rocket(Fitted):
    """Answer with a normal distribution around the ridge regression of what the kernels give.

    Attributes:
        centre: (F,) mean of the kernels' numbers over the training set.
        spread: (F,) their standard deviation.
        slope: (F,) in score units.
        level: (2,) mean training score, and standard deviation of the errors.
    """

    needs_clips = True
    centre: Tensor
    spread: Tensor
    slope: Tensor
    level: Tensor

    def __init__(self, kernels: nn.ModuleDict) -> None:
        super().__init__()
        self.kernels = kernels
        for name in ("centre", "spread", "slope", "level"):
            self.register_memory(name, torch.float64)

    @torch.no_grad()
    def remember(self, train: Batch) -> None:
        """Select the strength of the ridge, and fit.

        Raises:
            DataError: fewer than two recordings are labelled.
        """
        check_enough(train, "rocket needs")
        for name, stream in train.streams.items():
            cast(Kernels, self.kernels[name]).fit(stream)
        x, score = self._convolved(train), train.score.double()
        spread = x.std(0, correction=0)
        self.centre, self.spread = x.mean(0), torch.where(spread > _LEAST, spread, 1.0)
        x = self._scaled(x)
        gram, known = (x @ x.T).cpu().numpy(), score.cpu().numpy()
        strength, error = _selected(gram, known, train.group.cpu().numpy())
        machine = KernelRidge(alpha=strength, kernel="precomputed").fit(gram, known - known.mean())
        self.slope = x.T @ x.new_tensor(machine.dual_coef_)
        self.level = x.new_tensor([known.mean(), max(error, _LEAST)])

    def predict(self, batch: Batch) -> Normal:
        """Return B normal distributions."""
        mean = self._scaled(self._convolved(batch)) @ self.slope + self.level[0]
        dtype = batch.features.dtype
        return Normal(mean.to(dtype), self.level[1].expand_as(mean).to(dtype))

    def _convolved(self, batch: Batch) -> Tensor:
        return torch.cat([self.kernels[name](stream) for name, stream in batch.streams.items()], dim=1).double()

    def _scaled(self, x: Tensor) -> Tensor:
        return (x - self.centre) / self.spread / math.sqrt(x.shape[1])


def _selected(gram: NDArray[np.float64], score: NDArray[np.float64], group: NDArray[np.int64]) -> tuple[float, float]:
    """Return the strength with the smallest squared error on rows that were not fitted, and its root."""
    error = np.zeros(len(_STRENGTHS))
    for fitted, judged in inner_splits(group):
        mean = score[fitted].mean()
        for number, strength in enumerate(_STRENGTHS):
            machine = KernelRidge(alpha=strength, kernel="precomputed")
            machine.fit(gram[np.ix_(fitted, fitted)], score[fitted] - mean)
            answer = machine.predict(gram[np.ix_(judged, fitted)]) + mean
            error[number] += np.square(answer - score[judged]).sum() / len(score)
    best = len(error) - 1 - int(np.argmin(error[::-1]))  # of equal errors, the stronger ridge
    return float(_STRENGTHS[best]), float(np.sqrt(error[best]))


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    kernels: Annotated[int, Field(gt=0, description="random kernels over each stream")] = 1000,
) -> Rocket:
    """Build the kernels for these features and labels.

    Raises:
        OptionError: the features of a stream are not one vector per moment.
    """
    widths = dict(zip(features.streams, vectors(features, "rocket"), strict=True))
    return Rocket(nn.ModuleDict({name: Kernels(width, kernels) for name, width in widths.items()}))
