"""What all kinds of distribution can do, and the affine image that any of them has."""
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
GRID_END = 5.0  # normal scores; 6e-7 of the probability lies outside, and float32 still tells the levels apart


class ScoreDistribution(ABC):
    """A batch of distributions over scores, in the units of the target; a frozen dataclass of tensors."""

    shared: ClassVar[tuple[str, ...]] = ()
    """The fields that all rows have in common."""

    @property
    @abstractmethod
    def batch_shape(self) -> torch.Size:
        """Usually (B,)."""

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """(*batch) expected score: the prediction, when one number is asked for."""

    @property
    @abstractmethod
    def std(self) -> Tensor:
        """(*batch) standard deviation."""

    @abstractmethod
    def cdf(self, score: Number) -> Tensor:
        """Probability of at most this score."""

    @abstractmethod
    def icdf(self, level: Number) -> Tensor:
        """The lowest score whose cdf reaches ``level``, element by element."""

    @abstractmethod
    def log_prob(self, score: Number) -> Tensor:
        """Log density; −inf where the score is impossible."""

    @property
    def mode(self) -> Tensor:
        """(*batch) most likely score, for the kinds that know it in closed form."""
        raise NotImplementedError(f"the mode of a {self.kind} distribution has no closed form")

    @property
    def median(self) -> Tensor:
        """(*batch) score that is exceeded half of the time."""
        return self.quantile(0.5)

    def quantile(self, level: Number) -> Tensor:
        """The score at a level, for every row: (*batch) for a number, (*batch, Q) for levels (Q,)."""
        levels = self._tensor(level)
        if not bool(((levels >= 0) & (levels <= 1)).all()):
            raise ValueError(f"quantile levels lie between 0 and 1; got {level}")
        spread = levels.reshape(levels.shape + (1,) * len(self.batch_shape))
        return self.icdf(spread).movedim(0, -1) if levels.ndim else self.icdf(spread).reshape(self.batch_shape)

    def interval(self, level: float = 0.9) -> tuple[Tensor, Tensor]:
        """Low and high end, each (*batch), of the central interval that has probability ``level``."""
        return self.quantile((1 - level) / 2), self.quantile((1 + level) / 2)

    def sample(self, count: int = 1, *, generator: torch.Generator | None = None) -> Tensor:
        """(count, *batch) independent draws."""
        return self.icdf(self._uniform(count, generator))

    def normal_score(self, score: Number) -> Tensor:
        """The standard normal quantile of ``cdf(score)``, finite everywhere."""
        tiny = torch.finfo(torch.float64).eps
        z: Tensor = torch.special.ndtri(self.cdf(score).double().clamp(tiny, 1 - tiny))
        return z

    def from_normal_score(self, z: Tensor) -> Tensor:
        """The score whose :meth:`normal_score` is ``z``."""
        return self.icdf(torch.special.ndtr(z.double())).to(self.dtype)

    def crps(self, score: Number) -> Tensor:
        """Continuous ranked probability score, ∫ (F(x) − 1{x ≥ score})² dx, in the units of the score.

        In closed form, except for Quantiles, Recalibrated and mixtures of others than points and normals: there it
        is twice the pinball loss integrated over all levels (Gneiting and Raftery 2007) by the trapezoid rule,
        good to about 1e-4 of the standard deviation.
        """
        score = self._tensor(score)
        z, weight, quantile = self._grid(max(score.ndim, len(self.batch_shape)))
        pinball = ((score < quantile).to(self.dtype) - torch.special.ndtr(z)) * (quantile - score)
        total: Tensor = 2 * (weight * pinball).sum(0)
        return total

    def affine(self, scale: Number, shift: Number = 0.0) -> ScoreDistribution:
        """The distribution of scale × score + shift, exactly; ``scale`` (*batch) is positive."""
        scale, shift = (self._tensor(value).to(self.dtype).expand(self.batch_shape) for value in (scale, shift))
        if not bool((scale > 0).all()):
            raise ValueError("the scale of an affine image must be positive everywhere")
        return self._affine(scale, shift)

    def _affine(self, scale: Tensor, shift: Tensor) -> ScoreDistribution:
        return Affine(self, scale, shift)

    @property
    def kind(self) -> str:
        """Its name, then after a dot that of the distribution inside it: ``mixture.normal``."""
        inside = [part.kind for part in self._parts().values() if isinstance(part, ScoreDistribution)]
        return ".".join([type(self).__name__.lower(), *inside])

    @property
    def dtype(self) -> torch.dtype:
        """The precision of its tensors."""
        return self._first().dtype

    @property
    def device(self) -> torch.device:
        """Where its tensors are."""
        return self._first().device

    def tensors(self) -> dict[str, Tensor]:
        """All there is to store; the tensors of a distribution inside it have dotted names."""
        found: dict[str, Tensor] = {}
        for name, part in self._parts().items():
            if isinstance(part, ScoreDistribution):
                found |= {f"{name}.{inner}": tensor for inner, tensor in part.tensors().items()}
            else:
                found[name] = part.contiguous()
        return found

    def select(self, index: Tensor | slice | int) -> Self:
        """The rows of ``index``: whole numbers, a mask, a slice or one number."""
        return self._map(lambda tensor: tensor[index], lambda tensor: tensor)

    def detach(self) -> Self:
        """The same without gradients."""
        return self._map(Tensor.detach, Tensor.detach)

    def to(self, target: torch.device | torch.dtype | str) -> Self:
        """The same on another device or in another precision."""
        return self._map(lambda tensor: tensor.to(target), lambda tensor: tensor.to(target))

    @staticmethod
    def cat(parts: Sequence[D]) -> D:
        """The rows of several distributions of one kind, one after another.

        Raises:
            TypeError: of different kinds, or with different bins.
        """
        first = parts[0]
        if any(part.kind != first.kind for part in parts):
            raise TypeError(f"distributions of different kinds: {', '.join(sorted({p.kind for p in parts}))}")
        return type(first)(**{name: _join(parts, name) for name in first._parts()})

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
        """Normal scores and their weights, (GRID, 1, …) with 1 + ndim axes, and the scores (GRID, …, *batch)."""
        z = torch.linspace(-GRID_END, GRID_END, GRID, dtype=self.dtype, device=self._first().device)
        weight = torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi) * (2 * GRID_END / (GRID - 1))
        z, weight = (values.reshape(-1, *[1] * ndim) for values in (z, weight))
        return z, weight, self.from_normal_score(z)


class Warped(ScoreDistribution):
    """A standard normal under an increasing map: all it knows is :meth:`normal_score` and its inverse."""

    @property
    def std(self) -> Tensor:
        """(*batch) around the mean of the map's quantiles, wherever a stated mean is."""
        _, weight, score = self._grid(len(self.batch_shape))
        share = weight / weight.sum()
        return (share * (score - (share * score).sum(0)).square()).sum(0).sqrt()

    def cdf(self, score: Number) -> Tensor:
        return (torch.erfc(-self.normal_score(score) / math.sqrt(2)) / 2).to(self.dtype)

    def icdf(self, level: Number) -> Tensor:
        return self.from_normal_score(torch.special.ndtri(self._tensor(level).double()))


@dataclass(frozen=True, eq=False)
class Affine(ScoreDistribution):
    """Scale × score + shift of a distribution whose own kind cannot express it: difficulty × binned total.

    Attributes:
        base: the distribution of the score before.
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


def _join(parts: Sequence[ScoreDistribution], name: str) -> Tensor | ScoreDistribution:
    values: list[Any] = [getattr(part, name) for part in parts]
    if isinstance(values[0], ScoreDistribution):
        return cast(ScoreDistribution, ScoreDistribution.cat(values))
    if name not in parts[0].shared:
        return torch.cat(values)
    if any(not torch.equal(value, values[0]) for value in values):
        raise TypeError(f"{parts[0].kind} distributions with different {name} cannot be joined")
    return cast(Tensor, values[0])
