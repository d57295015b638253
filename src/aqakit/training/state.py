"""Training state: everything that changes during training, and the file from which a killed run resumes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from aqakit.errors import RunError
from aqakit.scores.distributions import ScoreDistribution, restore
from aqakit.system import tensors as storage
from aqakit.system.tensors import DamagedError
from aqakit.training.assessor import Assessor
from aqakit.training.batches import BatchSource
from aqakit.training.comparisons import PairRows
from aqakit.training.stacked import Stacked

RESUME_FILE = "resume.safetensors"


@dataclass
class History:
    """Losses of every epoch, and predictions of those after which the model was evaluated.

    Attributes:
        losses: mean of each named loss term over members, by epoch.
        epochs: which epochs were evaluated, counted from 0.
        predictions: predicted distributions after each of these, for each watched split, and of the training samples by
            the members that did not see them (``held-out``).
        answers: the answers of each member to each watched split, in the selected epoch.
        best: epoch whose weights the run keeps, counted from 0.
        notes: what a reader must know of how the epoch was selected.
    """

    losses: list[dict[str, float]] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    predictions: dict[str, list[ScoreDistribution]] = field(default_factory=dict)
    answers: dict[str, list[ScoreDistribution]] = field(default_factory=dict)
    best: int = -1
    notes: list[str] = field(default_factory=list)

    def kept(self) -> dict[str, ScoreDistribution]:
        """Return the predictions after the epoch whose weights the run keeps, for each split."""
        number = self.epochs.index(self.best)
        return {name: distributions[number] for name, distributions in self.predictions.items()}


@dataclass(frozen=True)
class Member:
    """A model, what it is trained on, and what it is not shown.

    Attributes:
        assessor: the model to train.
        train: its training samples, labelled and unlabelled.
        held_out: labelled samples that the other members are trained on; None for a single member.
        seed: of its batches and of everything random in it.
        pairs: pairs of its training samples; None if there are none.
    """

    assessor: Assessor
    train: BatchSource
    held_out: BatchSource | None = None
    seed: int = 0
    pairs: PairRows | None = None


@dataclass
class ModelState:
    """One member with its optimiser, or several that are trained as one.

    Attributes:
        members: one member, or those that are stacked.
        losses: the module that is called in training: it returns the loss terms of a batch, (K,) of K stacked members.
        optimizer: of the weights of ``losses``.
        scheduler: its schedule.
        rows: labelled samples that a member is trained on in an epoch, the same for all members of a run.
        scaler: keeps gradients in the range of float16; it does nothing at other precisions.
    """

    members: Sequence[Member]
    losses: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    rows: int
    scaler: torch.amp.GradScaler = field(default_factory=lambda: torch.amp.GradScaler("cpu", enabled=False))

    def step(self, clip_norm: float | None) -> None:
        """Take one step of the optimiser and its schedule with the accumulated gradients."""
        self.scaler.unscale_(self.optimizer)
        if clip_norm is not None and isinstance(self.losses, Stacked):
            self.losses.clip_gradients(clip_norm)
        elif clip_norm is not None:
            nn.utils.clip_grad_norm_(self.losses.parameters(), clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs."""
        return {
            "models": [member.assessor.state_dict() for member in self.members],
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def load_state_dict(self, stored: dict[str, Any]) -> None:
        """Restore the result of :meth:`state_dict`."""
        for member, values in zip(self.members, stored["models"], strict=True):
            member.assessor.load_state_dict(values)
        self.optimizer.load_state_dict(stored["optimizer"])
        self.scheduler.load_state_dict(stored["scheduler"])
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(stored["scaler"])


@dataclass
class TrainingState:
    """All members and their history, saved in one file so that they always belong to the same epoch."""

    states: Sequence[ModelState]
    history: History
    fingerprint: str
    best_value: tuple[float, ...] | None = None
    best_weights: list[dict[str, Tensor]] | None = None

    def stale(self) -> int:
        """Number of epochs from the best one to the last one that was evaluated; −1 before the first."""
        return self.history.epochs[-1] - self.history.best if self.history.epochs else -1

    def keep_best(self, value: tuple[float, ...] | None, epoch: int) -> None:
        """Keep the weights of an epoch if its value is the highest so far; without values, those of the last epoch."""
        if value is None:
            self.history.best = epoch
        elif self.best_value is None or value > self.best_value:
            self.best_value, self.history.best = value, epoch
            self.best_weights = [
                {n: t.detach().cpu().clone() for n, t in model.state_dict().items()} for model in self._models()
            ]

    def restore_best(self) -> None:
        """Load the weights of the best epoch."""
        for model, weights in zip(self._models(), self.best_weights or ()):
            model.load_state_dict(weights)

    def save(self, file: Path, epoch: int) -> None:
        """Save a checkpoint after an epoch."""
        state = {
            "fingerprint": self.fingerprint,
            "epoch": epoch,
            "states": [state.state_dict() for state in self.states],
            "losses": self.history.losses,
            "evaluated": self.history.epochs,
            "predictions": {n: [(d.kind, d.tensors()) for d in ds] for n, ds in self.history.predictions.items()},
            "best": (self.history.best, self.best_value, self.best_weights),
        }
        tensors: list[Tensor] = []
        text = json.dumps(storage.flatten(state, tensors))
        storage.save(file, {str(number): tensor for number, tensor in enumerate(tensors)}, {"state": text})

    def load(self, file: Path) -> int:
        """Load a checkpoint if there is one, and return the number of the next epoch.

        Raises:
            RunError: it cannot be read, is damaged, or of another run.
        """
        try:
            found, header = storage.load(file, required=True)
            # In memory of their own, aligned as those of a run that was not stopped: some kernels round by alignment.
            tensors = [found[str(number)].clone() for number in range(len(found))]
            state = storage.unflatten(json.loads(header["state"]), tensors)
            fingerprint = state["fingerprint"]
        except FileNotFoundError:
            return 0
        except OSError as error:  # it is there, but may not be read
            raise RunError(f"{file}: {error.strerror or error}") from None
        except (DamagedError, ValueError, LookupError, TypeError) as error:
            raise RunError(
                f"{file}: this checkpoint is damaged ({storage.reason(error)}); delete it to start again"
            ) from None
        if fingerprint != self.fingerprint:
            raise RunError(f"{file}: belongs to a run with other settings or data; choose another folder or delete it")
        self._restore(state)
        return int(state["epoch"]) + 1

    def _restore(self, state: dict[str, Any]) -> None:
        for own, stored in zip(self.states, state["states"], strict=True):
            own.load_state_dict(stored)
        found = state["predictions"].items()
        self.history.predictions = {n: [restore(kind, t) for kind, t in ds] for n, ds in found}
        self.history.losses, self.history.epochs = state["losses"], state["evaluated"]
        self.history.best, self.best_value, self.best_weights = state["best"]

    def _models(self) -> list[Assessor]:
        return [member.assessor for state in self.states for member in state.members]
