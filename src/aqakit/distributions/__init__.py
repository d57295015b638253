"""What every method answers with: a distribution over scores, one for each video of a batch.

The batch shape is usually (B,) and may be anything. Three conventions hold for every kind:

- ``cdf``, ``icdf``, ``log_prob`` and ``crps`` work element by element: their argument broadcasts with the
  batch shape from the right, so (Q, B) asks Q questions of each of B distributions;
- ``quantile(level)`` asks the same of all rows: a number gives (*batch), levels (Q,) give (*batch, Q);
- a distribution is frozen and holds tensors only, so ``kind`` and ``tensors()`` are all there is to store.

``mean``, ``std``, ``cdf``, ``log_prob`` and ``crps`` carry gradients to what a distribution was made of.

>>> import torch
>>> dives = Normal(torch.tensor([60.0, 85.5]), torch.tensor([4.0, 8.0]))
>>> low, high = dives.interval(0.9)
>>> [round(end, 1) for end in high.tolist()]
[66.6, 98.7]
>>> restore(dives.kind, dives.tensors()).mean.tolist()
[60.0, 85.5]
"""

from collections.abc import Mapping
from dataclasses import fields

from torch import Tensor

from aqakit.distributions.base import Affine, ScoreDistribution
from aqakit.distributions.derived import Mixture, Recalibrated
from aqakit.distributions.plain import Binned, Normal, Point
from aqakit.distributions.quantiles import Quantiles

__all__ = [
    "Affine",
    "Binned",
    "Mixture",
    "Normal",
    "Point",
    "Quantiles",
    "Recalibrated",
    "ScoreDistribution",
    "restore",
]

_KINDS: dict[str, type[ScoreDistribution]] = {
    kind.__name__.lower(): kind for kind in (Point, Normal, Binned, Quantiles, Mixture, Affine, Recalibrated)
}


def restore(kind: str, tensors: Mapping[str, Tensor]) -> ScoreDistribution:
    """The distribution whose ``kind`` and ``tensors()`` these are.

    Raises:
        ValueError: no such kind, or tensors that are missing or not of this kind.
    """
    outer, _, inner = kind.partition(".")
    if outer not in _KINDS:
        raise ValueError(f"there is no kind of distribution {outer!r}; there is: {', '.join(_KINDS)}")
    names = {field.name for field in fields(_KINDS[outer])}  # type: ignore[arg-type]
    parts: dict[str, Tensor | ScoreDistribution] = {n: t for n, t in tensors.items() if n in names}
    for name in names & {key.partition(".")[0] for key in tensors if "." in key}:
        inside = {key.removeprefix(f"{name}."): t for key, t in tensors.items() if key.startswith(f"{name}.")}
        parts[name] = restore(inner, inside)
    if set(parts) != names:
        raise ValueError(f"a {kind} distribution is stored as {sorted(names)}, and here is {sorted(tensors)}")
    return _KINDS[outer](**parts)
