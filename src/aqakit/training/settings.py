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

    epochs: Annotated[int, Field(gt=0, description="passes over the training set")] = 50
    batch_size: Annotated[int, Field(gt=0, description="videos per step and process")] = 16
    learning_rate: Annotated[float, Field(gt=0, description="learning rate of the method")] = 1e-3
    backbone_rate: Annotated[
        float, Field(ge=0, description="learning rate of a fine-tuned backbone, as a multiple of the method's")
    ] = 1.0
    weight_decay: Annotated[float, Field(ge=0, description="weight decay of all parameters")] = 0.05
    optimizer: Annotated[Literal["adam", "adamw", "sgd"], Field(description="sgd uses momentum 0.9")] = "adamw"
    schedule: Annotated[
        Literal["constant", "cosine", "one-cycle"], Field(description="learning-rate schedule over all steps")
    ] = "cosine"
    accumulate: Annotated[int, Field(gt=0, description="batches over which gradients are accumulated for one step")] = 1
    clip_norm: Annotated[float | None, Field(gt=0, description="maximum gradient norm of a step")] = 1.0
    labelled_share: Annotated[
        float, Field(gt=0, le=1, description="labelled fraction of each batch, if some videos are unlabelled")
    ] = 0.5
    freeze_norm: Annotated[bool, Field(description="freeze the batch-norm statistics of fine-tuned backbones")] = False
    select: Annotated[
        Literal["held-out", "last", "best-validation"],
        Field(description="which epoch's weights the run keeps; held-out: the last one, for a single member"),
    ] = "held-out"
    seed: Annotated[int, Field(ge=0, description="random seed")] = 0
    device: Annotated[str, Field(description="auto, cpu, cuda, cuda:1 …")] = "auto"


def device_of(name: str) -> torch.device:
    """Return the device with the name given in :class:`Settings`."""
    if name == "auto":
        return torch.device(distributed.device())
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA asserts
        raise OptionError(f"device {name!r} cannot be used here: {str(error).splitlines()[0]}") from None
