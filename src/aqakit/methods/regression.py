"""Regression baseline: one number from an MLP, squared error.

The row "Regression baseline" of the DAE paper (Table V): the trunk of USDL trained with the mean squared error of the
score. The published number used raw scores as targets. Here the output layer works in units of a quarter of the score
scale, which changes the conditioning but not the model.
"""

from torch import Tensor

from aqakit.methods.parts.base import DropoutOption, HiddenOption, Method, PoolingOption, Trunk, mean_loss
from aqakit.methods.parts.heads import PointHead
from aqakit.methods.parts.losses import squared_error
from aqakit.scores.distributions import Point
from aqakit.types import Batch, FeatureSpec, LabelSpec

PAPER = (
    "Zhang et al., Auto-Encoding Score Distribution Regression for Action Quality Assessment, "
    "Neural Computing and Applications 2023 (baseline of Table V). https://arxiv.org/abs/2111.11029"
)
FEATURES = FeatureSpec({"i3d": (1024,)})


class Regression(Method):
    """Predict a point for each video."""

    def __init__(self, trunk: Trunk, head: PointHead) -> None:
        super().__init__()
        self.trunk, self.head, self.supports_vmap = trunk, head, trunk.supports_vmap

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Mean squared error, in squared units of the head."""
        known = batch.labelled_rows()
        return {"squared_error": mean_loss(squared_error(self.predict(known), known.score)) / self.head.units.size**2}

    def predict(self, batch: Batch) -> Point:
        """Return B points."""
        return self.head(self.trunk(batch))


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    pooling: PoolingOption = "average",
    hidden: HiddenOption = (256, 128),
    dropout: DropoutOption = 0.3,
) -> Regression:
    """Build the baseline for these features and labels."""
    trunk = Trunk(features, pooling=pooling, hidden=hidden, dropout=dropout)
    return Regression(trunk, PointHead(trunk.width, labels.scale))
