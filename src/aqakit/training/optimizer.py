"""Create the optimiser and learning-rate schedule from the settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from aqakit.methods.parts.base import Method
from aqakit.training.assessor import Assessor
from aqakit.training.settings import Settings
from aqakit.training.stacked import Stacked

DECAY = 0.1
"""What the schedules step and multi-step multiply the rate by."""


def make_optimizer(
    model: Assessor | Stacked, settings: Settings, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """Return optimiser and scheduler for ``steps`` steps; live backbones and parts of a method have their own rates."""
    rate, per_epoch = settings.learning_rate, steps // settings.epochs
    live = list(model.live.parameters()) if isinstance(model, Assessor) else []
    groups: list[dict[str, Any]] = [{"params": own, "lr": rate * share} for share, own in _by_share(model).items()]
    if live:
        groups.append({"params": live, "lr": rate * settings.backbone_rate})
    kinds: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "sgd": lambda groups, **more: torch.optim.SGD(groups, momentum=0.9, **more),
    }
    # one pass over memory: on a CPU the step of a small head takes half as long
    optimizer = kinds[settings.optimizer](groups, weight_decay=settings.weight_decay, fused=True)
    schedules: dict[str, Callable[[], torch.optim.lr_scheduler.LRScheduler]] = {
        "constant": lambda: torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0),
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps),
        "one-cycle": lambda: torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            [g["lr"] for g in groups],
            total_steps=steps,
            pct_start=0.2 if steps != 5 else 0.4,  # a rise of exactly one step is a division by zero in PyTorch
        ),
        "step": lambda: torch.optim.lr_scheduler.StepLR(
            optimizer, per_epoch * (settings.decay_every or settings.epochs), settings.rate_decay or DECAY
        ),
        "multi-step": lambda: torch.optim.lr_scheduler.MultiStepLR(
            optimizer, [per_epoch * epoch for epoch in settings.milestones or ()], settings.rate_decay or DECAY
        ),
    }
    return optimizer, schedules[settings.schedule]()


def _by_share(model: Assessor | Stacked) -> dict[float, list[nn.Parameter]]:
    """The weights of the method by their share of the learning rate."""
    one = model if isinstance(model, Assessor) else model.models[0]
    asked = {
        name: share
        for path, module in one.method.named_modules()
        if isinstance(module, Method)
        for part, share in module.rates.items()
        for name, _ in module.get_submodule(part).named_parameters(".".join(filter(None, (path, part))))
    }
    names = [name for name, _ in one.method.named_parameters()]
    weights = model.method.parameters() if isinstance(model, Assessor) else model.parameters()
    found: dict[float, list[nn.Parameter]] = {}
    for name, weight in zip(names, weights, strict=True):
        found.setdefault(asked.get(name, 1.0), []).append(weight)
    return found
