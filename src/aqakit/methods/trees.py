"""Trees: extremely randomised trees on named measures.

A strong plain method for few recordings and many measures, such as those of ``movement``. The trees are grown by
scikit-learn; each split looks at a share of the measures and cuts them at random. The answer is the distribution of a
quantile regression forest: the training scores, weighted by how often they share a leaf with the new recording.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from sklearn.ensemble import ExtraTreesRegressor
from torch import Tensor, nn

from aqakit.errors import DataError
from aqakit.methods.parts import forest
from aqakit.methods.parts import pooling as poolings
from aqakit.methods.parts.base import Method
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


class Trees(Method):
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

    def __init__(self, pools: nn.ModuleDict, *, trees: int, share: float, leaf: int) -> None:
        super().__init__()
        self.pools, self.trees, self.share, self.leaf = pools, trees, share, leaf
        self.seed = int(torch.randint(2**31 - 1, ()))  # of the run and the member
        for name, dtype in _MEMORY.items():
            self.register_memory(name, dtype)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Nothing: :meth:`remember` does all the training."""
        return {}

    @torch.no_grad()
    def remember(self, train: Batch) -> None:
        """Grow the trees.

        Raises:
            DataError: fewer than two recordings are labelled.
        """
        if len(train) < 2:
            raise DataError(f"trees need at least 2 labelled training recordings, not {len(train)}")
        order = train.score.double().argsort(stable=True)
        x, score = self._measures(train)[order], train.score.double()[order]
        grown = ExtraTreesRegressor(
            self.trees, max_features=self.share, min_samples_leaf=self.leaf, random_state=self.seed, n_jobs=1
        ).fit(x.cpu().numpy(), score.cpu().numpy())
        for name, table in forest.tables(grown).items():
            setattr(self, name, table.to(x.device))
        self.known, self.score = self._leaves(x).int(), score

    def predict(self, batch: Batch) -> Quantiles:
        """Return B distributions."""
        weight = forest.weights(self._leaves(self._measures(batch)), self.known.long())
        dtype = batch.features.dtype
        mean, values, levels = forest.quantiles(weight, self.score)
        return Quantiles(mean.to(dtype), values.to(dtype), levels.to(dtype))

    def _measures(self, batch: Batch) -> Tensor:
        pooled = [self.pools[name](stream.features, stream.clips) for name, stream in batch.streams.items()]
        return torch.cat(pooled, dim=1)

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
) -> Method:
    """Build the trees for these features and labels.

    Raises:
        OptionError: the features of a stream are not one vector per clip.
    """
    widths = dict(zip(features.streams, vectors(features, "trees"), strict=True))
    pools = nn.ModuleDict({name: poolings.build(pooling, width) for name, width in widths.items()})
    return Trees(pools, trees=trees, share=share, leaf=leaf)
