"""Base class of all score distributions, and their affine transformation."""
# ruff: noqa: D102  (the docstrings of Affine are inherited)

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self, TypeVar, cast

import torch
from torch import Tensor

Number = Tensor | float
D = TypeVar("D", bound="ScoreDistribution")

GRID = 401
GRID_END = 5.0  # normal scores; 6e-7 of the probability lies outside, and float32 still distinguishes the levels


class ScoreDistribution(ABC):
    """Base class: a batch of distributions over scores, in units of the target; a frozen dataclass of tensors."""

    shared: ClassVar[tuple[str, ...]] = ()
    """Names of the fields that all rows share."""

    @property
    @abstractmethod
    def batch_shape(self) -> torch.Size:
        """Shape of the batch, usually (B,)."""

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """(*batch) expected score, used as the point prediction."""

    @property
    @abstractmethod
    def std(self) -> Tensor:
        """(*batch) standard deviation."""

    @abstractmethod
    def cdf(self, score: Number) -> Tensor:
        """Return the probability that the score is at most this."""

    @abstractmethod
    def icdf(self, level: Number) -> Tensor:
        """Return the lowest score whose cdf reaches ``level``, element by element."""

    @abstractmethod
    def log_prob(self, score: Number) -> Tensor:
        """Return the log density; −inf where the score is impossible."""

    @property
    def mode(self) -> Tensor:
        """(*batch) most likely score, for the kinds with a closed form."""
        raise NotImplementedError(f"the mode of a {self.kind} distribution has no closed form")

    @property
    def median(self) -> Tensor:
        """(*batch) quantile at level 0.5."""
        return self.quantile(0.5)

    def quantile(self, level: Number) -> Tensor:
        """Return the score at a level, for every row: (*batch) for a number, (*batch, Q) for levels (Q,)."""
        levels = self._tensor(level)
        if not bool(((levels >= 0) & (levels <= 1)).all()):
            raise ValueError(f"quantile levels must lie between 0 and 1; got {level}")
        spread = levels.reshape(levels.shape + (1,) * len(self.batch_shape))
        return self.icdf(spread).movedim(0, -1) if levels.ndim else self.icdf(spread).reshape(self.batch_shape)

    def interval(self, level: float = 0.9) -> tuple[Tensor, Tensor]:
        """Return the low and high end, each (*batch), of the central interval with probability ``level``."""
        return self.quantile((1 - level) / 2), self.quantile((1 + level) / 2)

    def sample(self, count: int = 1, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw (count, *batch) independent samples."""
        return self.icdf(self._uniform(count, generator))

    def normal_score(self, score: Number) -> Tensor:
        """Return the standard normal quantile of ``cdf(score)``, finite everywhere."""
        tiny = torch.finfo(torch.float64).eps
        z: Tensor = torch.special.ndtri(self.cdf(score).double().clamp(tiny, 1 - tiny))
        return z

    def from_normal_score(self, z: Tensor) -> Tensor:
        """Return the score whose :meth:`normal_score` is ``z``."""
        return self.icdf(torch.special.ndtr(z.double())).to(self.dtype)

    def crps(self, score: Number) -> Tensor:
        """Continuous ranked probability score, ∫ (F(x) − 1{x ≥ score})² dx, in the units of the score.

        Computed in closed form, except for Quantiles, Recalibrated and mixtures of what is neither points nor normals
        nor mixtures of them: for these, twice the pinball loss is integrated over all levels (Gneiting and Raftery
        2007) by the trapezoid rule, accurate to about 1e-4 of the standard deviation.
        """
        score = self._tensor(score)
        z, weight, quantile = self._grid(max(score.ndim, len(self.batch_shape)))
        pinball = ((score < quantile).to(self.dtype) - torch.special.ndtr(z)) * (quantile - score)
        total: Tensor = 2 * (weight * pinball).sum(0)
        return total

    def affine(self, scale: Number, shift: Number = 0.0) -> ScoreDistribution:
        """Return the exact distribution of scale × score + shift; ``scale`` (*batch) must be positive."""
        scale, shift = (self._tensor(value).to(self.dtype).expand(self.batch_shape) for value in (scale, shift))
        if not bool((scale > 0).all()):
            raise ValueError("the scale of an affine transformation must be positive everywhere")
        return self._affine(scale, shift)

    def _affine(self, scale: Tensor, shift: Tensor) -> ScoreDistribution:
        return Affine(self, scale, shift)

    @property
    def kind(self) -> str:
        """Name of the kind, followed by that of an inner distribution after a dot: ``mixture.normal``."""
        inside = [part.kind for part in self._parts().values() if isinstance(part, ScoreDistribution)]
        return ".".join([type(self).__name__.lower(), *inside])

    @property
    def dtype(self) -> torch.dtype:
        """Data type of the tensors."""
        return self._first().dtype

    @property
    def device(self) -> torch.device:
        """Device of the tensors."""
        return self._first().device

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors by name, for storage; those of an inner distribution have dotted names."""
        found: dict[str, Tensor] = {}
        for name, part in self._parts().items():
            if isinstance(part, ScoreDistribution):
                found |= {f"{name}.{inner}": tensor for inner, tensor in part.tensors().items()}
            else:
                found[name] = part.contiguous()
        return found

    def select(self, index: Tensor | slice | int) -> Self:
        """Return the rows of ``index``: integers, a mask, a slice or one integer."""
        return self._map(lambda tensor: tensor[index], lambda tensor: tensor)

    def detach(self) -> Self:
        """Return the same distribution without gradients."""
        return self._map(Tensor.detach, Tensor.detach)

    def to(self, target: torch.device | torch.dtype | str) -> Self:
        """Return the same distribution on another device or in another precision."""
        return self._map(lambda tensor: tensor.to(target), lambda tensor: tensor.to(target))

    @staticmethod
    def cat(parts: Sequence[D]) -> D:
        """Concatenate the rows of several distributions of one kind.

        Raises:
            TypeError: the kinds or the shared tensors (bin edges, levels, knots) differ.
        """
        first = parts[0]
        if any(part.kind != first.kind for part in parts):
            raise TypeError(f"distributions of different kinds: {', '.join(sorted({p.kind for p in parts}))}")
        return type(first)(**{name: _join(parts, name) for name in first._parts()})

    @staticmethod
    def stack(parts: Sequence[D]) -> D:
        """K distributions (*batch) of one kind as one of batch shape (*batch, K).

        Raises:
            TypeError: of different kinds, or with different bins.
        """
        first = parts[0]
        if any(part.kind != first.kind for part in parts):
            raise TypeError(f"distributions of different kinds: {', '.join(sorted({p.kind for p in parts}))}")
        return _stacked(parts, len(first.batch_shape))

    def _parts(self) -> dict[str, Tensor | ScoreDistribution]:
        return {field.name: getattr(self, field.name) for field in fields(cast(Any, self))}

    def _first(self) -> Tensor:
        return next(iter(self.tensors().values()))

    def _map(self, batched: Callable[[Tensor], Tensor], shared: Callable[[Tensor], Tensor]) -> Self:
        def changed(name: str, part: Tensor | ScoreDistribution) -> Tensor | ScoreDistribution:
            if isinstance(part, ScoreDistribution):
                return part._map(batched, shared)
            return shared(part) if name in self.shared else batched(part)

        return type(self)(**{name: changed(name, part) for name, part in self._parts().items()})

    def _tensor(self, value: Number) -> Tensor:
        first = self._first()
        return torch.as_tensor(value, dtype=None if isinstance(value, Tensor) else first.dtype, device=first.device)

    def _uniform(self, count: int, generator: torch.Generator | None) -> Tensor:
        first = self._first()
        level = torch.rand((count, *self.batch_shape), generator=generator, dtype=first.dtype, device=first.device)
        return level.clamp_min(torch.finfo(first.dtype).eps)

    def _grid(self, ndim: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return normal scores and their weights, (GRID, 1, …) with 1 + ndim axes, and the scores (GRID, …, *batch)."""
        z = torch.linspace(-GRID_END, GRID_END, GRID, dtype=self.dtype, device=self._first().device)
        weight = torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi) * (2 * GRID_END / (GRID - 1))
        z, weight = (values.reshape(-1, *[1] * ndim) for values in (z, weight))
        return z, weight, self.from_normal_score(z)


class Warped(ScoreDistribution):
    """An increasing map of a standard normal, defined only by :meth:`normal_score` and its inverse."""

    @property
    def std(self) -> Tensor:
        """(*batch) standard deviation around the mean of the quantiles, even if a different mean is stated."""
        _, weight, score = self._grid(len(self.batch_shape))
        share = weight / weight.sum()
        return (share * (score - (share * score).sum(0)).square()).sum(0).sqrt()

    def cdf(self, score: Number) -> Tensor:
        return (torch.erfc(-self.normal_score(score) / math.sqrt(2)) / 2).to(self.dtype)

    def icdf(self, level: Number) -> Tensor:
        return self.from_normal_score(torch.special.ndtri(self._tensor(level).double()))


@dataclass(frozen=True, eq=False)
class Affine(ScoreDistribution):
    """Distribution of scale × score + shift, for kinds that cannot express it: difficulty × binned total.

    Attributes:
        base: the distribution of the original score.
        scale: (*batch) positive.
        shift: (*batch).
    """

    base: ScoreDistribution
    scale: Tensor
    shift: Tensor

    @property
    def batch_shape(self) -> torch.Size:
        return self.base.batch_shape

    @property
    def mean(self) -> Tensor:
        return self._image(self.base.mean)

    @property
    def std(self) -> Tensor:
        return self.scale * self.base.std

    @property
    def mode(self) -> Tensor:
        return self._image(self.base.mode)

    def cdf(self, score: Number) -> Tensor:
        return self.base.cdf(self._origin(score))

    def icdf(self, level: Number) -> Tensor:
        return self._image(self.base.icdf(level))

    def log_prob(self, score: Number) -> Tensor:
        return self.base.log_prob(self._origin(score)) - self.scale.log()

    def crps(self, score: Number) -> Tensor:
        return self.scale * self.base.crps(self._origin(score))

    def _image(self, score: Tensor) -> Tensor:
        return self.scale * score + self.shift

    def _origin(self, score: Number) -> Tensor:
        return (score - self.shift) / self.scale

    def _affine(self, scale: Tensor, shift: Tensor) -> Affine:
        return Affine(self.base, scale * self.scale, scale * self.shift + shift)


def _stacked(parts: Sequence[D], axis: int) -> D:
    """All tensors stacked along one axis, those of a distribution inside as well."""
    first, found = parts[0], dict[str, Any]()
    for name, value in first._parts().items():
        own: list[Any] = [getattr(part, name) for part in parts]
        if isinstance(value, ScoreDistribution):
            found[name] = _stacked(own, axis)
        else:
            found[name] = _join(parts, name) if name in first.shared else torch.stack(own, axis)
    return type(first)(**found)


def _join(parts: Sequence[ScoreDistribution], name: str) -> Tensor | ScoreDistribution:
    values: list[Any] = [getattr(part, name) for part in parts]
    if isinstance(values[0], ScoreDistribution):
        return cast(ScoreDistribution, ScoreDistribution.cat(values))
    if name not in parts[0].shared:
        return torch.cat(values)
    if any(not torch.equal(value, values[0]) for value in values):
        raise TypeError(f"{parts[0].kind} distributions with different {name} cannot be concatenated")
    return cast(Tensor, values[0])
