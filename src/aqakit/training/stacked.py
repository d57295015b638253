"""Several models of one shape as one: their weights are stacked, and one computation gives the losses of all.

A small head spends most of a step on calling its layers, and a GPU most of it on waiting; that costs as much for five
models as for one. Each model has its own samples, its own random numbers and its own gradient, so that it learns what
it would learn alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from aqakit.training.assessor import Assessor, Losses
from aqakit.training.comparisons import PairBatch
from aqakit.types import Batch, Stream

_MOST_ON_CPU = 150_000
"""Weights of a model. The steps of larger ones are bound by memory, and take longer together (benchmarks/heads.py)."""


class Stacked(nn.Module):
    """K models whose weights are rows of stacked ones, (K, *shape) each.

    What is trained are the stacked weights. The models see every change at once, and can be used, saved and loaded one
    by one.

    Args:
        models: alike but for the values of their weights and buffers, as :func:`can_stack` checks; their buffers do not
            change any more.
    """

    def __init__(self, models: Sequence[Assessor]) -> None:
        super().__init__()
        self.models = tuple(models)  # a tuple, since their parameters are not this module's
        self.weights = nn.ParameterList()
        self._names = [name for name, _ in models[0].named_parameters()]
        for name in self._names:
            own = [model.get_parameter(name) for model in models]
            stacked = nn.Parameter(torch.stack([one.detach() for one in own]))
            for one, row in zip(own, stacked.data, strict=True):
                one.data = row
            self.weights.append(stacked)
        self._shared, self._own = _buffers(models)
        self._losses = self._for_all("different")

    def forward(self, batch: Batch, pairs: PairBatch | None = None) -> dict[str, Tensor]:
        """The loss terms (K,) of the models for K × b rows: b rows of each, those of the first model first.

        Of pairs, there are K × 2 P rows and K × P weights in the same order.
        """
        weights, count = dict(zip(self._names, self.weights, strict=True)), len(self.models)
        told: dict[str, Any] = {}
        like = None if pairs is None else pairs.videos
        if pairs is not None:
            told = {"rows": _by_model(pairs.videos, count)}
            told |= {name: getattr(pairs, name).unflatten(0, (count, -1)) for name in ("weight", "noise")}
        return self._losses(weights, self._own, _by_model(batch, count), batch, told, like)

    def _for_all(self, randomness: str) -> Callable[..., dict[str, Tensor]]:
        return vmap(self._losses_of_one, in_dims=(0, 0, 0, None, 0, None), randomness=randomness)

    def clip_gradients(self, norm: float) -> None:
        """Scale the gradient of each model to at most ``norm``, as torch.nn.utils.clip_grad_norm_ does for one."""
        gradients = [one.grad for one in self.weights if one.grad is not None]
        total = torch.stack([g.flatten(1).square().sum(1) for g in gradients]).sum(0).sqrt()  # (K,)
        share = (norm / (total + 1e-6)).clamp(max=1)
        if share.device.type == "cpu" and bool((share == 1).all()):
            return  # a pass over memory saved; elsewhere, looking would cost more than multiplying by one
        for gradient in gradients:
            gradient.mul_(share.reshape(-1, *[1] * (gradient.ndim - 1)))

    def separate(self) -> None:
        """Give each model weights of its own again."""
        for model in self.models:
            for one in model.parameters():
                one.data = one.data.clone()

    def _losses_of_one(
        self,
        weights: dict[str, Tensor],
        buffers: dict[str, Tensor],
        rows: Mapping[str, Any],
        like: Batch,
        told: Mapping[str, Any],
        told_like: Batch | None,
    ) -> dict[str, Tensor]:
        values = {f"assessor.{name}": value for name, value in {**weights, **self._shared, **buffers}.items()}
        pairs = None
        if told_like is not None:
            pairs = PairBatch(_rebuilt(told["rows"], told_like), told["weight"], told["noise"])
        terms: dict[str, Tensor] = functional_call(Losses(self.models[0]), values, (_rebuilt(rows, like), pairs))
        return terms


def can_stack(models: Sequence[Assessor]) -> bool:
    """Whether models are trained as one: several heads on frozen features, alike in all shapes, and small on a CPU."""
    first = models[0]
    if len(models) == 1 or first.live or not first.method.supports_vmap:
        return False
    weights = list(first.parameters())
    if weights[0].device.type == "cpu" and sum(one.numel() for one in weights) > _MOST_ON_CPU:
        return False
    shapes = [[(name, value.shape) for name, value in model.state_dict().items()] for model in models]
    return all(other == shapes[0] for other in shapes)


def _buffers(models: Sequence[Assessor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Buffers that are equal in all models, and stacked (K, *shape) those that are not."""
    shared, own = {}, {}
    for name, first in models[0].named_buffers():
        values = [model.get_buffer(name) for model in models]
        if all(torch.equal(first, other) for other in values[1:]):
            shared[name] = first
        else:
            own[name] = torch.stack(values)
    return shared, own


def _rebuilt(rows: Mapping[str, Any], like: Batch) -> Batch:
    """The batch of one model from its part of :func:`_by_model`."""
    return like.replace(**{**rows, "streams": {name: Stream(*one) for name, one in rows["streams"].items()}})


def _by_model(batch: Batch, models: int) -> dict[str, Any]:
    """The tensors of a batch, (K b, …) → (K, b, …)."""

    def split(value: Tensor) -> Tensor:
        return value.unflatten(0, (models, -1))

    return {
        "streams": {name: (split(one.features), split(one.clips)) for name, one in batch.streams.items()},
        "attributes": {name: split(value) for name, value in batch.attributes.items()},
        **{name: split(getattr(batch, name)) for name in batch.ROWS},
    }
