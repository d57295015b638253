"""Support vector regression on one vector per video: fitted by scikit-learn, stored and evaluated as tensors.

The vectors may be scaled to unit length, or each channel standardised over the training set. The scores are centred and
scaled to unit variance. What is not given, of kernel, C, ε and γ, is selected by cross-validated squared error inside
the training set. The folds are shuffled with a fixed seed, and rows of one group (event, athlete, surgeon) stay on one
side; a row without a known group is its own group. Of equal errors, the simpler setting is taken: the linear kernel,
the smaller γ and C, the wider tube.

The grids are multiples of statistics of the data, so that they fit any sport and feature width: ε in standard
deviations of the scores, C in standard deviations of the scores ÷ variance of the vectors (linear) or ÷ 1 (RBF), γ in
1 ÷ variance of the vectors (scikit-learn's ``scale``). They contain the untuned setting C = 10, ε = 0.1, γ = ``scale``.
If the smallest error is hardly less than that of the mean score (90 % of it or more), cross-validation cannot tell
which setting is best and prefers an almost constant prediction; the untuned setting is then taken instead. Everything
is deterministic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from sklearn.model_selection import GroupKFold, KFold
from sklearn.svm import SVR
from torch import Tensor, nn

from aqakit.methods.parts.fitted import Fitted, check_enough
from aqakit.methods.parts.pooling import standardised
from aqakit.scores.distributions import Point
from aqakit.types import Batch

Kernel = Literal["auto", "linear", "rbf"]
Scaling = Literal["none", "unit", "standard"]
Array = NDArray[np.float64]
Rows = NDArray[np.int64]

_COSTS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_EPSILONS = (0.3, 0.1, 0.01)
_GAMMAS = (0.1, 1.0, 10.0)
_UNTUNED = {"cost": 10.0, "epsilon": 0.1, "gamma": 1.0}
_HARDLY_LESS = 0.9
_FOLDS = 5
_SEED = 0

CostOption = Annotated[float | None, Field(gt=0, description="C, in score units ÷ kernel units; selected if not given")]
EpsilonOption = Annotated[
    float | None, Field(ge=0, description="half-width ε of the loss-free tube, in score units; selected if not given")
]


@dataclass(frozen=True)
class Setting:
    """Parameters of a machine.

    Attributes:
        gamma: γ; 0 for the linear kernel.
        cost: C, for scores of unit variance.
        epsilon: ε, for scores of unit variance.
    """

    gamma: float
    cost: float
    epsilon: float

    def machine(self, tolerance: float) -> SVR:
        """Return the SVR, to be fitted to a kernel matrix."""
        return SVR(kernel="precomputed", C=self.cost, epsilon=self.epsilon, tol=tolerance, cache_size=500)


class SupportVectors(Fitted):
    """Predict a point for each video by support vector regression.

    Args:
        embed: Maps a batch to (B, D), without parameters.
        scaling: Scaling of these vectors.
        kernel: ``linear``, u·v; ``rbf``, exp(−γ ‖u − v‖²); or ``auto``, whichever has the smaller error.
        cost: C.
        epsilon: ε.
        gamma: γ of the RBF kernel.

    C, ε and γ are selected if they are None.

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

    @torch.no_grad()
    def remember(self, train: Batch) -> None:
        """Select the parameters that are not given, and fit.

        Raises:
            DataError: If fewer than two videos are labelled.
        """
        check_enough(train, "support vector regression needs", "videos")
        x = self._sized(train)
        standard = self.scaling == "standard"
        spread = x.std(0, correction=0)
        self.centre = x.mean(0) if standard else torch.zeros_like(spread)
        self.spread = torch.where(spread > 1e-8, spread, 1.0) if standard else torch.ones_like(spread)
        x = self._scaled(x)
        score = train.score.double().cpu().numpy()
        mean, deviation = float(score.mean()), _or_one(float(score.std()))
        target = (score - mean) / deviation
        setting = self._select(x, target, train.group.cpu().numpy(), deviation)
        machine = setting.machine(tolerance=1e-5).fit(self._gram(x, setting.gamma), target)
        self._keep(x, machine, setting, mean, deviation)

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
        return torch.exp(-gamma * _squared_distances(left, right)) if gamma else left @ right.T

    def _gram(self, x: Tensor, gamma: float) -> Array:
        gram: Array = self._kernel(x, x, gamma).cpu().numpy()
        return gram

    def _select(self, x: Tensor, target: Array, group: Rows, spread: float) -> Setting:
        """Return the setting with the smallest error; the untuned one if the mean's error is hardly larger."""
        grids = [self._grid(x, gamma, spread) for gamma in self._gammas(x, _GAMMAS)]
        if len(grids) == 1 and len(grids[0]) == 1:
            return grids[0][0]
        splits = inner_splits(group)
        settings = [setting for grid in grids for setting in grid]
        errors = [e for grid in grids for e in _errors(self._gram(x, grid[0].gamma), target, splits, grid)]
        best = int(np.argmin(errors))
        enough = errors[best] < _HARDLY_LESS * _error_of_mean(target, splits)
        return settings[best] if enough else self._untuned(x, spread)

    def _untuned(self, x: Tensor, spread: float) -> Setting:
        gamma = self._gammas(x, (_UNTUNED["gamma"],))[-1]
        return self._grid(x, gamma, spread, (_UNTUNED["cost"],), (_UNTUNED["epsilon"],))[0]

    def _gammas(self, x: Tensor, factors: Sequence[float]) -> list[float]:
        """Return the values of γ that are tried: 0, which is the linear kernel, before those of the RBF kernel."""
        linear = [] if self.kernel == "rbf" else [0.0]
        if self.kernel == "linear":
            return linear
        if self.given[2] is not None:
            return [*linear, self.given[2]]
        return [*linear, *(factor / _or_one(x.shape[1] * float(x.var(correction=0))) for factor in factors)]

    def _grid(
        self,
        x: Tensor,
        gamma: float,
        spread: float,
        costs: Sequence[float] = _COSTS,
        epsilons: Sequence[float] = _EPSILONS,
    ) -> list[Setting]:
        """Return the settings with one γ, the simplest first; what is given, in score units, replaces a factor."""
        unit = 1.0 if gamma else _or_one(float(x.var(0, correction=0).sum()))
        cost, epsilon, _ = self.given
        costs = [factor / unit for factor in costs] if cost is None else [cost / spread]
        epsilons = epsilons if epsilon is None else [epsilon / spread]
        return [Setting(gamma, c, e) for c in costs for e in epsilons]

    def _keep(self, x: Tensor, machine: SVR, setting: Setting, mean: float, spread: float) -> None:
        support = x[torch.as_tensor(machine.support_, dtype=torch.int64, device=x.device)]
        dual = x.new_tensor(machine.dual_coef_[0]) * spread
        linear = setting.gamma == 0
        self.support = (dual @ support)[None] if linear else support
        self.dual = x.new_ones(1) if linear else dual
        self.intercept = x.new_tensor(machine.intercept_[0] * spread + mean)
        self.chosen = x.new_tensor([setting.cost * spread, setting.epsilon * spread, setting.gamma])


def _errors(gram: Array, target: Array, splits: Sequence[tuple[Rows, Rows]], grid: Sequence[Setting]) -> list[float]:
    """Return the cross-validated squared error, mean over folds, of settings that share a kernel matrix (n, n)."""
    total = np.zeros(len(grid))
    for fitted, judged in splits:
        known, asked, true = gram[np.ix_(fitted, fitted)], gram[np.ix_(judged, fitted)], target[judged]
        answers = [one.machine(tolerance=1e-3).fit(known, target[fitted]).predict(asked) for one in grid]
        total += np.square(np.stack(answers) - true).mean(1) / len(splits)
    return [float(error) for error in total]


def _error_of_mean(target: Array, splits: Sequence[tuple[Rows, Rows]]) -> float:
    """Return the same error of predicting the mean target of the rows that are fitted."""
    return float(np.mean([np.square(target[judged] - target[fitted].mean()).mean() for fitted, judged in splits]))


def inner_splits(group: Rows) -> list[tuple[Rows, Rows]]:
    """Return rows to fit and to validate, in up to five shuffled folds; split by row if all are of one group."""
    own = np.where(group < 0, group.max() + 1 + np.arange(len(group)), group)
    names, own = np.unique(own, return_inverse=True)
    if len(names) == 1:
        return list(KFold(min(_FOLDS, len(own)), shuffle=True, random_state=_SEED).split(own))
    shuffled = np.random.default_rng(_SEED).permutation(len(names))[own]  # GroupKFold deals groups out in this order
    return list(GroupKFold(min(_FOLDS, len(names))).split(shuffled, groups=shuffled))


def _or_one(spread: float) -> float:
    """Return ``spread``, or 1 if it is zero up to rounding."""
    return spread if spread > 1e-12 else 1.0


def _squared_distances(left: Tensor, right: Tensor) -> Tensor:
    """Return squared distances, (B, D), (S, D) → (B, S), without a larger intermediate tensor."""
    lengths = left.square().sum(1)[:, None] + right.square().sum(1)
    return (lengths - 2 * left @ right.T).clamp(min=0)
