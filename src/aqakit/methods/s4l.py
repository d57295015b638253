"""S4L: self-supervised tasks on unlabelled videos.

The questions are

- ``rotation``, the published one (Zhai et al. 2019): the video is turned by 0, 90, 180 or 270 degrees: by how much?
- ``order``: the video is cut into three parts, which come in one of their six orders: which one?
- ``speed``: every clip is shown, every second one, or every fourth: how fast is it?

Features cannot be turned, but they have an order and a pace. Turned pixels need backbones that are trained in the run
(``--finetune``), which an unlabelled video passes a second time: a step of ``c3d_small`` takes 1.4 times as long as
one of the base on as many videos where half of the batch is unlabelled, 1.5 times where three quarters are.

The base and the question read one encoder, the same that :mod:`~aqakit.methods.s4aqa` shares; where no video is
unlabelled it is the base over that encoder. The paper asks labelled pictures too; here they teach the base alone. It
asks all four turns of a picture in each step; here each video is turned by one of them, drawn anew, in all its frames
and clips, which is the same on average for a quarter of the price.
"""

from collections.abc import Callable
from itertools import permutations
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from aqakit.methods.parts.base import DropoutOption, Method
from aqakit.methods.parts.pooling import build as build_pooling
from aqakit.methods.parts.semi_supervised import (
    BaseOption,
    Encoded,
    Encoder,
    EncoderOption,
    ReachOption,
    WidthOption,
    build_encoded,
    first,
)
from aqakit.recordings.transforms import crop
from aqakit.types import Batch, FeatureSpec, LabelSpec, Stream

PAPER = "Zhai et al., S4L: Self-Supervised Semi-Supervised Learning, ICCV 2019. https://arxiv.org/abs/1905.03670"
FEATURES = FeatureSpec({"i3d": (1024,)})

Question = Literal["order", "speed", "rotation"]

_ORDERS = tuple(permutations(range(3)))
_STEPS = (1, 2, 4)
_ANSWERS = {"order": len(_ORDERS), "speed": len(_STEPS), "rotation": 4}


class S4L(Encoded):
    """A base over an encoder that also knows how a video was changed.

    Args:
        encoder: shared by all rows.
        base: reads its output.
        question: how videos are changed.
        weight: of the question.
    """

    def __init__(self, encoder: Encoder, base: Method, *, question: Question, weight: float) -> None:
        super().__init__(encoder, base)
        self.pool = build_pooling("recurrent", encoder.width)
        self.head = nn.Linear(self.pool.width, _ANSWERS[question])
        self.question, self.weight = question, weight
        self.needs_pixels |= question == "rotation"

    def unlabelled_losses(self, batch: Batch, codes: Stream, encoded: Stream) -> dict[str, Tensor]:
        """Weight × cross-entropy of the answer on changed features; nothing where pixels are to be turned."""
        if self.question == "rotation":
            return {}
        changed, truth = self.change(codes.select(~batch.labelled))
        return self.asked(self.encoder.tell(changed), truth)

    def pixel_losses(self, pixels: Batch, embed: Callable[[Batch], Batch]) -> dict[str, Tensor]:
        """Weight × cross-entropy of the answer on turned videos, where that is the question."""
        terms = super().pixel_losses(pixels, embed)
        if self.question != "rotation" or bool(pixels.labelled.all()):
            return terms
        turned, truth = turn(pixels.select(~pixels.labelled))
        return {**terms, **self.asked(self.encoder(first(embed(turned))), truth)}

    def asked(self, encoded: Stream, truth: Tensor) -> dict[str, Tensor]:
        """The term of encoded changed videos whose true answers are (B,) classes."""
        answer = self.head(self.pool(encoded.features, encoded.clips))
        return {self.question: self.weight * F.cross_entropy(answer, truth)}

    def change(self, stream: Stream) -> tuple[Stream, Tensor]:
        """Each video changed at random, and the class (B,) of the change."""
        views = _ORDERS if self.question == "order" else _STEPS
        truth = torch.randint(len(views), (len(stream.clips),), device=stream.clips.device)
        counts = stream.clips.sum(1).tolist()
        shown = [_shown(n, views[k]) for n, k in zip(counts, truth.tolist(), strict=True)]
        lengths = torch.tensor([len(places) for places in shown])
        longest = int(lengths.max())
        index = torch.tensor([places + [0] * (longest - len(places)) for places in shown])  # (B, longest)
        features = stream.features[torch.arange(len(truth))[:, None], index]
        return Stream(features, (torch.arange(longest) < lengths[:, None]).to(truth.device)), truth


def _shown(clips: int, view: tuple[int, ...] | int) -> list[int]:
    """Places of the clips shown, in turn: every ``view``-th, or the parts in that order, of which some may be empty."""
    if isinstance(view, int):
        return list(range(0, clips, view))
    size, more = divmod(clips, len(view))
    starts = [part * size + min(part, more) for part in range(len(view) + 1)]  # the first parts are the longer ones
    return [clip for part in view for clip in range(starts[part], starts[part + 1])]


def turn(pixels: Batch) -> tuple[Batch, Tensor]:
    """Each video turned at random, alike in all frames and streams, and by how many quarters counter-clockwise (B,)."""
    truth = torch.randint(4, (len(pixels),), device=pixels.score.device)
    streams = {}
    for name, stream in pixels.streams.items():
        videos = [_turned(video, by) for video, by in zip(stream.features, truth.tolist(), strict=True)]
        streams[name] = Stream(torch.stack(videos), stream.clips)
    return pixels.replace(streams=streams), truth


def _turned(clips: Tensor, quarters: int) -> Tensor:
    """(N, T, H, W, 3) of the same shape.

    Of pictures that are not square the central square is turned and stretched to their size, whatever the turn: were
    only some of them stretched, that would be the answer.
    """
    height, width = clips.shape[-3:-1]
    side = min(height, width)
    square = crop(clips, (side, side)).rot90(quarters, (-3, -2))
    if height == width:
        return square
    pictures = square.flatten(0, 1).movedim(-1, 1).float()  # (N T, 3, side, side)
    stretched = F.interpolate(pictures, (height, width), mode="bilinear").round().to(clips.dtype)
    return stretched.movedim(1, -1).reshape(clips.shape)


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    base: BaseOption = "usdl",
    question: Annotated[
        Question, Field(description="what an unlabelled video is asked; rotation needs --finetune")
    ] = "order",
    weight: Annotated[float, Field(gt=0, description="of the question")] = 1.0,
    encoder: EncoderOption = "residual",
    width: WidthOption = 128,
    reach: ReachOption = 1,
    dropout: DropoutOption = 0.0,
) -> S4L:
    """S4L for these features and labels.

    Raises:
        OptionError: a base that does not exist, or that keeps a memory of what it read.
    """
    shared, scorer = build_encoded(
        "s4l", base, labels, encoder, inputs=features.width, width=width, reach=reach, dropout=dropout
    )
    return S4L(shared, scorer, question=question, weight=weight)
