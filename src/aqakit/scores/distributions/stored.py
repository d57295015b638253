"""Restore a distribution from its kind and tensors, as stored in a run folder."""

from collections.abc import Mapping
from dataclasses import fields

from torch import Tensor

from aqakit.scores.distributions.base import Affine, ScoreDistribution
from aqakit.scores.distributions.derived import Mixture, Recalibrated
from aqakit.scores.distributions.location_scale import Laplace, Logistic, Student
from aqakit.scores.distributions.plain import Binned, Normal, Point
from aqakit.scores.distributions.quantiles import Quantiles

_KINDS: dict[str, type[ScoreDistribution]] = {
    kind.__name__.lower(): kind
    for kind in (Point, Normal, Laplace, Logistic, Student, Binned, Quantiles, Mixture, Affine, Recalibrated)
}


def restore(kind: str, tensors: Mapping[str, Tensor]) -> ScoreDistribution:
    """Restore the distribution that has this ``kind`` and these ``tensors()``.

    Raises:
        ValueError: the kind is unknown, or the tensors are missing or not of this kind.
    """
    outer, _, inner = kind.partition(".")
    if outer not in _KINDS:
        raise ValueError(f"there is no kind of distribution {outer!r}; available: {', '.join(_KINDS)}")
    names = {field.name for field in fields(_KINDS[outer])}  # type: ignore[arg-type]
    parts: dict[str, Tensor | ScoreDistribution] = {n: t for n, t in tensors.items() if n in names}
    for name in names & {key.partition(".")[0] for key in tensors if "." in key}:
        inside = {key.removeprefix(f"{name}."): t for key, t in tensors.items() if key.startswith(f"{name}.")}
        parts[name] = restore(inner, inside)
    if set(parts) != names:
        raise ValueError(f"a {kind} distribution is stored as {sorted(names)}, not {sorted(tensors)}")
    return _KINDS[outer](**parts)
