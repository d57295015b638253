"""DAE with judges: a distribution auto-encoder per judge.

The scoring rule of the sport combines the judges' predictions.

"DAE-MT" can mean two things. The paper plugs DAE into MUSDL: a normal distribution for the mark of every judge, trained
with DAE's loss on that mark and combined as in MUSDL. This method is our interpretation of it; no public code exists.
The public code of that name multiplies the output of one DAE by the declared difficulty, which is
:mod:`~aqakit.methods.dae` with the target ``total``.

The predicted distribution of the score follows from the rule applied to independent normals: a normal if all marks are
added, a fine histogram if some are dropped. Marks are not rounded to half points or truncated at the ends of their
scale.
"""

from typing import cast

import torch

from aqakit.methods import dae
from aqakit.methods.dae import AlphaOption, BetaOption, LossOption, NoiseOption, SupportOption
from aqakit.methods.parts.base import DropoutOption, HiddenOption, PoolingOption
from aqakit.methods.parts.panel import JudgeMethods, panel_of
from aqakit.scores.distributions import Normal, Point, ScoreDistribution
from aqakit.types import Batch, FeatureSpec, LabelSpec, ScoreScale

PAPER = dae.PAPER
FEATURES = FeatureSpec({"i3d": (1024,)})


class JudgesDAE(JudgeMethods):
    """Combine normal distributions of the judges' marks, or points if ``alpha`` is 0, by the rule."""

    def predict(self, batch: Batch) -> ScoreDistribution:
        """Return B distributions of the score."""
        found = self.marks(batch)
        if isinstance(found[0], Point):  # alpha=0
            return Point(self.panel.point(torch.stack([mark.mean for mark in found], 1), batch))
        judges = [cast(Normal, mark) for mark in found]
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
    dropout: DropoutOption = 0.3,
) -> JudgesDAE:
    """Build one DAE for every judge; the options are those of :func:`aqakit.methods.dae.build`.

    Raises:
        OptionError: If the labels have no judges or no rule that adds up their marks, or if :mod:`aqakit.methods.dae`
            refuses the options.
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
