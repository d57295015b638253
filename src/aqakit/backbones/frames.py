"""Single frames at even intervals through any image model.

One frame from the middle of each of a number of equal parts.

What the frames agree on (the mean, in the paper) is left to the method, which sees the features of each.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from aqakit.backbones import huggingface
from aqakit.backbones.huggingface import HuggingFace, ViewOption
from aqakit.errors import OptionError

PAPER = (
    "Wang et al., Temporal Segment Networks: Towards Good Practices for Deep Action Recognition, ECCV 2016. "
    "https://arxiv.org/abs/1608.00859; cite the model's own paper beside it"
)


def build(
    *,
    weights: Annotated[str, Field(min_length=1, description="a folder, or the name of an image model on the hub")],
    segments: Annotated[int, Field(gt=0, description="parts of the video, one frame from each")] = 25,
    view: ViewOption = "centre",
) -> HuggingFace:
    """An image model over the segments of a video; 25 of them, as the paper does in its tests.

    Raises:
        OptionError: transformers is not installed, or the model sees clips.
        WeightsError: no such model, or its weights are damaged or incomplete.
    """
    backbone = huggingface.build(weights=weights, segments=segments, view=view)
    if backbone.takes_clips:
        raise OptionError(f"frames: {weights} sees clips, not single frames; use the backbone huggingface for it")
    return backbone
