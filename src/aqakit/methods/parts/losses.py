"""Losses of a predicted distribution for a true score: ``(distribution, score (B,)) -> (B,)``.

Pure functions. Methods choose the reduction over the batch and the weights between terms. A row without a score (NaN)
gives NaN.
"""

from __future__ import annotations

import math
from typing import Literal, TypeVar

import torch
from torch import Tensor

from aqakit.scores.distributions import Binned, LocationScale, Normal, ScoreDistribution

D = TypeVar("D", bound=ScoreDistribution)


def squared_error(distribution: ScoreDistribution, score: Tensor) -> Tensor:
    """(mean − score)², in squared score units."""
    return (distribution.mean - score).square()


def absolute_error(distribution: ScoreDistribution, score: Tensor) -> Tensor:
    """|mean − score|, in score units."""
    return (distribution.mean - score).abs()


def normal_nll(distribution: ScoreDistribution, score: Tensor, *, alpha: float = 0.5, beta: float = 0.5) -> Tensor:
    """α (mean − score)² / variance + β log variance, the likelihood loss of DAE (Zhang et al. 2023).

    The defaults give the negative log-likelihood without its constant ½ log 2π; DAE uses α = 0.6, β = 0.4.

    Raises:
        TypeError: If the distribution is not normal.
    """
    return location_scale_nll(_only(Normal, distribution, "normal_nll"), score, alpha=alpha, beta=beta)


def location_scale_nll(
    distribution: ScoreDistribution, score: Tensor, *, alpha: float = 0.5, beta: float = 0.5
) -> Tensor:
    """2 α (log density at the location − that at the score) + 2 β log scale, for any location-scale family.

    The defaults give the negative log-likelihood without its constant. For a normal this is :func:`normal_nll`; with
    z = (score − location) / scale, the first term is 2 α |z| for Laplace, 4 α log cosh(z/2) for the logistic, and
    5 α log(1 + z²/4) for Student's t with four degrees of freedom.

    Raises:
        TypeError: If the distribution has no location and scale.
    """
    family = _only(LocationScale, distribution, "location_scale_nll")  # type: ignore[type-abstract]
    return 2 * alpha * family.penalty(family.standardised(score)) + 2 * beta * family.scale.log()


def reconstruction(
    distribution: ScoreDistribution,
    score: Tensor,
    noise: Tensor,
    *,
    reading: Literal["deviation", "variance"] = "deviation",
) -> Tensor:
    """Squared error of the reparametrised sample mean + noise × σ, the reconstruction loss of DAE.

    Args:
        distribution: Normal distribution, or of another location-scale family.
        score: (B,).
        noise: (…, B) draws of the family with mean 0 and standard deviation 1.
        reading: ``deviation`` multiplies the noise by σ, as in the published code; ``variance`` by σ², as in the paper.

    Raises:
        TypeError: If the distribution has no location and scale.
    """
    family = _only(LocationScale, distribution, "reconstruction")  # type: ignore[type-abstract]
    spread = family.std if reading == "deviation" else family.std.square()
    return (family.mean + noise * spread - score).square()


def soft_labels(score: Tensor, centres: Tensor, sigma: float) -> Tensor:
    """Normal density around each score at the K bin centres, (B, K), with sum 1 (USDL, Tang et al. 2020).

    Args:
        score: (B,).
        centres: (K,) in score units.
        sigma: standard deviation in score units.

    >>> import torch
    >>> labels = soft_labels(torch.tensor([2.0]), torch.tensor([1.0, 2.0, 3.0]), 1.0)
    >>> [round(p, 3) for p in labels[0].tolist()]  # 1 / (1 + 2 e^-½) in the middle
    [0.274, 0.452, 0.274]
    """
    return _log_soft_labels(score, centres, sigma).exp()


def soft_label_kl(
    distribution: ScoreDistribution,
    score: Tensor,
    *,
    sigma: float = 5.0,
    reduction: Literal["sum", "mean"] = "sum",
) -> Tensor:
    """KL divergence from the soft labels of the score to the predicted bins, the loss of USDL.

    Args:
        distribution: Binned distribution with bins of equal width.
        score: (B,).
        sigma: Standard deviation of the soft labels in bins; USDL uses 5 of its 101 bins of diving, 1 of 25 of surgery.
        reduction: Over the bins: ``sum`` is the divergence; ``mean``, K times smaller, is what USDL's code minimises.

    Raises:
        TypeError: If the distribution is not binned.
    """
    binned = _only(Binned, distribution, "soft_label_kl")
    target = _log_soft_labels(score, binned.centres, sigma * float(binned.widths.mean()))
    divergence = target.exp() * (target - binned.log_probabilities)
    return divergence.sum(-1) if reduction == "sum" else divergence.mean(-1)


def crps(distribution: ScoreDistribution, score: Tensor) -> Tensor:
    """Continuous ranked probability score, in score units; for points, the absolute error."""
    return distribution.crps(score)


def preference_nll(answer: ScoreDistribution, noise: Tensor) -> Tensor:
    """−log Φ((μ_b − μ_w) / √(σ_b² + σ_w² + τ²)), in nats: that the better one is preferred (Thurstone 1927).

    The difference of two answers is taken for normal, with their means and standard deviations; a point has none.

    Args:
        answer: 2 P predictions: the better one of each pair, then the worse ones in the same order.
        noise: (P,) τ, the standard deviation of a judge's comparison, in score units.

    >>> import torch
    >>> from aqakit.scores.distributions import Point
    >>> preference_nll(Point(torch.tensor([3.0, 1.0])), torch.tensor([2.0])).exp()  # 1 / Φ(1)
    tensor([1.1886])
    """
    (better, worse), (first, second) = answer.mean.chunk(2), answer.std.chunk(2)
    spread = (first.square() + second.square() + noise.square()).sqrt()
    return -_log_ndtr((better - worse) / spread)


def _log_ndtr(z: Tensor) -> Tensor:
    """Return log Φ(z), as torch.special.log_ndtr, which torch.vmap does not know."""
    below, above = z.clamp(max=0) / math.sqrt(2), z.clamp(min=0) / math.sqrt(2)
    tail = torch.special.erfcx(-below).log() - math.log(2) - below.square()
    return torch.where(z > 0, torch.log1p(-torch.erfc(above) / 2), tail)


def _log_soft_labels(score: Tensor, centres: Tensor, sigma: float) -> Tensor:
    return (-((score[..., None] - centres) / sigma).square() / 2).log_softmax(-1)


def _only(kind: type[D], distribution: ScoreDistribution, loss: str) -> D:
    if not isinstance(distribution, kind):
        raise TypeError(f"the loss {loss} needs a {kind.__name__} distribution, not {distribution.kind}")
    return distribution
