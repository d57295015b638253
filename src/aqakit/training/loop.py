"""The training loop: seeding, batches with a fixed labelled share, steps, predictions of every epoch, checkpoints.

The model never sees the scores of a watched split: labels are removed before predicting, and only the predictions of
each epoch are stored. Which epoch to report is decided afterwards, by a named rule of
:mod:`aqakit.evaluation.selection`.

Every epoch draws from generators seeded by (seed, epoch), so a killed run that resumes from its last checkpoint gives
bit-identical results. Under ``torchrun``, several processes train together: each takes its share of every batch, and N
processes with batch size b take the same steps as one process with batch size N b.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import torch

from aqakit.errors import RunError, TimeLimitError
from aqakit.methods.parts.base import Method
from aqakit.scores.distributions import ScoreDistribution, mixture
from aqakit.system import distributed, processes
from aqakit.system.allocator import keep_freed_memory
from aqakit.training.assessor import Assessor
from aqakit.training.batches import BatchSource, read_batches, scores_of
from aqakit.training.ensemble import Ensemble
from aqakit.training.epoch import make_states, train_epoch
from aqakit.training.selecting import held_out_value, is_off_scale, validation_value
from aqakit.training.settings import Settings, device_of
from aqakit.training.stacked import Stacked
from aqakit.training.state import RESUME_FILE, History, Member, TrainingState
from aqakit.types import Batch, Description, ScoreScale

_SECONDS_BETWEEN_CHECKPOINTS = 10.0
_SECONDS_TO_WRITE = 1 / 3
"""What takes longer to write is written as much more rarely: checkpoints take no more than a thirtieth of the time."""

_LARGEST = 2**30, 2**23
"""Bytes of the largest block of memory to keep, without and with features in a file: a step of the latter stays below,
and what is predicted at once is above, of which there is as much as there are features."""


def fit(
    members: Sequence[Member],
    watched: Mapping[str, BatchSource],
    settings: Settings,
    *,
    scale: ScoreScale | None = None,
    folder: Path | None = None,
    fingerprint: str = "",
    report: Callable[[int, dict[str, float]], None] = lambda epoch, losses: None,
    time_limit: float | None = None,
) -> History:
    """Train the members of a run in place, epoch by epoch together, and return losses and predictions.

    Args:
        members: one model or several; they hold the weights of the selected epoch, common to all, afterwards.
        watched: splits to predict after each epoch, or every few; ``validation``, if present, may select the epoch.
        settings: the options of the loop.
        scale: of the scores; training that leaves it is stopped.
        folder: folder for checkpoints; None for no checkpoints.
        fingerprint: hash of everything that defines this run; a checkpoint of another run is refused.
        report: called after each epoch with its number and losses.
        time_limit: seconds after which training stops, at the end of an epoch, with a checkpoint in the folder.

    Raises:
        TimeLimitError: the time was over before the last epoch.
        RunError: training diverged.
    """
    keep_freed_memory(_LARGEST[any(member.train.ahead and not member.assessor.live for member in members)])
    device = device_of(settings.device)
    deadline = math.inf if time_limit is None else time.monotonic() + time_limit
    for member in members:
        member.assessor.to(device)
        _remember(member.assessor, member.train, device)
    history = History(predictions={name: [] for name in _predicted(members, watched)})
    if not any(p.requires_grad for p in members[0].assessor.parameters()):
        _predict_all(history, members, watched, device, 0)
        history.best = 0
    else:
        state = TrainingState(make_states(members, settings), history, fingerprint)
        if settings.compile:
            _compile(members)
        with _tf32(settings.tf32):
            _train(state, members, watched, settings, scale, folder, report, device, deadline)
    history.answers = {n: [predict(one.assessor, s, device) for one in members] for n, s in watched.items()}
    return history


def _train(
    state: TrainingState,
    members: Sequence[Member],
    watched: Mapping[str, BatchSource],
    settings: Settings,
    scale: ScoreScale | None,
    folder: Path | None,
    report: Callable[[int, dict[str, float]], None],
    device: torch.device,
    deadline: float,
) -> None:
    history, start = state.history, state.load(folder / RESUME_FILE) if folder else 0
    for member in members:
        distributed.broadcast(member.assessor.state_dict().values())
    saved, longer = time.monotonic(), 1.0
    for epoch in range(start, settings.epochs):
        if settings.patience and state.stale() >= settings.patience:
            history.notes.append(f"stopped after epoch {epoch}: {settings.patience} epochs in a row were no better")
            break
        history.losses.append(_mean([train_epoch(one, settings, epoch, device) for one in state.states]))
        _settle(members, device)
        if settings.evaluates(epoch):
            _predict_all(history, members, watched, device, epoch)
            _check_scale(history, scale, epoch)
            state.keep_best(_value(history, members, watched, settings), epoch)
        report(epoch, history.losses[-1])
        over = epoch + 1 < settings.epochs and distributed.any_of(time.monotonic() > deadline)
        began = time.monotonic()
        due = over or began - saved > longer * _SECONDS_BETWEEN_CHECKPOINTS
        if folder and due and processes.is_first():
            state.save(folder / RESUME_FILE, epoch)
            saved = time.monotonic()
            longer = max(1.0, (saved - began) / _SECONDS_TO_WRITE)
        _check_time(over, epoch, settings)
    state.restore_best()
    for one in state.states:
        if isinstance(one.losses, Stacked):
            one.losses.separate()
    history.notes += _notes(state, settings)


def _check_time(over: bool, epoch: int, settings: Settings) -> None:
    if over:
        where = f"after epoch {epoch + 1} of {settings.epochs}"
        raise TimeLimitError(f"the time limit was reached {where}; the same command goes on there")


def _settle(members: Sequence[Member], device: torch.device) -> None:
    """Bring what depends on a live backbone up to date: its features have changed."""
    for member in members:
        if member.assessor.live:
            distributed.broadcast(member.assessor.live.buffers())
            _remember(member.assessor, member.train, device)


def _compile(members: Sequence[Member]) -> None:
    for member in members:
        for backbone in member.assessor.live.values():
            backbone.compile(dynamic=False)  # else a smaller last batch changes the kernels of the batches after it


@contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    """Let the GPU round the factors of matrix products to 10 bits, meanwhile; it does so in convolutions anyway."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if allowed else before)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _predicted(members: Sequence[Member], watched: Mapping[str, BatchSource]) -> list[str]:
    return ["held-out"] * (members[0].held_out is not None) + list(watched)


def _predict_all(
    history: History, members: Sequence[Member], watched: Mapping[str, BatchSource], device: torch.device, epoch: int
) -> None:
    history.epochs.append(epoch)
    held_out = [predict(one.assessor, one.held_out, device) for one in members if one.held_out is not None]
    if held_out:
        history.predictions["held-out"].append(type(held_out[0]).cat(held_out))
    for name, source in watched.items():
        answers = [predict(one.assessor, source, device) for one in members]
        history.predictions[name].append(mixture(answers))


def _value(
    history: History, members: Sequence[Member], watched: Mapping[str, BatchSource], settings: Settings
) -> tuple[float, ...] | None:
    """How good the last epoch is, by the rule that selects one; None if the last epoch is kept."""
    if settings.select == "best-validation" and "validation" in watched:
        return validation_value(history.predictions["validation"][-1], scores_of([watched["validation"]]))
    sources = [one.held_out for one in members if one.held_out is not None]
    if settings.select == "held-out" and sources:
        return held_out_value(history.predictions["held-out"][-1], scores_of(sources))
    return None


def _check_scale(history: History, scale: ScoreScale | None, epoch: int) -> None:
    for name, answers in history.predictions.items():
        if scale and is_off_scale(answers[-1], scale.low, scale.high):
            mean = float(answers[-1].mean.median())
            raise RunError(
                f"training diverged in epoch {epoch + 1}: predictions on {name} are around {mean:.4g} on a scale of "
                f"{scale.low:g} to {scale.high:g}; lower the learning rate or check the features"
            )


def _notes(state: TrainingState, settings: Settings) -> list[str]:
    notes = []
    if settings.select == "best-validation" and state.best_value and state.best_value[0] == -math.inf:
        notes.append("no epoch ranked the validation samples; the epoch with the lowest validation CRPS was kept")
    total = [sum(terms.values()) for terms in state.history.losses]
    half, quarter = len(total) // 2, max(1, len(total) // 4)
    if len(total) >= 8 and sum(total[-quarter:]) / quarter > max(total[half - quarter : half]):
        notes.append("the training loss rose over the last half of the epochs: lower the learning rate")
    return notes


def _mean(terms: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: sum(one.get(name, 0.0) for one in terms) / len(terms) for name in terms[0]}


@torch.inference_mode()
def predict(assessor: Assessor, source: BatchSource, device: torch.device) -> ScoreDistribution:
    """Predict the distribution of every sample of a source, on the CPU; the source's labels are removed first."""
    assessor.eval()
    chunks = torch.arange(len(source)).split(source.at_once)
    own = chunks[processes.rank() :: processes.size()]
    with closing(read_batches(source, own, device)) as batches:
        made = [assessor.predict(batch.unlabelled()).to("cpu") for batch in batches]
    parts = distributed.all_gather(made)
    return type(parts[0]).cat(parts)


@torch.inference_mode()
def describe(assessor: Assessor | Ensemble, source: BatchSource, device: torch.device) -> Description:
    """Predict the attributes and captions of every sample of a source, on the CPU."""
    if type(assessor.method).describe is Method.describe:
        return Description()  # empty; no video needs to be read for it
    assessor.eval()
    chunks = torch.arange(len(source)).split(source.at_once)
    with closing(read_batches(source, chunks, device)) as batches:
        said = Description.cat([assessor.describe(batch.unlabelled()) for batch in batches])
    attributes = {name: value.cpu() for name, value in said.attributes.items()}
    return Description(attributes, said.captions, said.boundaries.cpu())


def _remember(assessor: Assessor, train: BatchSource, device: torch.device) -> None:
    """Fit the standardisation, and fill the memory of a method that has one, from the training set only."""
    if assessor.scaling.names:
        chunks = torch.arange(len(train)).split(train.at_once)
        with closing(read_batches(train, chunks, device)) as batches:
            assessor.fit_scaling(batches)
    if type(assessor.method).remember is not Method.remember:
        everything = _embedded(assessor.eval(), train, device)
        all_of_it = assessor.method.remembers_unlabelled
        assessor.remember(everything if all_of_it else everything.labelled_rows())


@torch.no_grad()
def _embedded(assessor: Assessor, source: BatchSource, device: torch.device) -> Batch:
    """Return all samples of a source with their features; live features are computed a few videos at a time."""
    if not assessor.live:
        return source.all_rows.to(device)
    chunks = torch.arange(len(source)).split(source.at_once)
    with closing(read_batches(source, chunks, device)) as batches:
        return Batch.cat([assessor.embed(batch) for batch in batches])
