"""The loop: seed, batches with a fixed labelled share, step, predictions of every epoch, checkpoint.

Training never sees a score of a watched split: watched sources are handed over with their labels taken off, and what is
kept of them is predictions, epoch by epoch. Which epoch to believe is decided afterwards, by name, in
:mod:`aqakit.protocols`.

Every epoch draws from generators seeded by (seed, epoch), so a run that was killed resumes from its last checkpoint to
the same bits as one that was not. Started by ``torchrun``, several processes train together: each takes its share of
every batch, and N processes with batches of b take the steps of one with batches of N b.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from aqakit import distributed
from aqakit.assessor import Assessor
from aqakit.distributions import ScoreDistribution, restore
from aqakit.errors import OptionError, RunError
from aqakit.files import replacing
from aqakit.methods import Method
from aqakit.metrics.accuracy import spearman
from aqakit.sources import Source, has_score
from aqakit.types import Batch, Description

_RESUME = "optimizer.pt"
_SECONDS_BETWEEN_CHECKPOINTS = 10.0
_VIDEOS_AT_ONCE = 32


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The options of the loop, the same for every method and backbone."""

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


@dataclass
class History:
    """What every epoch left behind.

    Attributes:
        losses: mean of each named term, by epoch.
        predictions: for each watched split, its distributions by epoch.
        best: epoch whose weights the run keeps, counted from 0.
    """

    losses: list[dict[str, float]] = field(default_factory=list)
    predictions: dict[str, list[ScoreDistribution]] = field(default_factory=dict)
    best: int = -1


def fit(
    assessor: Assessor,
    train: Source,
    watched: Mapping[str, Source],
    settings: Settings,
    *,
    folder: Path | None = None,
    fingerprint: str = "",
    report: Callable[[int, dict[str, float]], None] = lambda epoch, losses: None,
) -> History:
    """Train in place and return what every epoch predicted.

    Args:
        assessor: what is trained; holds the selected weights afterwards.
        train: the training samples, labelled and unlabelled.
        watched: splits to predict after each epoch; ``validation``, if there, may select the epoch.
        settings: the options of the loop.
        folder: where checkpoints go; None for none.
        fingerprint: of everything that makes this run what it is; a checkpoint of another run is refused.
        report: called after each epoch with its number and losses.
    """
    device = device_of(settings.device)
    assessor.to(device)
    _remember(assessor, train, device)
    if not any(p.requires_grad for p in assessor.parameters()):
        return _without_epochs(assessor, watched, device)
    optimizer, scheduler = _optimizer(assessor, settings, _steps(train, settings))
    state = _State(assessor, optimizer, scheduler, History(predictions={name: [] for name in watched}), fingerprint)
    start = state.load(folder / _RESUME) if folder else 0
    distributed.from_first(assessor.state_dict().values())
    model = distributed.averaged(_Losses(assessor))
    saved = time.monotonic()
    for epoch in range(start, settings.epochs):
        state.history.losses.append(_epoch(state, model, train, settings, epoch, device))
        if assessor.live:  # its features have moved
            distributed.from_first(assessor.live.buffers())
            _remember(assessor, train, device)
        for name, source in watched.items():
            state.history.predictions[name].append(predict(assessor, source, device))
        state.keep_best(watched.get("validation"), settings, epoch)
        report(epoch, state.history.losses[-1])
        if folder and distributed.is_first() and time.monotonic() - saved > _SECONDS_BETWEEN_CHECKPOINTS:
            state.save(folder / _RESUME, epoch)
            saved = time.monotonic()
    state.restore_best()
    return state.history


@torch.inference_mode()
def predict(assessor: Assessor, source: Source, device: torch.device) -> ScoreDistribution:
    """Distributions of every sample of a source, on the CPU; the source's labels are taken off first."""
    assessor.eval()
    chunks = torch.arange(len(source)).split(_VIDEOS_AT_ONCE)
    own = chunks[distributed.rank() :: distributed.size()]
    made = [assessor.predict(source.batch(index).unlabelled().to(device)).to("cpu") for index in own]
    parts = distributed.in_turn(made)
    return type(parts[0]).cat(parts)


@torch.inference_mode()
def describe(assessor: Assessor, source: Source, device: torch.device) -> Description:
    """What else the method says of every sample of a source, on the CPU."""
    if type(assessor.method).describe is Method.describe:
        return Description()  # nothing, for which no video needs to be read
    assessor.eval()
    chunks = torch.arange(len(source)).split(_VIDEOS_AT_ONCE)
    said = Description.cat([assessor.describe(source.batch(index).unlabelled().to(device)) for index in chunks])
    return Description({name: value.cpu() for name, value in said.attributes.items()}, said.captions)


class _Losses(nn.Module):
    """An assessor whose ``forward`` is its losses, since that is where processes meet."""

    def __init__(self, assessor: Assessor) -> None:
        super().__init__()
        self.assessor = assessor

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return self.assessor.losses(batch)


def _epoch(
    state: _State, model: nn.Module, train: Source, settings: Settings, epoch: int, device: torch.device
) -> dict[str, float]:
    assessor = state.assessor.train()
    if settings.freeze_norm:
        _freeze_norm(assessor.live)
    assessor.begin_epoch(epoch)
    # one stream of random numbers for the order and augmentation, which processes share; the global one for dropout
    # and the methods, in which they differ
    generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + epoch)
    torch.manual_seed(settings.seed * 1_000_003 + epoch + 7919 * distributed.rank())
    totals: dict[str, float] = {}
    batches = list(_batches(train, settings, generator))
    for number, index in enumerate(batches, start=1):
        part, weight = distributed.share(index)
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


def _batches(train: Source, settings: Settings, generator: torch.Generator) -> Iterator[Tensor]:
    """Index tensors of one epoch: of equal size, and with a fixed labelled share where some are unlabelled."""
    known = has_score(train)
    size = settings.batch_size * distributed.size()
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


def _steps(train: Source, settings: Settings) -> int:
    batches = len(list(_batches(train, settings, torch.Generator().manual_seed(0))))
    return settings.epochs * -(-batches // settings.accumulate)


def _remember(assessor: Assessor, train: Source, device: torch.device) -> None:
    """Fit the scaling, and fill the memory of a method that has one, from the training set alone."""
    forgetful = type(assessor.method).remember is Method.remember
    if not assessor.scaling.names and forgetful:
        return
    everything = _embedded(assessor.eval(), train, device)
    assessor.fit_scaling(everything)
    if not forgetful:
        all_of_it = assessor.method.remembers_unlabelled
        assessor.remember(everything if all_of_it else everything.select(everything.labelled))


@torch.no_grad()
def _embedded(assessor: Assessor, source: Source, device: torch.device) -> Batch:
    """All samples of a source with their features, a few videos at a time where they are live."""
    if not assessor.live:
        return source.batch(torch.arange(len(source))).to(device)
    chunks = torch.arange(len(source)).split(_VIDEOS_AT_ONCE)
    return Batch.cat([assessor.embed(source.batch(index).to(device)) for index in chunks])


def _without_epochs(assessor: Assessor, watched: Mapping[str, Source], device: torch.device) -> History:
    return History([], {n: [predict(assessor, s, device)] for n, s in watched.items()}, best=0)


def _optimizer(
    assessor: Assessor, settings: Settings, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
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


@dataclass
class _State:
    """Everything that changes while training, and how it is saved: one file, so that it is never half of two epochs."""

    assessor: Assessor
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    history: History
    fingerprint: str
    best_value: float = -float("inf")
    best_weights: dict[str, Tensor] | None = None

    def step(self, clip_norm: float | None) -> None:
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(self.assessor.parameters(), clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.scheduler.step()

    def keep_best(self, validation: Source | None, settings: Settings, epoch: int) -> None:
        """Remember the weights of the epoch that ranks the validation samples best; of the last one otherwise."""
        if settings.select == "last" or validation is None:
            self.history.best = epoch
            return
        true = torch.tensor([s.score for s in validation.samples])
        value = float(spearman(true.numpy(), self.history.predictions["validation"][-1].mean.numpy()))
        if value > self.best_value:
            self.best_value, self.history.best = value, epoch
            self.best_weights = {n: t.detach().cpu().clone() for n, t in self.assessor.state_dict().items()}

    def restore_best(self) -> None:
        if self.best_weights is not None:
            self.assessor.load_state_dict(self.best_weights)

    def save(self, file: Path, epoch: int) -> None:
        state = {
            "fingerprint": self.fingerprint,
            "epoch": epoch,
            "assessor": self.assessor.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "losses": self.history.losses,
            "predictions": {n: [(d.kind, d.tensors()) for d in ds] for n, ds in self.history.predictions.items()},
            "best": (self.history.best, self.best_value, self.best_weights),
        }
        with replacing(file) as temporary:
            torch.save(state, temporary)

    def load(self, file: Path) -> int:
        """Go back to a checkpoint if there is one; the number of the epoch to begin with."""
        if not file.exists():
            return 0
        try:
            state = torch.load(file, weights_only=True)
        except Exception as error:  # torch raises many kinds for a damaged file
            raise RunError(
                f"{file}: this checkpoint is damaged ({type(error).__name__}); delete it to begin anew"
            ) from None
        if state["fingerprint"] != self.fingerprint:
            raise RunError(f"{file}: belongs to a run with other settings or data; choose another folder or delete it")
        self.assessor.load_state_dict(state["assessor"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        stored = state["predictions"].items()
        self.history.predictions = {n: [restore(kind, t) for kind, t in ds] for n, ds in stored}
        self.history.losses = state["losses"]
        self.history.best, self.best_value, self.best_weights = state["best"]
        return int(state["epoch"]) + 1


def _freeze_norm(live: nn.Module) -> None:
    for module in live.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def device_of(name: str) -> torch.device:
    """A device by its name in :class:`Settings`."""
    if name == "auto":
        return torch.device(distributed.device())
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA asserts
        raise OptionError(f"device {name!r} cannot be used here: {str(error).splitlines()[0]}") from None


def _diverged(epoch: int, terms: Mapping[str, Tensor]) -> str:
    values = ", ".join(f"{name} {term.item():.4g}" for name, term in terms.items())
    return f"training diverged in epoch {epoch + 1} ({values}); lower the learning rate or check the features"
