"""ED-TCN: a temporal convolutional encoder–decoder that predicts the stage of every clip or frame of a video.

Each encoder level applies a convolution and channel dropout, divides each time step by its largest channel and halves
time by max pooling. The decoder mirrors it and doubles time by repetition (Lea et al., Temporal Convolutional Networks
for Action Segmentation and Detection, CVPR 2017, §3.2).

The beginnings of the stages are decoded jointly: the stages follow one another, each has at least one clip, and the
most probable such division is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aqakit.errors import DataError, OptionError
from aqakit.system import tensors as storage
from aqakit.system.tensors import DamagedError

_DROPOUT = 0.3
_POOL = 2


class EDTCN(nn.Module):
    """Map the vectors (T, D) of one video to log-probabilities (T, K) of the stages.

    Args:
        width: D.
        classes: K.
        filters: Channels of the encoder levels, outermost first.
        length: Kernel size in time steps.
    """

    def __init__(self, width: int, classes: int, *, filters: Sequence[int] = (256, 512), length: int = 10) -> None:
        super().__init__()
        self.padding = (length - 1) // 2, length // 2
        channels = [width, *filters, *reversed(filters)]
        layers = [nn.Conv1d(a, b, length) for a, b in pairwise(channels)]
        self.encoder, self.decoder = nn.ModuleList(layers[: len(filters)]), nn.ModuleList(layers[len(filters) :])
        self.classify = nn.Linear(channels[-1], classes)

    @property
    def width(self) -> int:
        """D."""
        return int(next(self.parameters()).shape[1])

    @property
    def classes(self) -> int:
        """K."""
        return self.classify.out_features

    def forward(self, video: Tensor) -> Tensor:
        """Map (T, D) to (T, K)."""
        x = video.T[None]  # (1, D, T)
        lengths = []
        for layer in self.encoder:
            lengths.append(x.shape[2])
            x = F.max_pool1d(self._level(layer, x), _POOL, ceil_mode=True)
        for layer, length in zip(self.decoder, reversed(lengths), strict=True):
            x = self._level(layer, x.repeat_interleave(_POOL, 2)[..., :length])
        return self.classify(x[0].T).log_softmax(1)

    @torch.no_grad()
    def begins(self, video: Tensor) -> list[int]:
        """Return where each stage but the first begins in the clips (T, D) of a video, with T ≥ K."""
        return division(self.eval()(video))

    def save(self, file: Path) -> None:
        """Write the weights, whose shapes define all sizes."""
        storage.save(file, self.state_dict())

    @classmethod
    def load(cls, file: Path) -> Self:
        """Load a network written by :meth:`save`.

        Raises:
            DataError: If the file cannot be read or contains something else.
        """
        try:
            weights, _ = storage.load(file)
            levels = [weights[f"encoder.{k}.weight"] for k in range(sum(n.startswith("encoder") for n in weights) // 2)]
            filters, length = [len(level) for level in levels], levels[0].shape[2]
            network = cls(levels[0].shape[1], len(weights["classify.bias"]), filters=filters, length=length)
            network.load_state_dict(weights)
        except (OSError, DamagedError, LookupError, RuntimeError) as error:
            why = str(error).splitlines()[0]
            raise DataError(f"{file} is not a segmenter made by fit_segmenter: {why}") from error
        return network

    def _level(self, layer: nn.Module, x: Tensor) -> Tensor:
        """Map (1, C, T) to (1, C', T)."""
        x = F.dropout1d(layer(F.pad(x, self.padding)), _DROPOUT, self.training).relu()
        return x / (x.amax(1, keepdim=True) + 1e-5)


def fit_segmenter(
    videos: Sequence[Tensor],
    begins: Sequence[Sequence[int]],
    *,
    filters: Sequence[int] = (256, 512),
    length: int = 10,
    epochs: int = 30,
    batch_size: int = 8,
    learning_rate: float = 1e-3,
    seed: int = 0,
) -> EDTCN:
    """Train a segmenter with the cross-entropy of every clip; sizes, optimiser and epochs are those of S3D.

    Args:
        videos: Clips or frames (T_i, D) of each video.
        begins: K − 1 row numbers per video at which the stages after the first begin, ascending.
        filters: See :class:`EDTCN`.
        length: See :class:`EDTCN`.
        epochs: Passes over the videos.
        batch_size: Videos per step.
        learning_rate: Learning rate of RMSprop.
        seed: Seed of the initial weights, the order and the dropout.

    Raises:
        OptionError: If there are no videos, or the row numbers do not divide their video.
    """
    stages = [stages_of(begin, len(video)) for video, begin in zip(videos, begins, strict=True)]
    if not videos or len({len(begin) for begin in begins}) != 1:
        raise OptionError("a segmenter needs one or more training videos with the same number of stages")
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    network = EDTCN(videos[0].shape[1], len(begins[0]) + 1, filters=filters, length=length).train()
    optimizer = torch.optim.RMSprop(network.parameters(), learning_rate, alpha=0.9)
    for _ in range(epochs):
        for rows in torch.randperm(len(videos), generator=generator).split(batch_size):
            optimizer.zero_grad()
            for row in rows.tolist():
                (F.nll_loss(network(videos[row]), stages[row]) / len(rows)).backward()
            optimizer.step()
    return network.eval()


def stages_of(begins: Sequence[int], length: int) -> Tensor:
    """Return the stage of every clip, (length,).

    Raises:
        OptionError: If the numbers are not ascending or lie outside the video.

    >>> stages_of([2, 3], 5)
    tensor([0, 0, 1, 2, 2])
    """
    if sorted(begins) != list(begins) or not all(0 <= begin < length for begin in begins):
        raise OptionError(f"stages of a video of {length} clips cannot begin at {', '.join(map(str, begins))}")
    return (torch.arange(length)[:, None] >= torch.tensor(begins)).sum(1)


def division(log_probability: Tensor) -> list[int]:
    """Return the K − 1 most probable row numbers at which the next stage begins; (T, K) with T ≥ K.

    >>> division(torch.tensor([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]]).log())
    [1]
    """
    length, stages = log_probability.shape
    best = log_probability.new_full((length, stages), -torch.inf)  # best division with stage k at row n
    best[0, 0] = log_probability[0, 0]
    for n in range(1, length):
        before = torch.cat([best.new_full((1,), -torch.inf), best[n - 1, :-1]])
        best[n] = log_probability[n] + torch.maximum(best[n - 1], before)
    begins: list[int] = []
    stage = stages - 1
    for n in range(length - 1, 0, -1):
        if stage and best[n - 1, stage - 1] >= best[n - 1, stage]:
            begins.append(n)
            stage -= 1
    return begins[::-1]
