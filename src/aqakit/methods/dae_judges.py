"""DAE with judges: a distribution auto-encoder per judge.

The judges' answers are combined by the sport's rule.

"DAE-MT" has two readings. The paper plugs DAE into MUSDL: a normal distribution for the mark of every judge, trained by
DAE's loss on that mark and combined as MUSDL combines its own. That is this method, in our reading; no public code has
it. The public code of that name multiplies the output of one DAE by the declared difficulty, which is
:mod:`~aqakit.methods.dae` with the target ``total``.

The score is distributed as the rule makes it of independent normals: a normal where all marks are added, a fine
histogram where some are dropped. The marks are not rounded to half points or cut off at the ends of their scale.
"""

from typing import cast

import torch

from aqakit.methods import dae
from aqakit.methods.dae import AlphaOption, BetaOption, LossOption, NoiseOption, SupportOption
from aqakit.methods.parts.base import DropoutOption, HiddenOption, PoolingOption
from aqakit.methods.parts.panel import JudgeMethods, panel_of
from aqakit.scores.distributions import Normal, ScoreDistribution
from aqakit.types import Batch, FeatureSpec, LabelSpec, ScoreScale

PAPER = dae.PAPER
FEATURES = FeatureSpec({"i3d": (1024,)})


class JudgesDAE(JudgeMethods):
    """A normal distribution of each judge's mark, and what the rule makes of them."""

    def predict(self, batch: Batch) -> ScoreDistribution:
        """B scores."""
        judges = [cast(Normal, mark) for mark in self.marks(batch)]
        marks = Normal(torch.stack([j.loc for j in judges], 1), torch.stack([j.scale for j in judges], 1))  # (B, J)
        return self.panel.normal(marks, batch)


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    loss: LossOption = "likelihood",
    alpha: AlphaOption = None,
    beta: BetaOption = None,
    support_every: SupportOption = None,
    noise: NoiseOption = None,
    pooling: PoolingOption = "average",
    hidden: HiddenOption = (256, 128),
    dropout: DropoutOption = 0.0,
) -> JudgesDAE:
    """One DAE for every judge; the options are those of :func:`aqakit.methods.dae.build`.

    Raises:
        OptionError: labels without judges, or without a rule that adds up their marks; ``support_every`` or ``noise``
            with the likelihood loss, which would ignore them.
    """
    panel = panel_of("dae_judges", labels)
    judges = [
        dae.build(
            features,
            LabelSpec(cast(ScoreScale, labels.marks)),
            loss=loss,
            alpha=alpha,
            beta=beta,
            support_every=support_every,
            noise=noise,
            pooling=pooling,
            hidden=hidden,
            dropout=dropout,
        )
        for _ in range(labels.judges)
    ]
    return JudgesDAE(judges, panel)
