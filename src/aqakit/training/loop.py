"""The training loop: seeding, batches with a fixed labelled share, steps, predictions of every epoch, checkpoints.

The model never sees the scores of a watched split: labels are removed before predicting, and only the predictions of
each epoch are stored. Which epoch to report is decided afterwards, by a named rule of
:mod:`aqakit.evaluation.selection`.

Every epoch draws from generators seeded by (seed, epoch), so a killed run that resumes from its last checkpoint gives
bit-identical results. Under ``torchrun``, several processes train together: each takes its share of every batch, and N
processes with batch size b take the same steps as one process with batch size N b.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from aqakit.errors import RunError
from aqakit.methods.parts.base import Method
from aqakit.scores.distributions import ScoreDistribution
from aqakit.system import distributed, processes
from aqakit.training.assessor import Assessor
from aqakit.training.batches import BatchSource, has_score
from aqakit.training.optimizer import make_optimizer
from aqakit.training.settings import Settings, device_of
from aqakit.training.state import RESUME_FILE, History, TrainingState
from aqakit.types import Batch, Description

_SECONDS_BETWEEN_CHECKPOINTS = 10.0
_VIDEOS_AT_ONCE = 32


def fit(
    assessor: Assessor,
    train: BatchSource,
    watched: Mapping[str, BatchSource],
    settings: Settings,
    *,
    folder: Path | None = None,
    fingerprint: str = "",
    report: Callable[[int, dict[str, float]], None] = lambda epoch, losses: None,
) -> History:
    """Train an assessor in place and return the predictions of every epoch.

    Args:
        assessor: the model to train; it holds the selected weights afterwards.
        train: the training samples, labelled and unlabelled.
        watched: splits to predict after each epoch; ``validation``, if present, may select the epoch.
        settings: the options of the loop.
        folder: folder for checkpoints; None for no checkpoints.
        fingerprint: hash of everything that defines this run; a checkpoint of another run is refused.
        report: called after each epoch with its number and losses.
    """
    device = device_of(settings.device)
    assessor.to(device)
    _remember(assessor, train, device)
    if not any(p.requires_grad for p in assessor.parameters()):
        return _without_epochs(assessor, watched, device)
    optimizer, scheduler = make_optimizer(assessor, settings, _steps(train, settings))
    state = TrainingState(
        assessor, optimizer, scheduler, History(predictions={name: [] for name in watched}), fingerprint
    )
    start = state.load(folder / RESUME_FILE) if folder else 0
    distributed.broadcast(assessor.state_dict().values())
    model = distributed.data_parallel(_Losses(assessor))
    saved = time.monotonic()
    for epoch in range(start, settings.epochs):
        state.history.losses.append(_epoch(state, model, train, settings, epoch, device))
        if assessor.live:  # its features have changed
            distributed.broadcast(assessor.live.buffers())
            _remember(assessor, train, device)
        for name, source in watched.items():
            state.history.predictions[name].append(predict(assessor, source, device))
        state.keep_best(watched.get("validation"), settings, epoch)
        report(epoch, state.history.losses[-1])
        if folder and processes.is_first() and time.monotonic() - saved > _SECONDS_BETWEEN_CHECKPOINTS:
            state.save(folder / RESUME_FILE, epoch)
            saved = time.monotonic()
    state.restore_best()
    return state.history


@torch.inference_mode()
def predict(assessor: Assessor, source: BatchSource, device: torch.device) -> ScoreDistribution:
    """Predict the distribution of every sample of a source, on the CPU; the source's labels are removed first."""
    assessor.eval()
    chunks = torch.arange(len(source)).split(_VIDEOS_AT_ONCE)
    own = chunks[processes.rank() :: processes.size()]
    made = [assessor.predict(source.batch(index).unlabelled().to(device)).to("cpu") for index in own]
    parts = distributed.all_gather(made)
    return type(parts[0]).cat(parts)


@torch.inference_mode()
def describe(assessor: Assessor, source: BatchSource, device: torch.device) -> Description:
    """Predict the attributes and captions of every sample of a source, on the CPU."""
    if type(assessor.method).describe is Method.describe:
        return Description()  # empty; no video needs to be read for it
    assessor.eval()
    chunks = torch.arange(len(source)).split(_VIDEOS_AT_ONCE)
    said = Description.cat([assessor.describe(source.batch(index).unlabelled().to(device)) for index in chunks])
    return Description({name: value.cpu() for name, value in said.attributes.items()}, said.captions)


class _Losses(nn.Module):
    """An assessor whose ``forward`` returns its losses, since data-parallel training synchronises ``forward``."""

    def __init__(self, assessor: Assessor) -> None:
        super().__init__()
        self.assessor = assessor

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return self.assessor.losses(batch)


def _epoch(
    state: TrainingState, model: nn.Module, train: BatchSource, settings: Settings, epoch: int, device: torch.device
) -> dict[str, float]:
    assessor = state.assessor.train()
    if settings.freeze_norm:
        _freeze_norm(assessor.live)
    assessor.begin_epoch(epoch)
    # One random generator for order and augmentation, the same in all processes; the global one for dropout and the
    # methods, different in each process.
    generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + epoch)
    torch.manual_seed(settings.seed * 1_000_003 + epoch + 7919 * processes.rank())
    totals: dict[str, float] = {}
    batches = list(_batches(train, settings, generator))
    for number, index in enumerate(batches, start=1):
        part, weight = distributed.shard(index)
        terms = {n: weight * term for n, term in model(train.batch(part, generator).to(device)).items()}
        loss = torch.stack(list(terms.values())).sum()
        if not bool(loss.isfinite()):
            raise RunError(_diverged(epoch, terms))
        (loss / settings.accumulate).backward()
        if number % settings.accumulate == 0 or number == len(batches):
            state.step(settings.clip_norm)
        for name, term in terms.items():
            totals[name] = totals.get(name, 0.0) + term.item() / len(batches)
    return distributed.mean(totals)


def _batches(train: BatchSource, settings: Settings, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield the batch indices of one epoch: of equal size, with a fixed labelled share if some are unlabelled."""
    known = has_score(train)
    size = settings.batch_size * processes.size()
    groups = [g for g in (known.nonzero().squeeze(1), (~known).nonzero().squeeze(1)) if len(g)]
    if len(groups) == 1:
        order = groups[0][torch.randperm(len(groups[0]), generator=generator)]
        yield from order.tensor_split(-(-len(order) // size))
        return
    labelled = max(1, round(settings.labelled_share * size))
    sizes = [labelled, max(1, size - labelled)]
    count = max(-(-len(g) // s) for g, s in zip(groups, sizes, strict=True))
    drawn = [_cycle(g, count * s, generator).split(s) for g, s in zip(groups, sizes, strict=True)]
    yield from (torch.cat(parts) for parts in zip(*drawn, strict=True))


def _cycle(index: Tensor, count: int, generator: torch.Generator) -> Tensor:
    rounds = -(-count // len(index))
    return torch.cat([index[torch.randperm(len(index), generator=generator)] for _ in range(rounds)])[:count]


def _steps(train: BatchSource, settings: Settings) -> int:
    batches = len(list(_batches(train, settings, torch.Generator().manual_seed(0))))
    return settings.epochs * -(-batches // settings.accumulate)


def _remember(assessor: Assessor, train: BatchSource, device: torch.device) -> None:
    """Fit the standardisation, and fill the memory of a method that has one, from the training set only."""
    forgetful = type(assessor.method).remember is Method.remember
    if not assessor.scaling.names and forgetful:
        return
    everything = _embedded(assessor.eval(), train, device)
    assessor.fit_scaling(everything)
    if not forgetful:
        all_of_it = assessor.method.remembers_unlabelled
        assessor.remember(everything if all_of_it else everything.select(everything.labelled))


@torch.no_grad()
def _embedded(assessor: Assessor, source: BatchSource, device: torch.device) -> Batch:
    """Return all samples of a source with their features; live features are computed a few videos at a time."""
    if not assessor.live:
        return source.batch(torch.arange(len(source))).to(device)
    chunks = torch.arange(len(source)).split(_VIDEOS_AT_ONCE)
    return Batch.cat([assessor.embed(source.batch(index).to(device)) for index in chunks])


def _without_epochs(assessor: Assessor, watched: Mapping[str, BatchSource], device: torch.device) -> History:
    return History([], {n: [predict(assessor, s, device)] for n, s in watched.items()}, best=0)


def _freeze_norm(live: nn.Module) -> None:
    for module in live.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def _diverged(epoch: int, terms: Mapping[str, Tensor]) -> str:
    values = ", ".join(f"{name} {term.item():.4g}" for name, term in terms.items())
    return f"training diverged in epoch {epoch + 1} ({values}); lower the learning rate or check the features"
