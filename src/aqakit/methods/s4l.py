"""S4L: self-supervised tasks on unlabelled videos.

The tasks are

- ``rotation``, the published task (Zhai et al. 2019): predict whether the video is rotated by 0, 90, 180 or 270
  degrees;
- ``order``: the video is cut into three parts, which are shuffled; predict which of the six orders it is;
- ``speed``: every clip is shown, every second one, or every fourth; predict which.

Features cannot be rotated, but their order and speed can be changed. ``rotation`` needs backbones that are trained in
the run (``--finetune``), and unlabelled videos pass through them a second time. With ``c3d_small``, a step takes 1.4
times as long as a step of the base on the same number of videos if half of the batch is unlabelled, and 1.5 times if
three quarters are.

The base and the task's classifier share one encoder, the same as in :mod:`~aqakit.methods.s4aqa`. Without unlabelled
videos, the method is the base on that encoder. The paper also applies the task to labelled images; here they train only
the base. It applies all four rotations to an image in each step; here each video gets one random rotation per step, the
same for all its frames and clips, which is equal on average at a quarter of the cost.
"""

from collections.abc import Callable
from itertools import permutations
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from aqakit.methods.parts.base import DropoutOption, Method
from aqakit.methods.parts.encoder import Encoder
from aqakit.methods.parts.pooling import build as build_pooling
from aqakit.methods.parts.semi_supervised import (
    BaseOption,
    Encoded,
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
    """A base on an encoder that is also trained to recognise how a video was changed.

    Args:
        encoder: Encoder shared by labelled and unlabelled rows.
        base: Method that reads the encoder's output.
        question: Self-supervised task, which decides how videos are changed.
        weight: Weight of the task's loss.
    """

    def __init__(self, encoder: Encoder, base: Method, *, question: Question, weight: float) -> None:
        super().__init__(encoder, base)
        self.pool = build_pooling("recurrent", encoder.width)
        self.head = nn.Linear(self.pool.width, _ANSWERS[question])
        self.question, self.weight = question, weight
        self.needs_pixels |= question == "rotation"

    def unlabelled_losses(self, batch: Batch, codes: Stream, encoded: Stream) -> dict[str, Tensor]:
        """Return weight × cross-entropy of the task on changed features; empty for ``rotation``."""
        if self.question == "rotation":
            return {}
        changed, truth = self.change(codes.select(~batch.labelled))
        return self.asked(self.encoder.tell(changed), truth)

    def pixel_losses(self, pixels: Batch, embed: Callable[[Batch], Batch]) -> dict[str, Tensor]:
        """Return weight × cross-entropy of the task on rotated videos, for ``rotation`` only."""
        terms = super().pixel_losses(pixels, embed)
        if self.question != "rotation" or bool(pixels.labelled.all()):
            return terms
        turned, truth = turn(pixels.select(~pixels.labelled))
        return {**terms, **self.asked(self.encoder(first(embed(turned))), truth)}

    def asked(self, encoded: Stream, truth: Tensor) -> dict[str, Tensor]:
        """Return the task's loss for encoded changed videos with true classes (B,)."""
        answer = self.head(self.pool(encoded.features, encoded.clips))
        return {self.question: self.weight * F.cross_entropy(answer, truth)}

    def change(self, stream: Stream) -> tuple[Stream, Tensor]:
        """Change each video at random; return the videos and the class (B,) of each change."""
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
    """Return the indices of the clips to show: every ``view``-th, or the parts in that order; parts may be empty."""
    if isinstance(view, int):
        return list(range(0, clips, view))
    size, more = divmod(clips, len(view))
    starts = [part * size + min(part, more) for part in range(len(view) + 1)]  # the first parts are longer
    return [clip for part in view for clip in range(starts[part], starts[part + 1])]


def turn(pixels: Batch) -> tuple[Batch, Tensor]:
    """Rotate each video at random, in the same way in all frames and streams.

    Return the videos and the number of counter-clockwise quarter turns (B,).
    """
    truth = torch.randint(4, (len(pixels),), device=pixels.score.device)
    streams = {}
    for name, stream in pixels.streams.items():
        videos = [_turned(video, by) for video, by in zip(stream.features, truth.tolist(), strict=True)]
        streams[name] = Stream(torch.stack(videos), stream.clips)
    return pixels.replace(streams=streams), truth


def _turned(clips: Tensor, quarters: int) -> Tensor:
    """Rotate frames (N, T, H, W, 3) and keep their shape.

    If frames are not square, the central square is rotated and stretched to their size, for every rotation: stretching
    only some of them would give the answer away.
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
        Question, Field(description="self-supervised task of unlabelled videos; rotation needs --finetune")
    ] = "order",
    weight: Annotated[float, Field(gt=0, description="weight of the self-supervised loss")] = 1.0,
    encoder: EncoderOption = "residual",
    width: WidthOption = 128,
    reach: ReachOption = 1,
    dropout: DropoutOption = 0.0,
) -> S4L:
    """Build S4L for these features and labels.

    Raises:
        OptionError: If the base does not exist, or keeps a memory of the training videos.
    """
    shared, scorer = build_encoded(
        "s4l", base, labels, encoder, inputs=features.width, width=width, reach=reach, dropout=dropout
    )
    return S4L(shared, scorer, question=question, weight=weight)
