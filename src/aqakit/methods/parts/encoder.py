"""Encoders of clips that combine each clip with its neighbours, for schemes that hide a part of a video."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aqakit.types import Stream


class Encoder(nn.Module):
    """Encode each clip from itself and, by a convolution, from its neighbours; the number of clips stays the same.

    There are two stages. The first (:meth:`read`), more expensive for wide features, processes each clip alone. If
    clips of a video are removed or reordered, only the second (:meth:`tell`) has to be repeated.

    Args:
        inputs: Channels of a clip.
        width: Channels of an encoded clip.
        reach: Neighbours on either side.
        dropout: Dropout probability of the clips' channels.
    """

    def __init__(self, inputs: int, width: int, *, reach: int, dropout: float) -> None:
        super().__init__()
        self.width, self.reach = width, reach
        self.own = nn.Linear(inputs, width)
        self.around = nn.Conv1d(inputs, width, 2 * reach + 1, padding=reach, bias=False)
        self.drop = nn.Dropout(dropout)

    def forward(self, stream: Stream) -> Stream:
        """Map (B, N, D) to (B, N, width), zero where padded."""
        return self.tell(self.read(stream))

    def read(self, stream: Stream) -> Stream:
        """First stage, (B, N, D) → (B, N, code): the contributions of each clip to itself and its neighbours."""
        # on a CPU, one product for the linear layer and all taps is faster than two products or a convolution
        own = F.pad(self.own.weight[None], (0, 0, 0, 0, self.reach, self.reach))
        taps = own + self.around.weight.permute(2, 0, 1)  # (taps, width, D)
        return Stream(F.linear(self._dropped(stream), taps.flatten(0, 1)), stream.clips)

    def tell(self, codes: Stream) -> Stream:
        """Second stage, (B, N, code) → (B, N, width), zero where padded."""
        mask = codes.clips[..., None]
        told = self._told(codes.features * mask)
        return Stream(torch.relu(told + self.own.bias) * mask, codes.clips)

    def _told(self, said: Tensor) -> Tensor:
        """Sum the contributions (B, N, taps × width) that each clip receives from its neighbours → (B, N, width)."""
        clips, heard = said.shape[1], said.unflatten(2, (-1, self.width))
        padded = F.pad(heard, (0, 0, 0, 0, self.reach, self.reach))  # (B, N + 2 reach, taps, width)
        return torch.stack([padded[:, k : k + clips, k] for k in range(heard.shape[2])]).sum(0)

    def _dropped(self, stream: Stream) -> Tensor:
        dropped: Tensor = self.drop(stream.features.masked_fill(~stream.clips[..., None], 0.0))
        return dropped


class ResidualEncoder(Encoder):
    """Encode each clip separately, then add a convolution over these codes.

    The same weights read a clip and its neighbours, so what neighbours reveal about a clip is kept in its own code.
    The arguments are those of :class:`Encoder`.
    """

    def __init__(self, inputs: int, width: int, *, reach: int, dropout: float) -> None:
        super().__init__(inputs, width, reach=reach, dropout=dropout)
        self.around = nn.Conv1d(width, width, 2 * reach + 1, padding=reach)

    def read(self, stream: Stream) -> Stream:
        """First stage, (B, N, D) → (B, N, width): the code of each clip."""
        return Stream(torch.relu(self.own(self._dropped(stream))), stream.clips)

    def tell(self, codes: Stream) -> Stream:
        """Second stage, (B, N, width) → (B, N, width), zero where padded."""
        mask = codes.clips[..., None]
        own = codes.features * mask
        taps = self.around.weight.permute(2, 0, 1)  # (taps, width, width)
        told = self._told(F.linear(own, taps.flatten(0, 1))) + cast(Tensor, self.around.bias)
        return Stream((own + torch.relu(told)) * mask, codes.clips)


ENCODERS: dict[str, type[Encoder]] = {"convolution": Encoder, "residual": ResidualEncoder}
