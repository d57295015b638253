"""C3D-SVR: mean fc6 features and a linear SVR.

Features are averaged over the clips and scaled to unit length.

The paper was published without code and without the values of C and ε. Here both are selected inside the training set
unless they are given. The prediction is a point, as published.
"""

from aqakit.methods.parts.base import Method
from aqakit.methods.parts.support_vectors import CostOption, EpsilonOption, SupportVectors
from aqakit.methods.svr import PooledClips
from aqakit.types import FeatureSpec, LabelSpec

PAPER = "Parmar and Morris, Learning to Score Olympic Events, CVPR Workshops 2017. https://arxiv.org/abs/1611.05125"
FEATURES = FeatureSpec({"c3d": (4096,)})


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    cost: CostOption = None,
    epsilon: EpsilonOption = None,
) -> Method:
    """Build C3D-SVR for these features and labels."""
    embed = PooledClips(features, "average")
    return SupportVectors(embed, scaling="unit", kernel="linear", cost=cost, epsilon=epsilon)
