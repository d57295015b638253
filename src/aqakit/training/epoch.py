"""One epoch: batches with a fixed labelled share, and the steps of one model or of several that are trained as one."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from aqakit.errors import RunError
from aqakit.system import distributed, processes
from aqakit.training.assessor import Assessor, Losses
from aqakit.training.batches import (
    BatchSource,
    CachedFeatures,
    has_score,
    in_advance,
    joint_batch,
    read_batches,
    share_memory,
)
from aqakit.training.comparisons import PairBatch, PairRows
from aqakit.training.optimizer import make_optimizer
from aqakit.training.settings import Settings
from aqakit.training.stacked import Stacked, can_stack
from aqakit.training.state import Member, ModelState
from aqakit.types import Batch


def make_states(members: Sequence[Member], settings: Settings) -> list[ModelState]:
    """The members with their optimisers: one for all if they can be trained as one, or else one for each."""
    rows = max(len(one.train) for one in members)  # a member with fewer samples sees some twice in an epoch
    groups: list[tuple[Sequence[Member], nn.Module]]
    if processes.size() == 1 and share_memory([m.train for m in members]) and can_stack([m.assessor for m in members]):
        groups = [(members, Stacked([one.assessor for one in members]))]
    else:
        groups = [([one], distributed.data_parallel(Losses(one.assessor))) for one in members]
    return [_state(group, losses, settings, rows) for group, losses in groups]


def _state(members: Sequence[Member], losses: nn.Module, settings: Settings, rows: int) -> ModelState:
    batches = len(list(_batches(members[0].train, settings, torch.Generator().manual_seed(0), rows)))
    trained = losses if isinstance(losses, Stacked) else members[0].assessor
    made = make_optimizer(trained, settings, settings.epochs * -(-batches // settings.accumulate))
    precise = trained.precision if isinstance(trained, Assessor) and trained.live else torch.float32
    device = next(trained.parameters()).device.type
    scaler = torch.amp.GradScaler(device, enabled=precise == torch.float16)
    return ModelState(members, losses, *made, rows, scaler)


def train_epoch(state: ModelState, settings: Settings, epoch: int, device: torch.device) -> dict[str, float]:
    """Train for one epoch and return the mean of each loss term.

    Raises:
        RunError: a loss is not finite.
    """
    for member in state.members:
        member.assessor.train()
        if settings.freeze_norm:
            _freeze_norm(member.assessor.live)
        member.assessor.begin_epoch(epoch)
    seeds = [member.seed * 1_000_003 + epoch for member in state.members]
    # One generator for order and augmentation, the same in all processes; the global one for dropout and the methods,
    # different in each process.
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    torch.manual_seed(seeds[0] + 7919 * processes.rank())
    own = list(zip(state.members, generators, strict=True))
    batches = list(zip(*(_batches(one.train, settings, g, state.rows) for one, g in own), strict=True))
    told: Sequence[Sequence[PairRows]] = [()] * len(batches)
    if all(one.pairs for one in state.members):
        told = list(zip(*(_pairs(one.pairs, len(batches), settings, g) for one, g in own if one.pairs), strict=True))
    # Read back once, since reading waits for the device. In one block: a small tensor for each step would lie between
    # the large ones of its neighbours, and keep their memory in pieces.
    taken: defaultdict[str, Tensor] = defaultdict(partial(torch.zeros, len(batches), dtype=torch.double, device=device))
    with closing(_read(state, batches, told, generators[0], device)) as steps:
        for number, (batch, pairs, weight) in enumerate(steps, start=1):
            terms = {name: weight * term for name, term in state.losses(batch, pairs).items()}
            state.scaler.scale(torch.stack(list(terms.values())).sum() / settings.accumulate).backward()
            if number % settings.accumulate == 0 or number == len(batches):
                state.step(settings.clip_norm)
            for name, term in terms.items():
                taken[name][number - 1] = term.detach().mean()
    sums = {name: float(values.sum()) for name, values in taken.items()}
    means = distributed.mean({name: value / len(batches) for name, value in sums.items()})
    if not all(map(math.isfinite, means.values())):
        raise RunError(_diverged(epoch, means))
    return means


def _read(
    state: ModelState,
    batches: Sequence[Sequence[Tensor]],
    told: Sequence[Sequence[PairRows]],
    generator: torch.Generator,
    device: torch.device,
) -> Generator[tuple[Batch, PairBatch | None, float], None, None]:
    """Yield rows and pairs of each step, on the device, and the weight of the rows' mean in the mean over processes."""
    if isinstance(state.losses, Stacked):
        sources = [cast(CachedFeatures, member.train) for member in state.members]
        wanted = (
            rows
            for indices, chosen in zip(batches, told, strict=True)
            for rows in (indices, [pairs.videos for pairs in chosen])[: 2 if chosen else 1]
        )
        reads = (partial(joint_batch, sources, rows) for rows in wanted)
        with closing(in_advance(reads, sources[0].ahead, device)) as read:
            for chosen in told:
                batch = next(read)
                yield batch, PairBatch.of(next(read), chosen) if chosen else None, 1.0
        return
    parts, weights = zip(*(distributed.shard(indices[0]) for indices in batches), strict=True)
    own = [[pairs.select(slice(processes.rank(), None, processes.size())) for pairs in chosen] for chosen in told]
    rows = [torch.cat([part, *(pairs.videos for pairs in chosen)]) for part, chosen in zip(parts, own, strict=True)]
    with closing(read_batches(state.members[0].train, rows, device, generator)) as read:
        for batch, part, chosen, weight in zip(read, parts, own, weights, strict=True):
            yield *(_parted(batch, len(part), chosen, weight) if chosen else (batch, None)), weight


def _parted(batch: Batch, count: int, chosen: Sequence[PairRows], weight: float) -> tuple[Batch, PairBatch]:
    """Part the first rows of a step from its pairs, whose mean has the same weight in all processes."""
    rows = torch.arange(len(batch), device=batch.score.device)
    pairs = PairBatch.of(batch.select(rows[count:]), chosen)
    return batch.select(rows[:count]), pairs.times(1 / weight if weight else 1.0)


def _pairs(pairs: PairRows, steps: int, settings: Settings, generator: torch.Generator) -> list[PairRows]:
    """Return the pairs of each step of one epoch, as many in each."""
    size = settings.batch_size * processes.size()
    drawn = _cycle(torch.arange(len(pairs)), steps * size, generator)
    return [pairs.select(numbers) for numbers in drawn.split(size)]


def _batches(train: BatchSource, settings: Settings, generator: torch.Generator, rows: int = 0) -> Iterator[Tensor]:
    """Yield the batch indices of one epoch: of equal size, and with as many labelled ones for each process.

    If all samples are labelled, or none is, at least ``rows`` are drawn, some of them twice.
    """
    known = has_score(train)
    size = settings.batch_size * processes.size()
    groups = [g for g in (known.nonzero().squeeze(1), (~known).nonzero().squeeze(1)) if len(g)]
    if len(groups) == 1:
        order = _cycle(groups[0], max(rows, len(groups[0])), generator)
        yield from order.tensor_split(-(-len(order) // size))
        return
    labelled = max(1, round(settings.labelled_share * settings.batch_size))
    sizes = [processes.size() * count for count in (labelled, max(1, settings.batch_size - labelled))]
    count = max(-(-len(g) // s) for g, s in zip(groups, sizes, strict=True))
    drawn = [_cycle(g, count * s, generator).split(s) for g, s in zip(groups, sizes, strict=True)]
    yield from (torch.cat(parts) for parts in zip(*drawn, strict=True))


def _cycle(index: Tensor, count: int, generator: torch.Generator) -> Tensor:
    rounds = -(-count // len(index))
    return torch.cat([index[torch.randperm(len(index), generator=generator)] for _ in range(rounds)])[:count]


def _freeze_norm(live: nn.Module) -> None:
    for module in live.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def _diverged(epoch: int, losses: Mapping[str, float]) -> str:
    values = ", ".join(f"{name} {value:.4g}" for name, value in losses.items())
    return f"training diverged in epoch {epoch + 1} ({values}); lower the learning rate or check the features"
