"""Create the optimiser and learning-rate schedule from the settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from aqakit.training.assessor import Assessor
from aqakit.training.settings import Settings
from aqakit.training.stacked import Stacked

DECAY = 0.1
"""What the schedules step and multi-step multiply the rate by."""


def make_optimizer(
    model: Assessor | Stacked, settings: Settings, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """Return optimiser and scheduler for ``steps`` steps; live backbones have their own learning rate."""
    rate, per_epoch = settings.learning_rate, steps // settings.epochs
    live = list(model.live.parameters()) if isinstance(model, Assessor) else []
    own = list(model.method.parameters() if isinstance(model, Assessor) else model.parameters())
    groups: list[dict[str, Any]] = [{"params": own, "lr": rate}]
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
