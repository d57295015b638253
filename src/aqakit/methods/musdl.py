"""MUSDL: a score distribution for every judge.

The judges' distributions are combined by the sport's rule.

USDL on the marks of each judge (Tang et al. 2020, section 3.4): an MLP of its own, soft labels over the marks that can
be given, and the divergences summed over the judges. Then the rule of the sport: the middle three × difficulty in
diving, the sum of the items in surgery. The judges are those of the file, in its order: judge 1 is another person at
another event. Where paper and public code differ from what is meant, or from each other:

- *answer*: the code puts the most probable mark of each judge into the rule; ``answer="argmax"`` gives that point. The
  default is the distribution of the ruled score itself, exact for judges that are independent given the video.
- *sigma*: the code keeps the 5 bins of USDL for diving, where a bin is half a point. Labels of 2.5 points on a scale of
  10, cut off at its ends, rank well, but draw every mean to the middle and widen the spread. The default is one point
  of the marks: 2 bins of diving, and the code's 1 bin of surgery.
- *reduction*: as in :mod:`~aqakit.methods.usdl`, ``"mean"`` is the code's, the default ``"sum"`` the paper's.

Published settings: MTL-AQA ``bins=21, sigma=5``; JIGSAWS ``bins=5, sigma=1``. Sigma is counted in bins.
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
"""Between the marks that a judge can give, by rule."""


class MUSDL(JudgeMethods):
    """A histogram of each judge's mark, and what the rule makes of them."""

    def __init__(self, judges: list[usdl.USDL], panel: Panel, *, answer: Literal["distribution", "argmax"]) -> None:
        super().__init__(judges, panel)
        self.answer = answer

    def predict(self, batch: Batch) -> ScoreDistribution:
        """B histograms of the score, or the scores of the most probable marks as points."""
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
        int | None, Field(ge=2, description="bins from the lowest to the highest mark (the marks that can be given)")
    ] = None,
    sigma: Annotated[
        float | None, Field(gt=0, description="spread of the soft labels, in bins (as many as make one point)")
    ] = None,
    reduction: Annotated[
        Literal["sum", "mean"], Field(description="over bins: the paper's sum, or the public code's mean")
    ] = "sum",
    answer: Annotated[
        Literal["distribution", "argmax"],
        Field(description="of the ruled score, or of the judges' most probable marks"),
    ] = "distribution",
    pooling: PoolingOption = "average",
    hidden: HiddenOption = (256, 128),
    dropout: DropoutOption = 0.0,
) -> MUSDL:
    """MUSDL for these features and labels.

    Raises:
        OptionError: labels without judges, or without a rule that adds up their marks.
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
    """Scale and number of bins; by default a bin for each mark that can be given, from the lowest to the highest."""
    if bins is not None:
        return marks, bins
    low, high = math.floor(marks.low / step), math.ceil(marks.high / step)
    return ScoreScale(low * step, high * step, marks.unit), high - low + 1
