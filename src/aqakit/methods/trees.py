"""Trees: extremely randomised trees on named measures.

A strong plain method for few recordings and many measures, such as those of ``movement``. The trees are grown by
scikit-learn; each split looks at a share of the measures and cuts them at random. The answer is the distribution of a
quantile regression forest: the training scores, weighted by how often they share a leaf with the new recording.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from sklearn.ensemble import ExtraTreesRegressor
from torch import Tensor

from aqakit.methods.parts import forest
from aqakit.methods.parts.fitted import Fitted, check_enough
from aqakit.methods.parts.pooling import PooledStreams
from aqakit.methods.parts.shapes import vectors
from aqakit.scores.distributions import Quantiles
from aqakit.types import Batch, FeatureSpec, LabelSpec

PAPER = (
    "Geurts et al., Extremely randomized trees, Machine Learning 2006. https://doi.org/10.1007/s10994-006-6226-1; "
    "distribution: Meinshausen, Quantile Regression Forests, JMLR 2006. "
    "https://www.jmlr.org/papers/v7/meinshausen06a.html"
)
FEATURES = FeatureSpec({"movement": (1392,)})

_TABLES = {"branches": torch.int32, "feature": torch.int32, "threshold": torch.float64}
_MEMORY = {**_TABLES, "known": torch.int32, "score": torch.float64}


class Trees(Fitted):
    """Answer with the distribution of training scores in the leaves of a recording.

    Attributes:
        known: (trees, n) leaf of each training recording, in ascending order of the score.
        score: (n,) training scores.
    """

    branches: Tensor
    feature: Tensor
    threshold: Tensor
    known: Tensor
    score: Tensor

    def __init__(self, pools: PooledStreams, *, trees: int, share: float, leaf: int) -> None:
        super().__init__()
        self.pools, self.trees, self.share, self.leaf = pools, trees, share, leaf
        self.seed = int(torch.randint(2**31 - 1, ()))  # of the run and the member
        for name, dtype in _MEMORY.items():
            self.register_memory(name, dtype)

    @torch.no_grad()
    def remember(self, train: Batch) -> None:
        """Grow the trees.

        Raises:
            DataError: fewer than two recordings are labelled.
        """
        check_enough(train, "trees need")
        order = train.score.double().argsort(stable=True)
        x, score = self.pools(train)[order], train.score.double()[order]
        grown = ExtraTreesRegressor(
            self.trees, max_features=self.share, min_samples_leaf=self.leaf, random_state=self.seed, n_jobs=1
        ).fit(x.cpu().numpy(), score.cpu().numpy())
        for name, table in forest.tables(grown).items():
            setattr(self, name, table.to(x.device))
        self.known, self.score = self._leaves(x).int(), score

    def predict(self, batch: Batch) -> Quantiles:
        """Return B distributions."""
        weight = forest.weights(self._leaves(self.pools(batch)), self.known.long())
        dtype = batch.features.dtype
        mean, values, levels = forest.quantiles(weight, self.score)
        return Quantiles(mean.to(dtype), values.to(dtype), levels.to(dtype))

    def _leaves(self, x: Tensor) -> Tensor:
        return forest.leaves(x, self.branches, self.feature, self.threshold)


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    trees: Annotated[int, Field(gt=0, description="number of trees")] = 300,
    share: Annotated[float, Field(gt=0, le=1, description="share of the measures that each split looks at")] = 0.1,
    leaf: Annotated[int, Field(gt=0, description="fewest training recordings in a leaf")] = 1,
    pooling: Annotated[
        Literal["average", "statistics"], Field(description="how the windows of a recording become one vector")
    ] = "average",
) -> Trees:
    """Build the trees for these features and labels.

    Raises:
        OptionError: the features of a stream are not one vector per clip.
    """
    widths = dict(zip(features.streams, vectors(features, "trees"), strict=True))
    return Trees(PooledStreams(pooling, widths), trees=trees, share=share, leaf=leaf)
