"""LITE: small convolutions beside hand-made filters.

The first layer joins convolutions with kernels of 40, 20 and 10 moments with filters that nobody learns: increases and
decreases over 2 to 64 moments, and peaks over 6 to 96. Two separable convolutions with dilations 2 and 4 follow, and
the score is regressed on the mean over time (Ismail-Fawaz et al. 2023). With several channels, the convolutions of the
first layer are separable too, and the hand-made filters pass over each channel (LITEMV). Each convolution is followed
by batch norm and ReLU; moments beyond the end of a series are 0 and take no part in norms or the mean. As published,
the dilated kernels have an even size and skip the moment itself: series should have dozens of moments.

The sizes are the published ones: 9,814 weights before the last layer for one channel, and 87,956 for 75. LITETime and
LITEMVTime are ensembles of five, which is what a run with five members is. Published training: Adam, 1e-3, batches of
64, 1,500 epochs.
"""

from __future__ import annotations

from typing import Annotated, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from aqakit.methods.parts.base import DropoutOption, Method, mean_loss
from aqakit.methods.parts.heads import PointHead
from aqakit.methods.parts.losses import squared_error
from aqakit.methods.parts.norms import FrameNorm
from aqakit.methods.parts.shapes import vectors
from aqakit.scores.distributions import Point
from aqakit.types import Batch, FeatureSpec, LabelSpec, Stream

PAPER = (
    "Ismail-Fawaz et al., LITE: Light Inception with boosTing tEchniques for Time Series Classification, DSAA 2023. "
    "https://doi.org/10.1109/DSAA60987.2023.10302569"
)
FEATURES = FeatureSpec({"movement": (75,)})

_STEPS = (2, 4, 8, 16, 32, 64)  # moments of filters for increases and decreases
_PEAKS = (4, 8, 16, 32, 64)  # peaks have half as many again
_BRANCHES, _LATER = 3, 2


def hand_made() -> list[NDArray[np.float64]]:
    """The 17 filters: six for increases, six for decreases, five for peaks.

    Increases and decreases alternate −1 and 1; a peak is a parabola up between two of half its height down.
    """
    rising = [np.where(np.arange(size) % 2, 1.0, -1.0) for size in _STEPS]
    peaks = []
    for size in _PEAKS:
        half = np.linspace(0, 1, size // 4 + 1)[1:] ** 2
        bump = np.concatenate([half, half[::-1]])
        peaks.append(np.concatenate([-bump, 2 * bump, -bump]))
    return [*rising, *(-one for one in rising), *peaks]


class HandMade(nn.Module):
    """Fixed filters: over the sum of the channels, or over each channel; (B, D, N) → (B, 17 or 17 D, N)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        for number, one in enumerate(hand_made()):
            kernel = torch.from_numpy(one).float().repeat(width, 1)[:, None]  # (D, 1, size)
            self.register_buffer(f"filter{number}", kernel, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, with nothing (0) beyond the ends."""
        found = [nn.functional.conv1d(x, one, padding="same", groups=self.width) for one in self.buffers()]
        return torch.cat(found, 1)


def convolution(width: int, out: int, kernel: int, dilation: int = 1, *, separable: bool) -> nn.Module:
    """A convolution without bias as long as the series; separable: each channel by itself, then their mixture."""
    if not separable:
        return nn.Conv1d(width, out, kernel, padding="same", dilation=dilation, bias=False)
    alone = nn.Conv1d(width, width, kernel, padding="same", dilation=dilation, groups=width, bias=False)
    return nn.Sequential(alone, nn.Conv1d(width, out, 1, bias=False))


class Series(nn.Module):
    """The network over one stream, whose series become vectors: (B, N, D) → (B, filters)."""

    def __init__(self, width: int, filters: int, kernel: int) -> None:
        super().__init__()
        sizes = [kernel // 2**i for i in range(_BRANCHES)]
        self.branches = nn.ModuleList(convolution(width, filters, size, separable=width > 1) for size in sizes)
        self.fixed = HandMade(width)
        first = _BRANCHES * filters + width * len(hand_made())
        widths = (first, *[filters] * _LATER)
        self.later = nn.ModuleList(
            convolution(widths[i], filters, max(1, kernel // 2 ** (i + 1)), 2 ** (i + 1), separable=True)
            for i in range(_LATER)
        )
        self.norms = nn.ModuleList(FrameNorm(width) for width in widths)

    def forward(self, stream: Stream) -> Tensor:
        """Mean over time of the last convolution, (B, filters)."""
        x = (stream.features * stream.clips[..., None]).transpose(1, 2)  # (B, D, N)
        x = self._normed(0, torch.cat([*(branch(x) for branch in self.branches), self.fixed(x)], 1), stream.clips)
        for number, layer in enumerate(self.later, 1):
            x = self._normed(number, layer(x), stream.clips)
        return x.sum(2) / stream.clips.sum(1, keepdim=True).clamp(min=1)

    def _normed(self, number: int, x: Tensor, clips: Tensor) -> Tensor:
        norm = cast(FrameNorm, self.norms[number])
        return (norm(x.transpose(1, 2)[:, :, None], clips)[:, :, 0].relu() * clips[..., None]).transpose(1, 2)


class Lite(Method):
    """Predict a point for each video."""

    needs_clips = True

    def __init__(self, series: nn.ModuleDict, head: PointHead, dropout: float) -> None:
        super().__init__()
        self.series, self.head, self.dropout = series, head, nn.Dropout(dropout)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Mean squared error, in squared units of the head."""
        known = batch.labelled_rows()
        return {"squared_error": mean_loss(squared_error(self.predict(known), known.score)) / self.head.units.size**2}

    def predict(self, batch: Batch) -> Point:
        """Return B points."""
        found = [self.series[name](stream) for name, stream in batch.streams.items()]
        return self.head(self.dropout(torch.cat(found, 1)))


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    filters: Annotated[int, Field(gt=0, description="filters of each learnt convolution")] = 32,
    kernel: Annotated[
        int, Field(ge=4, description="moments of the longest learnt kernel; the others are shorter")
    ] = 40,
    dropout: DropoutOption = 0.0,
) -> Lite:
    """Build LITE for these features and labels.

    Raises:
        OptionError: the features of a stream are not one vector per moment.
    """
    widths = dict(zip(features.streams, vectors(features, "lite"), strict=True))
    series = nn.ModuleDict({name: Series(width, filters, kernel) for name, width in widths.items()})
    return Lite(series, PointHead(filters * len(widths), labels.scale), dropout)
