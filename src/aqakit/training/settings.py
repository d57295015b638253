"""The options of the training loop, the same for every method and backbone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field

from aqakit.errors import OptionError
from aqakit.system import distributed


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The options of the training loop."""

    epochs: Annotated[int, Field(gt=0, description="passes over the training set")] = 100
    batch_size: Annotated[int, Field(gt=0, description="videos in a step, of each process")] = 16
    learning_rate: Annotated[float, Field(gt=0, description="of the method")] = 1e-3
    backbone_rate: Annotated[
        float, Field(ge=0, description="learning rate of a live backbone, as a share of the method's")
    ] = 1.0
    weight_decay: Annotated[float, Field(ge=0, description="of all weights")] = 1e-4
    optimizer: Annotated[Literal["adam", "adamw", "sgd"], Field(description="sgd has momentum 0.9")] = "adam"
    schedule: Annotated[
        Literal["constant", "cosine", "one-cycle"], Field(description="of the learning rate over all steps")
    ] = "constant"
    accumulate: Annotated[int, Field(gt=0, description="batches whose gradients make one step")] = 1
    clip_norm: Annotated[float | None, Field(gt=0, description="largest norm of a step's gradient")] = None
    labelled_share: Annotated[
        float, Field(gt=0, le=1, description="labelled part of each batch, where some videos are unlabelled")
    ] = 0.5
    freeze_norm: Annotated[bool, Field(description="keep the batch-norm statistics of live backbones")] = False
    select: Annotated[Literal["last", "best-validation"], Field(description="which epoch's weights the run keeps")] = (
        "last"
    )
    seed: Annotated[int, Field(ge=0, description="of everything random")] = 0
    device: Annotated[str, Field(description="auto, cpu, cuda, cuda:1 …")] = "auto"


def device_of(name: str) -> torch.device:
    """A device by its name in :class:`Settings`."""
    if name == "auto":
        return torch.device(distributed.device())
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA asserts
        raise OptionError(f"device {name!r} cannot be used here: {str(error).splitlines()[0]}") from None
