"""Support vector regression on one vector per video: fitted by scikit-learn, stored and evaluated as tensors.

The vectors may be scaled to unit length, or each channel standardised over the training set. C, ε and γ that are not
given are selected by cross-validation inside the training set, by squared error. Rows of one group (event, athlete,
surgeon) stay on one side of every inner split; a row without a known group is its own group. The grids are multiples of
statistics of the data, so that they fit any sport and feature width: ε in standard deviations of the training scores, C
in standard deviations of the scores ÷ variance of the kernel, γ in 1 ÷ variance of the vectors (scikit-learn's
``scale``). Everything is deterministic.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold
from sklearn.svm import SVR
from torch import Tensor, nn

from aqakit.errors import DataError
from aqakit.methods.parts.base import Method
from aqakit.methods.parts.pooling import standardised
from aqakit.scores.distributions import Point
from aqakit.types import Batch

Kernel = Literal["linear", "rbf"]
Scaling = Literal["none", "unit", "standard"]
Array = NDArray[np.float64]
Rows = NDArray[np.int64]

_COSTS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_EPSILONS = (0.01, 0.1, 0.3)
_GAMMAS = (0.1, 1.0, 10.0)
_FOLDS = 5

CostOption = Annotated[float | None, Field(gt=0, description="C, in score units ÷ kernel units; selected if not given")]
EpsilonOption = Annotated[
    float | None, Field(ge=0, description="half-width ε of the loss-free tube, in score units; selected if not given")
]


class SupportVectors(Method):
    """Predict a point for each video by support vector regression.

    Args:
        embed: Maps a batch to (B, D), without parameters.
        scaling: Scaling of these vectors.
        kernel: ``linear``, u·v; or ``rbf``, exp(−γ ‖u − v‖²).
        cost: C.
        epsilon: ε.
        gamma: γ of the RBF kernel.

    Attributes:
        centre: (D,) subtracted from the vectors.
        spread: (D,) by which the vectors are divided.
        support: (S, D) scaled support vectors; for a linear kernel, their sum weighted by the dual coefficients.
        dual: (S,) dual coefficients; 1 for that sum.
        intercept: () in score units.
        chosen: (3,) C, ε and γ, given or selected; γ is 0 for a linear kernel.
    """

    centre: Tensor
    spread: Tensor
    support: Tensor
    dual: Tensor
    intercept: Tensor
    chosen: Tensor

    def __init__(
        self,
        embed: nn.Module,
        *,
        scaling: Scaling,
        kernel: Kernel,
        cost: float | None,
        epsilon: float | None,
        gamma: float | None = None,
    ) -> None:
        super().__init__()
        self.embed, self.scaling, self.kernel = embed, scaling, kernel
        self.given = cost, epsilon, gamma
        # large dual coefficients of opposite sign cancel: single precision is not enough
        for name in ("centre", "spread", "support", "dual", "intercept", "chosen"):
            self.register_memory(name, torch.float64)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Nothing: :meth:`remember` does all the training."""
        return {}

    @torch.no_grad()
    def remember(self, train: Batch) -> None:
        """Select the parameters that are not given, and fit.

        Raises:
            DataError: If fewer than two videos are labelled.
        """
        if len(train) < 2:
            raise DataError(f"support vector regression needs at least 2 labelled training videos, not {len(train)}")
        x = self._sized(train)
        standard = self.scaling == "standard"
        spread = x.std(0, correction=0)
        self.centre = x.mean(0) if standard else torch.zeros_like(spread)
        self.spread = torch.where(spread > 1e-8, spread, 1.0) if standard else torch.ones_like(spread)
        x = self._scaled(x)
        machine, gamma = self._select(x, train.score.double().cpu().numpy(), train.group.cpu().numpy())
        self._keep(x, machine, gamma)

    def predict(self, batch: Batch) -> Point:
        """Return B points."""
        x = self._scaled(self._sized(batch))
        value = self._kernel(x, self.support, float(self.chosen[2])) @ self.dual + self.intercept
        return Point(value.to(batch.features.dtype))

    def _sized(self, batch: Batch) -> Tensor:
        x = self.embed(batch).double()  # (B, D)
        return nn.functional.normalize(x) if self.scaling == "unit" else x

    def _scaled(self, x: Tensor) -> Tensor:
        return standardised(x, self.centre, self.spread) if self.scaling == "standard" else x

    def _kernel(self, left: Tensor, right: Tensor, gamma: float) -> Tensor:
        """Return the kernel matrix: (B, D), (S, D) → (B, S)."""
        if self.kernel == "linear":
            return left @ right.T
        return torch.exp(-gamma * _squared_distances(left, right))

    def _select(self, x: Tensor, score: Array, group: Rows) -> tuple[SVR, float]:
        """Return the best SVR, with a kernel computed once for each γ, and that γ."""
        found = []
        for gamma in self._gammas(x):
            gram = self._kernel(x, x, gamma).cpu().numpy()
            found.append((*_fit(gram, score, group, *self.given[:2]), gamma))
        _, machine, gamma = min(found, key=lambda one: one[0])
        return machine, gamma

    def _gammas(self, x: Tensor) -> list[float]:
        if self.kernel == "linear":
            return [0.0]
        if self.given[2] is not None:
            return [self.given[2]]
        return [factor / _or_one(x.shape[1] * float(x.var(correction=0))) for factor in _GAMMAS]

    def _keep(self, x: Tensor, machine: SVR, gamma: float) -> None:
        support = x[torch.as_tensor(machine.support_, dtype=torch.int64, device=x.device)]
        dual = x.new_tensor(machine.dual_coef_[0])
        linear = self.kernel == "linear"
        self.support = (dual @ support)[None] if linear else support
        self.dual = x.new_ones(1) if linear else dual
        self.intercept = x.new_tensor(machine.intercept_[0])
        self.chosen = x.new_tensor([machine.C, machine.epsilon, gamma])


def _fit(gram: Array, score: Array, group: Rows, cost: float | None, epsilon: float | None) -> tuple[float, SVR]:
    """Return the cross-validated error of the best SVR on a kernel (n, n), and that SVR fitted to all rows."""
    spread = _or_one(float(score.std()))
    variance = _or_one(float(np.trace(gram) / len(gram) - gram.mean()))
    costs = [factor * spread / variance for factor in _COSTS] if cost is None else [cost]
    epsilons = [factor * spread for factor in _EPSILONS] if epsilon is None else [epsilon]
    search = GridSearchCV(
        SVR(kernel="precomputed", cache_size=500),
        {"C": costs, "epsilon": epsilons},
        scoring="neg_mean_squared_error",
        cv=_inner_splits(group),
    )
    search.fit(gram, score)
    return -float(search.best_score_), search.best_estimator_


def _inner_splits(group: Rows) -> list[tuple[Rows, Rows]]:
    """Return rows to fit and to validate, in up to five folds; split by row if all rows are of one group."""
    own = np.where(group < 0, group.max() + 1 + np.arange(len(group)), group)
    groups = len(np.unique(own))
    if groups == 1:
        return list(KFold(min(_FOLDS, len(own))).split(own))
    return list(GroupKFold(min(_FOLDS, groups)).split(own, groups=own))


def _or_one(spread: float) -> float:
    """Return ``spread``, or 1 if it is zero up to rounding."""
    return spread if spread > 1e-12 else 1.0


def _squared_distances(left: Tensor, right: Tensor) -> Tensor:
    """Return squared distances, (B, D), (S, D) → (B, S), without a larger intermediate tensor."""
    lengths = left.square().sum(1)[:, None] + right.square().sum(1)
    return (lengths - 2 * left @ right.T).clamp(min=0)
