"""Sparse: a linear model of a few named measures (lasso).

For many measures that say much the same, such as those of ``movement``: the sum of absolute weights is limited, so that
of measures that move together one is kept, and the words of ``explain`` name it. Every measure is standardised. The
penalty is selected by cross-validated squared error inside the training set, with shuffled folds of a fixed seed; rows
of one group (event, athlete, surgeon) stay on one side. Everything is deterministic. The answer is a point.

Where kinds or steps are declared, recordings are compared within them: what a ridge regression on them finds usual is
taken off scores and measures before the weights are fitted, so that a tuck is no badly done pike.
"""

from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from sklearn.linear_model import Lasso, LassoCV
from sklearn.model_selection import GroupKFold
from torch import Tensor

from aqakit.errors import DataError
from aqakit.methods.parts.declared import Usual, design
from aqakit.methods.parts.fitted import Fitted, check_enough
from aqakit.methods.parts.pooling import PooledStreams
from aqakit.methods.parts.shapes import vectors
from aqakit.scores.distributions import Point
from aqakit.types import Batch, FeatureSpec, Floats, LabelSpec

PAPER = (
    "Tibshirani, Regression Shrinkage and Selection via the Lasso, JRSS B 1996. "
    "https://doi.org/10.1111/j.2517-6161.1996.tb02080.x"
)
FEATURES = FeatureSpec({"movement": (1392,)})

_FOLDS, _PENALTIES, _SMALLEST = 5, 20, 0.01
"""The penalties go from the one without any weight down to this share of it, in equal ratios."""


class Sparse(Fitted):
    """Predict a weighted sum of measures, most weights of which are 0.

    Attributes:
        weight: (D,) points for each unit of a measure.
        bias: () score if all measures are 0, and what is declared is usual.
        usual: (P,) mean of what is declared.
        effect: (P,) points for what is declared, beside the measures.
    """

    weight: Tensor
    bias: Tensor
    usual: Tensor
    effect: Tensor

    def __init__(self, pools: PooledStreams, penalty: float | None, declared: LabelSpec | None) -> None:
        super().__init__()
        self.pools, self.penalty, self.declared = pools, penalty, declared
        self.reads_kind = declared is not None
        for name in ("weight", "bias", *(("usual", "effect") if declared else ())):
            self.register_memory(name, torch.float64)

    @torch.no_grad()
    def remember(self, train: Batch) -> None:
        """Fit the weights.

        Raises:
            DataError: fewer than two recordings are labelled.
        """
        check_enough(train, "sparse needs")
        x, score = self.pools(train).double().cpu().numpy(), train.score.double().cpu().numpy()
        mean, level = x.mean(0), score.mean()
        usual: Usual | None = None
        if self.declared is not None:
            given = design(train, self.declared)
            usual = Usual.of(given, torch.cat([self.pools(train).double(), train.score[:, None].double()], dim=1))
            found = usual(given).cpu().numpy()  # the score is the last
            x, score = x - found[:, :-1] + mean, score - found[:, -1] + level
        spread = x.std(0)
        spread[spread <= 1e-8 * np.abs(x).max(0).clip(1e-8)] = np.inf  # a constant measure carries no information
        scaled, size = (x - mean) / spread, max(float(score.std()), 1e-8)
        weight = self._fit(scaled, (score - level) / size, train.group.cpu().numpy()) * size / spread
        self.weight = torch.from_numpy(weight).to(train.score.device)
        self.bias = torch.tensor(level - mean @ weight, device=train.score.device)
        if usual is not None:
            self.usual, self.effect = usual.declared, usual.weight[:, -1] - usual.weight[:, :-1] @ self.weight

    def _fit(self, x: Floats, y: Floats, group: np.ndarray) -> Floats:
        if self.penalty is not None:
            return np.asarray(Lasso(self.penalty, fit_intercept=False, max_iter=5000).fit(x, y).coef_)
        own = np.where(group >= 0, group, -1 - np.arange(len(group)))
        folds = min(_FOLDS, len(np.unique(own)))
        if folds < 2:
            raise DataError("all training recordings are of one group, so no penalty can be selected; give penalty=0.1")
        split = GroupKFold(folds, shuffle=True, random_state=0).split(x, y, own)
        found = LassoCV(
            eps=_SMALLEST, alphas=_PENALTIES, cv=list(split), fit_intercept=False, max_iter=2000, tol=1e-3
        ).fit(x, y)
        return np.asarray(found.coef_)

    def predict(self, batch: Batch) -> Point:
        """Return B points."""
        score = self.pools(batch).double() @ self.weight + self.bias
        if self.declared is not None:
            declared = design(batch, self.declared)
            score = score + (torch.where(declared.isnan(), self.usual, declared) - self.usual) @ self.effect
        return Point(score.to(batch.features.dtype))


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    penalty: Annotated[
        float | None,
        Field(gt=0, description="of the sum of absolute weights, for scores of unit variance; selected if not given"),
    ] = None,
    pooling: Annotated[
        Literal["average", "statistics"], Field(description="how the windows of a recording become one vector")
    ] = "average",
    declared: Annotated[
        bool, Field(description="compare within the declared kind and steps, if training knows any")
    ] = True,
) -> Sparse:
    """Build the model for these features and labels.

    Raises:
        OptionError: the features of a stream are not one vector per clip.
    """
    widths = dict(zip(features.streams, vectors(features, "sparse"), strict=True))
    known = bool(labels.kinds or labels.steps)
    return Sparse(PooledStreams(pooling, widths), penalty, labels if declared and known else None)
