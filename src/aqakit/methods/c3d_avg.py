"""C3D-AVG: mean clip features; score, attributes, commentary.

The clip features are averaged; one shared network predicts the score, the attributes of the action and a caption.

A video is represented by the mean of its clips, because its score is the sum of what its parts earn. A new dense layer
(8192 → 4096 at the published size) maps the mean to the input of the score and attribute heads. The caption decoder
reads the clips one by one: an encoder–decoder of two GRUs with two layers each. ``tasks`` selects the published
variants: ``stl`` is C3D-AVG-STL, ``mtl`` is C3D-AVG-MTL, ``cls`` and ``cap`` are the two in between. Compared with the
public code:

- *dense layer*: it has the size of C3D's fc6 and is initialised randomly, as in the public code; C3D's own is not used.
- *vocabulary*: the code reserves 5779 words although its file lists 5781. Here the size is that of the labels plus
  start and end tokens, so the published decoder with 24.8 M parameters corresponds to 5777 words.
- *search*: the code decodes greedily; ``search="beam"`` uses beam search.
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
    """Predict score and attributes from the mean of the clips, and captions from the clips."""

    def __init__(self, plan: Plan, trunk: Trunk, width: int) -> None:
        super().__init__(
            plan,
            score=nn.Linear(trunk.width, 1),
            attributes=nn.Linear(trunk.width, plan.classes) if plan.attributes else None,
            captions=plan.captioner(width),
        )
        self.trunk = trunk

    def shared(self, batch: Batch) -> Tensor:
        """Return (B, 4096) at the default size."""
        return self.trunk(batch)

    def seen(self, batch: Batch, shared: Tensor) -> Stream:
        """Return the clips themselves."""
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
    """Build C3D-AVG for these features and labels.

    Raises:
        OptionError: If the labels lack a requested task, or an option would be ignored.
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
