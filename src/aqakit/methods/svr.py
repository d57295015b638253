"""SVR: support vector regression of the mean clip features.

The baseline of many papers, and the last step of some systems (S3D among them). C and ε, and γ of the RBF kernel, are
selected inside the training set; the S3D release selects them on its test set, which no option of this method does.
A fixed machine, as published, has them given: ``kernel=rbf, scaling=none, cost=221, epsilon=0.01, gamma=0.00048828125``
(one by the 2048 channels, scikit-learn's ``auto``) is S3D's.

The answer is a point, as published: the tube ε is a tolerance of the loss and says nothing of the error to expect.
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
    """Batch → (B, D): the clips as one vector, without learning."""

    def __init__(self, features: FeatureSpec, pooling: Literal["average", "statistics"]) -> None:
        super().__init__()
        self.pool = poolings.build(pooling, features.width)

    def forward(self, batch: Batch) -> Tensor:
        """(B, D), or (B, 3 D) of ``statistics``."""
        return self.pool(batch.features, batch.clips)


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    kernel: Annotated[Kernel, Field(description="linear, or a Gaussian of the distance")] = "linear",
    pooling: Annotated[
        Literal["average", "statistics"], Field(description="how the clips of a video become one vector")
    ] = "average",
    scaling: Annotated[
        Scaling, Field(description="of the vectors: none, to unit length, or each channel to unit spread")
    ] = "standard",
    cost: CostOption = None,
    epsilon: EpsilonOption = None,
    gamma: Annotated[float | None, Field(gt=0, description="γ of the kernel rbf; selected if not given")] = None,
) -> Method:
    """SVR for these features and labels.

    Raises:
        OptionError: ``gamma`` with the linear kernel, which would ignore it.
    """
    if kernel == "linear" and gamma is not None:
        raise OptionError("svr: gamma belongs to kernel=rbf; leave it out")
    embed = PooledClips(features, pooling)
    return SupportVectors(embed, scaling=scaling, kernel=kernel, cost=cost, epsilon=epsilon, gamma=gamma)
