"""The options of the training loop, the same for every method and backbone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import BeforeValidator, Field

from aqakit.errors import OptionError
from aqakit.system import distributed
from aqakit.system.wording import option


def _numbers(value: object) -> object:
    """A list of numbers, such as 30,60."""
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


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
        Literal["constant", "cosine", "one-cycle", "step", "multi-step"],
        Field(description="learning-rate schedule over all steps"),
    ] = "cosine"
    decay_every: Annotated[
        int | None, Field(gt=0, description="epochs after which schedule step lowers the rate, again and again")
    ] = None
    milestones: Annotated[
        tuple[int, ...] | None,
        BeforeValidator(_numbers),
        Field(description="epochs after which schedule multi-step lowers the rate, such as 30,60"),
    ] = None
    rate_decay: Annotated[
        float | None, Field(gt=0, lt=1, description="what step and multi-step multiply the rate by (0.1)")
    ] = None
    accumulate: Annotated[int, Field(gt=0, description="batches over which gradients are accumulated for one step")] = 1
    clip_norm: Annotated[float | None, Field(gt=0, description="maximum gradient norm of a step")] = 1.0
    labelled_share: Annotated[
        float, Field(gt=0, le=1, description="labelled fraction of each batch, if some videos are unlabelled")
    ] = 0.5
    pairs_weight: Annotated[
        float | None, Field(ge=0, description="weight of the losses of pairs, if there are pairs (1)")
    ] = None
    freeze_norm: Annotated[bool, Field(description="freeze the batch-norm statistics of fine-tuned backbones")] = False
    select: Annotated[
        Literal["held-out", "last", "best-validation"],
        Field(description="which epoch's weights the run keeps; held-out: the last one, for a single member"),
    ] = "held-out"
    evaluate_every: Annotated[
        int, Field(gt=0, description="epochs between two predictions of the watched splits; the last is always one")
    ] = 1
    patience: Annotated[
        int | None, Field(gt=0, description="stop after so many epochs without a better one, by the rule of select")
    ] = None
    tf32: Annotated[bool, Field(description="let NVIDIA GPUs multiply in TensorFloat-32")] = False
    compile: Annotated[bool, Field(description="compile fine-tuned backbones with torch.compile")] = False
    seed: Annotated[int, Field(ge=0, description="random seed")] = 0
    device: Annotated[str, Field(description="auto, cpu, cuda, cuda:1 …")] = "auto"

    def evaluates(self, epoch: int) -> bool:
        """Whether the watched splits are predicted after an epoch, counted from 0."""
        return (epoch + 1) % self.evaluate_every == 0 or epoch + 1 == self.epochs

    def check(self) -> None:
        """Check options that belong together.

        Raises:
            OptionError: one would be ignored, or one that is needed is missing.
        """
        needs = {"step": "decay_every", "multi-step": "milestones"}
        for schedule, name in needs.items():
            if (getattr(self, name) is not None) != (self.schedule == schedule):
                raise OptionError(f"training: schedule {schedule} and {name} belong together; give both, or neither")
        if self.rate_decay is not None and self.schedule not in needs:
            raise OptionError("training: rate_decay is for the schedules step and multi-step; leave it out")
        if self.milestones is not None and list(self.milestones) != sorted(set(self.milestones)):
            raise OptionError("training: milestones should rise, such as 30,60")
        if self.milestones is not None and not (self.milestones and self.milestones[0] > 0):
            raise OptionError("training: milestones are numbers of epochs, from 1")
        if self.patience is not None and self.select == "last":
            raise OptionError(
                f"training: patience needs a rule that compares epochs; leave out {option('select', 'last')}"
            )


def device_of(name: str) -> torch.device:
    """Return the device with the name given in :class:`Settings`."""
    if name == "auto":
        return torch.device(distributed.device())
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA asserts
        raise OptionError(f"device {name!r} cannot be used here: {str(error).splitlines()[0]}") from None
