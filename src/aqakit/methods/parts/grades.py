"""Grades of a scale that learnt queries read from the clips of a video (GDLT), and what keeps the queries apart."""

from __future__ import annotations

from typing import Annotated, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from aqakit.errors import OptionError
from aqakit.methods.parts.norms import FrameNorm
from aqakit.types import Stream

GradesOption = Annotated[int, Field(ge=2, description="grades of the scale, each with a query")]
WidthOption = Annotated[int, Field(gt=0, multiple_of=8, description="channels of clips and queries")]
HeadsOption = Annotated[int, Field(gt=0, description="heads of attention; a divisor of width")]
EncodersOption = Annotated[int, Field(gt=0, description="layers of attention between clips")]
DecodersOption = Annotated[int, Field(gt=0, description="layers of attention of the queries to the clips")]
AlphaOption = Annotated[float, Field(ge=0, description="weight of the triplet loss")]

MARGIN = 1.0


class Projection(nn.Module):
    """Map each clip to ``width`` channels: two linear layers, each with batch norm, and a ReLU between them."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(inputs, width), nn.Linear(width, width)
        self.first_norm, self.second_norm = FrameNorm(width), FrameNorm(width)

    def forward(self, stream: Stream) -> Tensor:
        """Map (B, N, D) to (B, N, width), zero where padded."""
        x = torch.where(stream.clips[..., None], stream.features, 0.0)
        x = self._normed(self.first_norm, self.first(x), stream.clips).relu()
        return self._normed(self.second_norm, self.second(x), stream.clips)

    def _normed(self, norm: nn.Module, x: Tensor, clips: Tensor) -> Tensor:
        return cast(Tensor, norm(x[:, :, None], clips)).squeeze(2)


class GradeQueries(nn.Module):
    """What each of Q queries sees in the clips: projection, transformer encoder and decoder.

    Raises:
        OptionError: If the heads do not divide the width.
    """

    def __init__(
        self, inputs: int, *, width: int, grades: int, heads: int, encoders: int, decoders: int, dropout: float
    ) -> None:
        super().__init__()
        if width % heads:
            raise OptionError(f"{heads} heads do not divide a width of {width}")
        self.project = Projection(inputs, width)
        more = {"dim_feedforward": 4 * width, "dropout": dropout, "batch_first": True}
        layer = nn.TransformerEncoderLayer(width, heads, **more)  # type: ignore[arg-type]
        self.encoder = nn.TransformerEncoder(layer, encoders, enable_nested_tensor=False)
        self.decoder = nn.TransformerDecoder(
            nn.TransformerDecoderLayer(width, heads, **more),  # type: ignore[arg-type]
            decoders,
        )
        self.queries = nn.Parameter(torch.randn(grades, width))

    def forward(self, stream: Stream) -> Tensor:
        """Map (B, N, D) to (B, Q, width)."""
        x = self.encoder(self.project(stream), src_key_padding_mask=~stream.clips)
        queries = self.queries.expand(len(x), -1, -1)
        seen: Tensor = self.decoder(queries, x, memory_key_padding_mask=~stream.clips)
        return seen


def likert(shown: Tensor, values: Tensor) -> Tensor:
    """Return the mean of the grades' values (Q,), weighted by how strongly each is shown, (B, Q) in log-odds → (B,).

    >>> likert(torch.tensor([[0.0, 0.0], [0.0, 99.0]]), torch.tensor([0.0, 6.0])).tolist()
    [3.0, 4.0]
    """
    strong = shown.sigmoid()
    return (strong * values).sum(1) / strong.sum(1)


def hardest_triplets(seen: Tensor) -> Tensor:
    """Return the loss (B Q,) of what Q queries see in B videos, (B, Q, D).

    Each is to be nearer to what the same query sees in every other video than to what any other query sees anywhere, by
    the margin: max(0, farthest of the same − nearest of another + 1). With one video, or one query, there is no loss.
    """
    videos, queries, _ = seen.shape
    flat = seen.flatten(0, 1)
    apart = torch.cdist(flat, flat)
    own = torch.arange(queries, device=seen.device).repeat(videos)
    same = own[:, None] == own
    if videos < 2 or queries < 2:
        return flat.sum(1) * 0.0
    farthest = apart.masked_fill(~same, 0.0).amax(1)
    nearest = apart.masked_fill(same, torch.inf).amin(1)
    return (farthest - nearest + MARGIN).relu()
