"""C3D-AVG: mean clip features; score, attributes, commentary.

The clips' features are averaged; one body answers with a score, the action's attributes and a commentary.

A video is the mean of its clips, as its score is the sum of what its parts earn. A new dense layer (8192 → 4096 at
the published size) reads the mean for the score and the attributes; the commentary is made from the clips one by one,
by an encoder–decoder of two GRUs of two layers. ``tasks`` names the published variants: ``stl`` is C3D-AVG-STL,
``mtl`` C3D-AVG-MTL, ``cls`` and ``cap`` the two between. What is to know of the public code:

- *dense layer*: it has the size of C3D's fc6 and begins at random, as in the public code; C3D's own is not used.
- *vocabulary*: the code has room for 5779 words where its file lists 5781; here it is as large as the labels say, with
  start and end added, so the published decoder of 24.8 M parameters is the one of 5777 words.
- *search*: the code only says the likeliest next word; ``search="beam"`` keeps several sentences.
"""

from __future__ import annotations

from torch import Tensor, nn

from aqakit.methods.parts.base import DropoutOption, HiddenOption, PoolingOption, Trunk
from aqakit.methods.parts.tasks import (
    AttributeWeightOption,
    BeamsOption,
    CaptionWeightOption,
    CaptionWidthOption,
    MaxWordsOption,
    MultiTask,
    Plan,
    ScoreWeightOption,
    SearchOption,
    TasksOption,
    UnitOption,
    plan,
)
from aqakit.types import Batch, FeatureSpec, LabelSpec, Stream

PAPER = (
    "Parmar and Morris, What and How Well You Performed? A Multitask Learning Approach to Action Quality Assessment, "
    "CVPR 2019. https://arxiv.org/abs/1904.04346"
)
FEATURES = FeatureSpec({"c3d": (8192,)})


class C3DAvg(MultiTask):
    """Score and attributes from the mean of the clips, captions from the clips."""

    def __init__(self, plan: Plan, trunk: Trunk, width: int) -> None:
        super().__init__(
            plan,
            score=nn.Linear(trunk.width, 1),
            attributes=nn.Linear(trunk.width, plan.classes) if plan.attributes else None,
            captions=plan.captioner(width),
        )
        self.trunk = trunk

    def shared(self, batch: Batch) -> Tensor:
        """(B, 4096)."""
        return self.trunk(batch)

    def seen(self, batch: Batch, shared: Tensor) -> Stream:
        """The clips themselves."""
        return Stream(batch.features, batch.clips)


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    tasks: TasksOption = None,
    unit: UnitOption = None,
    score_weight: ScoreWeightOption = 1.0,
    attribute_weight: AttributeWeightOption = None,
    caption_weight: CaptionWeightOption = None,
    caption_width: CaptionWidthOption = None,
    max_words: MaxWordsOption = None,
    search: SearchOption = None,
    beams: BeamsOption = None,
    pooling: PoolingOption = "average",
    hidden: HiddenOption = (4096,),
    dropout: DropoutOption = 0.0,
) -> C3DAvg:
    """C3D-AVG for these features and labels.

    Raises:
        OptionError: a task that the labels do not have, or an option that nothing would read.
    """
    chosen = plan(
        "c3d_avg",
        labels,
        tasks=tasks,
        unit=unit,
        score_weight=score_weight,
        attribute_weight=attribute_weight,
        caption_weight=caption_weight,
        caption_width=caption_width,
        max_words=max_words,
        search=search,
        beams=beams,
    )
    return C3DAvg(chosen, Trunk(features, pooling=pooling, hidden=hidden, dropout=dropout), features.width)
