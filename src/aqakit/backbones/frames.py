"""Single frames at even intervals through any image model.

The video is divided into equal segments, and the middle frame of each one is used.

The method receives the features of every frame and combines them (the paper takes their mean).
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
    weights: Annotated[str, Field(min_length=1, description="a folder, or an image model on the Hugging Face Hub")],
    segments: Annotated[int, Field(gt=0, description="segments of the video, one frame from each")] = 25,
    view: ViewOption = "centre",
) -> HuggingFace:
    """Build an image model for the segments of a video; by default 25, as in the paper's tests.

    Raises:
        OptionError: transformers is not installed, or the model takes clips.
        WeightsError: there is no such model, or its weights are damaged or incomplete.
    """
    backbone = huggingface.build(weights=weights, segments=segments, view=view)
    if backbone.takes_clips:
        raise OptionError(f"frames: {weights} takes clips, not single frames; use the backbone huggingface for it")
    return backbone
