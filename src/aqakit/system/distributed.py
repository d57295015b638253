"""Distributed training in processes started by ``torchrun``, on one or several machines.

Every process has the whole data set and takes its part of every batch; gradients are averaged. Only the first process
writes files and prints. Without ``torchrun``, there is a single process.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from aqakit.errors import OptionError
from aqakit.system import processes, terminal

T = TypeVar("T")


def device() -> str:
    """Return the CUDA device of this process, or ``cpu`` if there is none."""
    return f"cuda:{processes.local_rank()}" if torch.cuda.is_available() else "cpu"


@contextmanager
def process_group() -> Iterator[None]:
    """Join the process group within the block; do nothing for a single process or if it is already joined."""
    if processes.size() == 1 or dist.is_initialized():
        yield
        return
    place = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
    terminal.say_once(f"waiting for {processes.size()} processes to meet at {place}")
    try:
        dist.init_process_group("cuda:nccl,cpu:gloo" if torch.cuda.is_available() else "gloo")
    except (RuntimeError, ValueError) as error:
        what = f"process {processes.rank()} of {processes.size()} cannot join the others"
        why = str(error).splitlines()[0][:200]
        raise OptionError(f"{what}: {why}; start with torchrun, or unset RANK and WORLD_SIZE") from None
    try:
        yield
    finally:
        dist.destroy_process_group()


@contextmanager
def first_then_others() -> Iterator[None]:
    """Run the block in the first process, then in all others, which find its results in the cache."""
    try:
        if not processes.is_first():
            wait()
        yield
    finally:
        if processes.is_first():
            wait()


def wait() -> None:
    """Wait until all processes arrive here."""
    if processes.size() > 1:
        dist.barrier()


def shard(index: Tensor) -> tuple[Tensor, float]:
    """Return this process's part of a batch (b,), and the weight of its mean in the mean over processes.

    >>> shard(torch.tensor([4, 7, 9]))  # the only process
    (tensor([4, 7, 9]), 1.0)
    """
    part = index[processes.rank() :: processes.size()]
    weight = len(part) * processes.size() / len(index)
    return (part if weight else index[:1]), weight  # fewer videos than processes: a video of weight 0


def all_gather(parts: list[T]) -> list[T]:
    """Gather the parts of all processes in order; each made every ``processes.size()``-th, starting at its rank."""
    if processes.size() == 1:
        return parts
    of_all: list[list[T]] = [[] for _ in range(processes.size())]
    dist.all_gather_object(of_all, parts)
    count = sum(map(len, of_all))
    return [of_all[k % processes.size()][k // processes.size()] for k in range(count)]


def data_parallel(module: nn.Module) -> nn.Module:
    """Wrap a module so that its backward pass averages the gradients over all processes."""
    if processes.size() == 1:
        return module
    return nn.parallel.DistributedDataParallel(module, broadcast_buffers=False, find_unused_parameters=True)


def mean(values: dict[str, float]) -> dict[str, float]:
    """Return the mean over processes of each named value."""
    if processes.size() == 1:
        return values
    total = torch.tensor(list(values.values()), dtype=torch.float64)
    dist.all_reduce(total)
    return dict(zip(values, (total / processes.size()).tolist(), strict=True))


def any_of(flag: bool) -> bool:
    """Whether a flag is set in any process, the same answer in all."""
    return mean({"set": float(flag)})["set"] > 0


def broadcast(tensors: Iterable[Tensor]) -> None:
    """Broadcast the values of the first process to all others, in place."""
    if processes.size() > 1:
        for tensor in tensors:
            dist.broadcast(tensor, 0)
