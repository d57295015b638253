"""Create the optimiser and learning-rate schedule from the settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from aqakit.training.assessor import Assessor
from aqakit.training.settings import Settings


def make_optimizer(
    assessor: Assessor, settings: Settings, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """Return optimiser and scheduler for ``steps`` steps; live backbones have their own learning rate."""
    rate = settings.learning_rate
    groups: list[dict[str, Any]] = [{"params": list(assessor.method.parameters()), "lr": rate}]
    if assessor.live:
        groups.append({"params": list(assessor.live.parameters()), "lr": rate * settings.backbone_rate})
    kinds: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "sgd": lambda groups, **more: torch.optim.SGD(groups, momentum=0.9, **more),
    }
    optimizer = kinds[settings.optimizer](groups, weight_decay=settings.weight_decay)
    schedules: dict[str, Callable[[], torch.optim.lr_scheduler.LRScheduler]] = {
        "constant": lambda: torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0),
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps),
        "one-cycle": lambda: torch.optim.lr_scheduler.OneCycleLR(
            optimizer, [g["lr"] for g in groups], total_steps=steps, pct_start=0.2
        ),
    }
    return optimizer, schedules[settings.schedule]()
