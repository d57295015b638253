"""The answers of several models to the same questions as one: their mixture with equal weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from aqakit.scores.distributions.base import Affine, ScoreDistribution
from aqakit.scores.distributions.derived import Mixture
from aqakit.scores.distributions.plain import Binned


def mixture(parts: Sequence[ScoreDistribution]) -> ScoreDistribution:
    """The mixture of K distributions (B,) of one kind; a single one is itself.

    Histograms over the same bins mix exactly into a histogram. So do their affine images by the same scale.

    >>> from aqakit.scores.distributions import Normal
    >>> one, other = (Normal(torch.tensor([mean]), torch.tensor([2.0])) for mean in (1.0, 3.0))
    >>> both = mixture([one, other])
    >>> both.kind, both.mean.item(), round(both.std.item() ** 2, 4)
    ('mixture.normal', 2.0, 5.0)
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, Binned) and all(isinstance(p, Binned) and torch.equal(p.edges, first.edges) for p in parts):
        logits = torch.stack([part.log_probabilities for part in parts])  # type: ignore[attr-defined]
        return Binned(logits.logsumexp(0), first.edges)
    if isinstance(first, Affine) and all(isinstance(p, Affine) and _same_image(p, first) for p in parts):
        inside = mixture([part.base for part in parts])  # type: ignore[attr-defined]
        return Affine(inside, first.scale, first.shift)
    stacked = ScoreDistribution.stack(parts)
    return Mixture(torch.zeros(stacked.batch_shape, dtype=stacked.dtype, device=stacked.device), stacked)


def _same_image(one: Affine, other: Affine) -> bool:
    return torch.equal(one.scale, other.scale) and torch.equal(one.shift, other.shift)
