"""Pool the clips of a video into one vector: ``(B, N, D), (B, N) -> (B, width)``; padded clips are ignored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from aqakit.types import Batch, Stream

PoolingName = Literal["average", "statistics", "attention", "recurrent"]


def build(name: PoolingName, width: int) -> Pooling:
    """Build a pooling layer by name, for features with ``width`` channels."""
    return _POOLINGS[name](width)


class Pooling(nn.Module):
    """Base class of pooling layers; ``width`` is the number of output channels."""

    width: int


class PooledStreams(nn.ModuleDict):
    """The vectors of all streams, pooled without learning, side by side: a batch → (B, D)."""

    def __init__(self, name: Literal["average", "statistics"], widths: Mapping[str, int]) -> None:
        super().__init__({stream: build(name, width) for stream, width in widths.items()})

    def forward(self, batch: Batch) -> Tensor:
        """Return (B, D)."""
        return torch.cat([self[name](s.features, s.clips) for name, s in batch.streams.items()], dim=1)


class Average(Pooling):
    """Mean over clips, as in USDL, MUSDL, DAE and C3D-AVG."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, features: Tensor, clips: Tensor) -> Tensor:
        """Map (B, N, D), (B, N) to (B, D)."""
        return _mean(features, clips)


class Statistics(Pooling):
    """Mean, standard deviation and mean absolute change between clips: a summary of motion without learning."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = 3 * width

    def forward(self, features: Tensor, clips: Tensor) -> Tensor:
        """Map (B, N, D), (B, N) to (B, 3 D)."""
        mean = _mean(features, clips)
        variance = _mean((features - mean[:, None]).square(), clips)
        change = _mean((features[:, 1:] - features[:, :-1]).abs(), clips[:, 1:])
        # the gradient of sqrt is infinite at 0, which occurs for a video of one clip
        return torch.cat([mean, variance.clamp(min=1e-12).sqrt(), change], dim=1)


class Attention(Pooling):
    """Weighted mean with weights from a small network (Ilse et al. 2018, eq. 8)."""

    def __init__(self, width: int, hidden: int = 128) -> None:
        super().__init__()
        self.width = width
        self.score = nn.Sequential(nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, 1))

    def forward(self, features: Tensor, clips: Tensor) -> Tensor:
        """Map (B, N, D), (B, N) to (B, D)."""
        score = self.score(features).squeeze(-1).masked_fill(~clips, -torch.inf)  # (B, N)
        return (score.softmax(1)[..., None] * features).sum(1)


class Recurrent(Pooling):
    """Last hidden state of a GRU over the clips."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = min(width, 256)
        self.gru = nn.GRU(width, self.width, batch_first=True)

    def forward(self, features: Tensor, clips: Tensor) -> Tensor:
        """Map (B, N, D), (B, N) to (B, min(D, 256))."""
        states, _ = self.gru(features)  # (B, N, width)
        last = (clips.sum(1) - 1).clamp(min=0)
        return states[torch.arange(states.shape[0], device=states.device), last]


def _mean(features: Tensor, clips: Tensor) -> Tensor:
    weight = clips.to(features.dtype)[..., None]  # (B, N, 1)
    return (features * weight).sum(1) / weight.sum(1).clamp(min=1)


_POOLINGS: dict[str, type[Pooling]] = {
    "average": Average,
    "statistics": Statistics,
    "attention": Attention,
    "recurrent": Recurrent,
}


_FARTHEST = 10.0


def standardised(features: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
    """(features − mean) ÷ standard deviation, clamped to ±10.

    A channel that was almost constant in training (common after a ReLU) could otherwise be thousands of standard
    deviations away in a new video and dominate its score.
    """
    return ((features - mean) / spread).clamp(-_FARTHEST, _FARTHEST)


def equal_shares(clips: Tensor, parts: int) -> Tensor:
    """Assign clips to equal shares of a video, (B, N) → (B, parts, N) bool; a clip on a border is in both shares.

    >>> equal_shares(torch.tensor([[True, True, True, False]]), 2).int().tolist()
    [[[1, 1, 0, 0], [0, 1, 1, 0]]]
    """
    count = clips.sum(1)[:, None, None]
    clip = torch.arange(clips.shape[1], device=clips.device)
    share = torch.arange(parts, device=clips.device)[:, None]
    return (clip >= share * count // parts) & (clip < -(-(share + 1) * count // parts))


def summarise(video: Tensor, windows: int) -> Tensor:
    """Summarise equal shares of one video: clips (n, D) → (windows, 3 D).

    It computes the outputs of :class:`Statistics` for each share, once, so that recordings with thousands of clips need
    not be pooled again in every training step.
    """
    ends = [(k * len(video) // windows, -(-(k + 1) * len(video) // windows)) for k in range(windows)]
    pool = Statistics(video.shape[1])
    parts = [video[first:last][None] for first, last in ends]
    return torch.cat([pool(part, torch.ones(part.shape[:2], dtype=torch.bool)) for part in parts])


def concatenate(streams: Sequence[Stream]) -> Stream:
    """Concatenate several streams of vectors clip by clip along the channels.

    Every video is reduced to the number of clips of its shortest stream: clip n of a longer stream is the mean of the
    n-th equal share of its clips.
    """
    counts = torch.stack([s.clips.sum(1) for s in streams]).amin(0)  # (B,)
    clips = torch.arange(int(counts.max()), device=counts.device)[None] < counts[:, None]  # (B, N)
    return Stream(torch.cat([_resample(s, counts, clips) for s in streams], dim=2), clips)


def _resample(stream: Stream, counts: Tensor, clips: Tensor) -> Tensor:
    joined = stream.features.new_zeros(*clips.shape, stream.features.shape[2])
    for row, count in enumerate(counts.tolist()):
        video = stream.features[row, stream.clips[row]]  # (n, D)
        joined[row, :count] = nn.functional.adaptive_avg_pool1d(video.T, count).T
    return joined
