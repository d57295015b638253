"""From the clips of a video to one vector: ``(B, N, D), (B, N) -> (B, width)``; padded clips change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from aqakit.types import Stream

PoolingName = Literal["average", "statistics", "attention", "recurrent"]


def build(name: PoolingName, width: int) -> Pooling:
    """A pooling of features with ``width`` channels, by name."""
    return _POOLINGS[name](width)


class Pooling(nn.Module):
    """``width`` is the number of channels that come out."""

    width: int


class Average(Pooling):
    """Mean over clips: what USDL, MUSDL, DAE and C3D-AVG do."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, features: Tensor, clips: Tensor) -> Tensor:
        """(B, N, D), (B, N) → (B, D)."""
        return _mean(features, clips)


class Statistics(Pooling):
    """Mean, spread and mean absolute change from clip to clip: how a long recording moves, without learning."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = 3 * width

    def forward(self, features: Tensor, clips: Tensor) -> Tensor:
        """(B, N, D), (B, N) → (B, 3 D)."""
        mean = _mean(features, clips)
        variance = _mean((features - mean[:, None]).square(), clips)
        change = _mean((features[:, 1:] - features[:, :-1]).abs(), clips[:, 1:])
        # sqrt has no finite gradient at 0, which a video of a single clip would meet
        return torch.cat([mean, variance.clamp(min=1e-12).sqrt(), change], dim=1)


class Attention(Pooling):
    """Weighted mean whose weights a small network gives each clip (Ilse et al. 2018, eq. 8)."""

    def __init__(self, width: int, hidden: int = 128) -> None:
        super().__init__()
        self.width = width
        self.score = nn.Sequential(nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, 1))

    def forward(self, features: Tensor, clips: Tensor) -> Tensor:
        """(B, N, D), (B, N) → (B, D)."""
        score = self.score(features).squeeze(-1).masked_fill(~clips, -torch.inf)  # (B, N)
        return (score.softmax(1)[..., None] * features).sum(1)


class Recurrent(Pooling):
    """The last state of a GRU over the clips in order."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = min(width, 256)
        self.gru = nn.GRU(width, self.width, batch_first=True)

    def forward(self, features: Tensor, clips: Tensor) -> Tensor:
        """(B, N, D), (B, N) → (B, min(D, 256))."""
        states, _ = self.gru(features)  # (B, N, width)
        last = (clips.sum(1) - 1).clamp(min=0)
        return states[torch.arange(len(states), device=states.device), last]


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
    """(features − mean) ÷ spread, within ten spreads.

    A channel that was all but silent in training, as many behind a ReLU are, would otherwise be thousands of its
    spreads away in one new video, and carry the score with it.
    """
    return ((features - mean) / spread).clamp(-_FARTHEST, _FARTHEST)


def equal_shares(clips: Tensor, parts: int) -> Tensor:
    """(B, N) → (B, parts, N): which clips are in each equal share of a video; a clip on a border is in both.

    >>> equal_shares(torch.tensor([[True, True, True, False]]), 2).int().tolist()
    [[[1, 1, 0, 0], [0, 1, 1, 0]]]
    """
    count = clips.sum(1)[:, None, None]
    clip = torch.arange(clips.shape[1], device=clips.device)
    share = torch.arange(parts, device=clips.device)[:, None]
    return (clip >= share * count // parts) & (clip < -(-(share + 1) * count // parts))


def summarise(video: Tensor, windows: int) -> Tensor:
    """Clips (n, D) of one video → (windows, 3 D): mean, spread and mean absolute change in equal shares of it.

    What :class:`Statistics` says of a whole video, for each part of it and once for all, so that a long recording of
    thousands of clips is not pooled anew in every step of training.
    """
    ends = [(k * len(video) // windows, -(-(k + 1) * len(video) // windows)) for k in range(windows)]
    pool = Statistics(video.shape[1])
    parts = [video[first:last][None] for first, last in ends]
    return torch.cat([pool(part, torch.ones(part.shape[:2], dtype=torch.bool)) for part in parts])


def concatenate(streams: Sequence[Stream]) -> Stream:
    """Join the widths of several streams of vectors, clip by clip.

    Every video is brought to as many clips as its shortest stream has: clip n of a longer one is the mean of the n-th
    equal share of its clips.
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
