"""S4L: beside the score, unlabelled videos are asked something whose answer is free.

Zhai et al. 2019 turn pictures and ask by how much. Features cannot be turned, but they have an order and a pace, so
the questions here are

- ``order``: the video is cut into three parts, which come in one of their six orders: which one?
- ``speed``: every clip is shown, every second one, or every fourth: how fast is it?

The base and the question read one encoder, the same that :mod:`~aqakit.methods.s4aqa` shares; where no video is
unlabelled it is the base over that encoder. The paper asks labelled pictures too; here they teach the base alone.
Turned pixels, the published question, are left to runs that read pixels and are not asked here.
"""

from itertools import permutations
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from aqakit.methods import DropoutOption, Method
from aqakit.methods._semi_supervised import (
    BaseOption,
    Encoded,
    Encoder,
    ReachOption,
    WidthOption,
    build_base,
    first,
)
from aqakit.pooling import build as build_pooling
from aqakit.types import Batch, FeatureSpec, LabelSpec, Stream

PAPER = "Zhai et al., S4L: Self-Supervised Semi-Supervised Learning, ICCV 2019. https://arxiv.org/abs/1905.03670"
FEATURES = FeatureSpec({"i3d": (1024,)})

Question = Literal["order", "speed"]

_ORDERS = tuple(permutations(range(3)))
_STEPS = (1, 2, 4)


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
        self.head = nn.Linear(self.pool.width, len(_ORDERS if question == "order" else _STEPS))
        self.question, self.weight = question, weight

    def unlabelled_losses(self, batch: Batch, seen: Batch) -> dict[str, Tensor]:
        """Weight × cross-entropy of the answer on changed videos."""
        changed, truth = self.change(first(batch.select(~batch.labelled)))
        encoded = self.encoder(changed)
        answer = self.head(self.pool(encoded.features, encoded.clips))
        return {self.question: self.weight * F.cross_entropy(answer, truth)}

    def change(self, stream: Stream) -> tuple[Stream, Tensor]:
        """Each video changed at random, and the class (B,) of the change."""
        views = _ORDERS if self.question == "order" else _STEPS
        truth = torch.randint(len(views), (len(stream.clips),), device=stream.clips.device)
        videos = [stream.features[row, stream.clips[row]] for row in range(len(truth))]
        chosen = [views[k] for k in truth.tolist()]
        changed = [_reordered(v, c) if isinstance(c, tuple) else v[::c] for v, c in zip(videos, chosen, strict=True)]
        return Stream.stack(changed), truth


def _reordered(video: Tensor, order: tuple[int, ...]) -> Tensor:
    """(n, D) with its parts in another order; of fewer clips than parts, some parts are empty."""
    parts = video.tensor_split(len(order))
    return torch.cat([parts[k] for k in order])


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    base: BaseOption = "usdl",
    question: Annotated[Question, Field(description="what an unlabelled video is asked")] = "order",
    weight: Annotated[float, Field(gt=0, description="of the question")] = 1.0,
    width: WidthOption = 128,
    reach: ReachOption = 1,
    dropout: DropoutOption = 0.0,
) -> S4L:
    """S4L for these features and labels.

    Raises:
        OptionError: a base that does not exist, or that keeps a memory of what it read.
    """
    encoder = Encoder(features.width, width, reach=reach, dropout=dropout)
    scorer = build_base("s4l", base, FeatureSpec({"encoded": (width,)}), labels)
    return S4L(encoder, scorer, question=question, weight=weight)
