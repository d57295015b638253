"""SVR: support vector regression of the mean clip features.

A baseline of many papers, and the last step of some systems such as S3D. The kernel, C, ε and the γ of the RBF kernel
are selected inside the training set unless they are given; the S3D release selects them on its test set, which no
option of this method does. To reproduce the published S3D machine, set
``kernel=rbf, scaling=none, cost=221, epsilon=0.01, gamma=0.00048828125`` (1 / 2048 channels, scikit-learn's ``auto``).

The prediction is a point, as published: ε is a tolerance of the loss and says nothing about the expected error.
"""

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from aqakit.errors import OptionError
from aqakit.methods.parts import pooling as poolings
from aqakit.methods.parts.base import Method
from aqakit.methods.parts.support_vectors import CostOption, EpsilonOption, Kernel, Scaling, SupportVectors
from aqakit.types import Batch, FeatureSpec, LabelSpec

PAPER = (
    "Drucker et al., Support Vector Regression Machines, NIPS 1996. "
    "https://papers.nips.cc/paper/1238-support-vector-regression-machines; for action quality: Xiang et al., S3D: "
    "Stacking Segmental P3D for Action Quality Assessment, ICIP 2018. https://doi.org/10.1109/ICIP.2018.8451364"
)
FEATURES = FeatureSpec({"i3d": (1024,)})


class PooledClips(nn.Module):
    """Pool the clips of each video into one vector, without learning."""

    def __init__(self, features: FeatureSpec, pooling: Literal["average", "statistics"]) -> None:
        super().__init__()
        self.pool = poolings.build(pooling, features.width)

    def forward(self, batch: Batch) -> Tensor:
        """Return (B, D), or (B, 3 D) for ``statistics``."""
        return self.pool(batch.features, batch.clips)


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    kernel: Annotated[Kernel, Field(description="linear, Gaussian (rbf), or auto: selected")] = "auto",
    pooling: Annotated[
        Literal["average", "statistics"], Field(description="how the clips of a video are pooled into one vector")
    ] = "average",
    scaling: Annotated[
        Scaling, Field(description="scaling: none, vectors to unit length, or channels to unit standard deviation")
    ] = "standard",
    cost: CostOption = None,
    epsilon: EpsilonOption = None,
    gamma: Annotated[float | None, Field(gt=0, description="γ of the RBF kernel; selected if not given")] = None,
) -> Method:
    """Build the SVR for these features and labels.

    Raises:
        OptionError: If ``gamma`` is given with the linear kernel, which would ignore it.
    """
    if kernel == "linear" and gamma is not None:
        raise OptionError("svr: gamma applies only to the RBF kernel; remove it, or give kernel=rbf")
    embed = PooledClips(features, pooling)
    return SupportVectors(embed, scaling=scaling, kernel=kernel, cost=cost, epsilon=epsilon, gamma=gamma)
