"""Training in several processes, on one machine or many, as ``torchrun`` starts them; nothing where it did not.

Every process has the whole data set and takes its share of every batch; gradients are averaged. One of them, the first,
writes files and speaks.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from aqakit.system import processes

T = TypeVar("T")


def device() -> str:
    """The accelerator of this process, where there are any."""
    return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"


@contextmanager
def together() -> Iterator[None]:
    """Join the other processes for a while; where there are none, or they are joined already, do nothing."""
    if processes.size() == 1 or dist.is_initialized():
        yield
        return
    dist.init_process_group("cuda:nccl,cpu:gloo" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


@contextmanager
def first_then_others() -> Iterator[None]:
    """The first process alone, then all others: what it puts into a cache they find there."""
    try:
        if not processes.is_first():
            wait()
        yield
    finally:
        if processes.is_first():
            wait()


def wait() -> None:
    """Until all are here."""
    if processes.size() > 1:
        dist.barrier()


def share(index: Tensor) -> tuple[Tensor, float]:
    """This process' part of a batch (b,), and what its mean weighs in the mean over processes.

    >>> share(torch.tensor([4, 7, 9]))  # the only process
    (tensor([4, 7, 9]), 1.0)
    """
    part = index[processes.rank() :: processes.size()]
    weight = len(part) * processes.size() / len(index)
    return (part if weight else index[:1]), weight  # a batch of fewer videos than processes: a guest without a vote


def in_turn(parts: list[T]) -> list[T]:
    """What all processes made, where each made every ``processes.size()``-th part, beginning with that of its rank."""
    if processes.size() == 1:
        return parts
    of_all: list[list[T]] = [[] for _ in range(processes.size())]
    dist.all_gather_object(of_all, parts)
    count = sum(map(len, of_all))
    return [of_all[k % processes.size()][k // processes.size()] for k in range(count)]


def averaged(module: nn.Module) -> nn.Module:
    """The module, such that a backward pass through it averages the gradients of all processes."""
    if processes.size() == 1:
        return module
    return nn.parallel.DistributedDataParallel(module, broadcast_buffers=False, find_unused_parameters=True)


def mean(values: dict[str, float]) -> dict[str, float]:
    """Of the same named numbers in each process."""
    if processes.size() == 1:
        return values
    total = torch.tensor(list(values.values()), dtype=torch.float64)
    dist.all_reduce(total)
    return dict(zip(values, (total / processes.size()).tolist(), strict=True))


def from_first(tensors: Iterable[Tensor]) -> None:
    """Every process takes the values of the first one, in place."""
    if processes.size() > 1:
        for tensor in tensors:
            dist.broadcast(tensor, 0)
