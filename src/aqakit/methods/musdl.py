"""MUSDL: a score distribution for every judge.

The scoring rule of the sport combines the judges' distributions.

Each judge has its own USDL model (Tang et al. 2020, section 3.4): an MLP with soft labels over the possible marks. The
divergences are summed over the judges. The rule of the sport then gives the score: the middle three marks × difficulty
in diving, the sum of the items in surgery. Judges are identified by their position in the file: judge 1 of another
event is another person. Where paper, public code and this implementation differ:

- *answer*: the code applies the rule to the most probable mark of each judge; ``answer="argmax"`` gives that point. The
  default is the distribution of the score under the rule, exact if the judges are independent given the video.
- *sigma*: the code keeps USDL's 5 bins for diving, where a bin is half a point. Soft labels with a standard deviation
  of 2.5 points on a scale of 10, truncated at its ends, rank well, but pull every mean to the middle and widen the
  spread. The default is one point of the marks: 2 bins in diving, and 1 bin in surgery as in the code.
- *reduction*: as in :mod:`~aqakit.methods.usdl`: ``"mean"`` follows the code, the default ``"sum"`` the paper.

Published settings: MTL-AQA ``bins=21, sigma=5``; JIGSAWS ``bins=5, sigma=1``. Sigma is in bins.
"""

import math
from typing import Annotated, Literal, cast

import torch
from pydantic import Field

from aqakit.methods import usdl
from aqakit.methods.parts.base import DropoutOption, HiddenOption, PoolingOption
from aqakit.methods.parts.panel import JudgeMethods, Panel, panel_of
from aqakit.scores.distributions import Binned, Point, ScoreDistribution
from aqakit.types import Batch, FeatureSpec, LabelSpec, ScoreScale

PAPER = (
    "Tang et al., Uncertainty-aware Score Distribution Learning for Action Quality Assessment, CVPR 2020. "
    "https://arxiv.org/abs/2006.07665"
)
FEATURES = FeatureSpec({"i3d": (1024,)})

_STEPS = {"diving": 0.5, "synchronised_diving": 0.5, "sum_of_items": 1.0}
"""Step between the marks that a judge can give, for each rule."""


class MUSDL(JudgeMethods):
    """Predict a histogram of each judge's mark, and combine them by the rule."""

    def __init__(self, judges: list[usdl.USDL], panel: Panel, *, answer: Literal["distribution", "argmax"]) -> None:
        super().__init__(judges, panel)
        self.answer = answer

    def predict(self, batch: Batch) -> ScoreDistribution:
        """Return B histograms of the score, or the scores of the most probable marks as points."""
        judges = [cast(Binned, mark) for mark in self.marks(batch)]
        marks = Binned(torch.stack([judge.logits for judge in judges], 1), judges[0].edges)  # (B, J)
        if self.answer == "argmax":
            return Point(self.panel.point(marks.mode, batch))
        return self.panel.binned(marks, batch)


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    bins: Annotated[
        int | None, Field(ge=2, description="bins from the lowest to the highest mark (one for each possible mark)")
    ] = None,
    sigma: Annotated[
        float | None, Field(gt=0, description="standard deviation of the soft labels, in bins (one point)")
    ] = None,
    reduction: Annotated[
        Literal["sum", "mean"], Field(description="reduction over bins: the paper's sum, or the public code's mean")
    ] = "sum",
    answer: Annotated[
        Literal["distribution", "argmax"],
        Field(description="prediction: the distribution of the score, or the score of the most probable marks"),
    ] = "distribution",
    pooling: PoolingOption = "average",
    hidden: HiddenOption = (256, 128),
    dropout: DropoutOption = 0.3,
) -> MUSDL:
    """Build MUSDL for these features and labels.

    Raises:
        OptionError: If the labels have no judges, or no rule that adds up their marks.
    """
    panel = panel_of("musdl", labels)
    scale, count = _grid(cast(ScoreScale, labels.marks), _STEPS[panel.rule.name], bins)
    judges = [
        usdl.build(
            features,
            LabelSpec(scale),
            bins=count,
            sigma=sigma or (count - 1) / scale.span,
            reduction=reduction,
            pooling=pooling,
            hidden=hidden,
            dropout=dropout,
        )
        for _ in range(labels.judges)
    ]
    return MUSDL(judges, panel, answer=answer)


def _grid(marks: ScoreScale, step: float, bins: int | None) -> tuple[ScoreScale, int]:
    """Return the scale and the number of bins; by default one bin for each mark from the lowest to the highest."""
    if bins is not None:
        return marks, bins
    low, high = math.floor(marks.low / step), math.ceil(marks.high / step)
    return ScoreScale(low * step, high * step, marks.unit), high - low + 1
