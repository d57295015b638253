"""Less memory in training: what a stage of a network computes is computed again when its gradients are needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def in_stages(stages: Sequence[nn.Module], x: Tensor) -> Tensor:
    """Pass ``x`` through stages of which only the inputs are kept for the gradients; the numbers are the same.

    Batch norm sees the input twice, and updates its statistics once. A stage must not change its input in place.
    """
    if not torch.is_grad_enabled():
        return cast(Tensor, nn.Sequential(*stages)(x))
    for stage in stages:
        x = checkpoint(stage, x, use_reentrant=False, context_fn=partial(_contexts, stage), preserve_rng_state=True)
    return x


def _contexts(stage: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _on_copies(stage)


@contextmanager
def _on_copies(stage: nn.Module) -> Iterator[None]:
    """Let a stage update copies of its buffers, the statistics of batch norm, instead of themselves."""
    own = [(m, name, buffer) for m in stage.modules() for name, buffer in m.named_buffers(recurse=False)]
    for module, name, buffer in own:
        setattr(module, name, buffer.clone())
    try:
        yield
    finally:
        for module, name, buffer in own:
            setattr(module, name, buffer)
