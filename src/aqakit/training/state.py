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

RESUME_FILE = "resume.safetensors"


@dataclass
class History:
    """Losses and predictions of every epoch.

    Attributes:
        losses: mean of each named loss term over members, by epoch.
        predictions: predicted distributions by epoch, for each watched split, and of the training samples by the
            members that did not see them (``held-out``).
        answers: the answers of each member to each watched split, in the selected epoch.
        best: epoch whose weights the run keeps, counted from 0.
        notes: what a reader must know of how the epoch was selected.
    """

    losses: list[dict[str, float]] = field(default_factory=list)
    predictions: dict[str, list[ScoreDistribution]] = field(default_factory=dict)
    answers: dict[str, list[ScoreDistribution]] = field(default_factory=dict)
    best: int = -1
    notes: list[str] = field(default_factory=list)


@dataclass
class MemberState:
    """One model with its optimiser."""

    assessor: Assessor
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler

    def step(self, clip_norm: float | None) -> None:
        """Take one step of the optimiser and its schedule with the accumulated gradients."""
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(self.assessor.parameters(), clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs."""
        return {
            "assessor": self.assessor.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
        }

    def load_state_dict(self, stored: dict[str, Any]) -> None:
        """Restore the result of :meth:`state_dict`."""
        self.assessor.load_state_dict(stored["assessor"])
        self.optimizer.load_state_dict(stored["optimizer"])
        self.scheduler.load_state_dict(stored["scheduler"])


@dataclass
class TrainingState:
    """All members and their history, saved in one file so that they always belong to the same epoch."""

    members: Sequence[MemberState]
    history: History
    fingerprint: str
    best_value: tuple[float, ...] | None = None
    best_weights: list[dict[str, Tensor]] | None = None

    def keep_best(self, value: tuple[float, ...] | None, epoch: int) -> None:
        """Keep the weights of an epoch if its value is the highest so far; without values, those of the last epoch."""
        if value is None:
            self.history.best = epoch
        elif self.best_value is None or value > self.best_value:
            self.best_value, self.history.best = value, epoch
            self.best_weights = [
                {n: t.detach().cpu().clone() for n, t in one.assessor.state_dict().items()} for one in self.members
            ]

    def restore_best(self) -> None:
        """Load the weights of the best epoch."""
        for member, weights in zip(self.members, self.best_weights or ()):
            member.assessor.load_state_dict(weights)

    def save(self, file: Path, epoch: int) -> None:
        """Save a checkpoint after an epoch."""
        state = {
            "fingerprint": self.fingerprint,
            "epoch": epoch,
            "members": [member.state_dict() for member in self.members],
            "losses": self.history.losses,
            "predictions": {n: [(d.kind, d.tensors()) for d in ds] for n, ds in self.history.predictions.items()},
            "best": (self.history.best, self.best_value, self.best_weights),
        }
        tensors: list[Tensor] = []
        text = json.dumps(storage.flatten(state, tensors))
        storage.save(file, {str(number): tensor for number, tensor in enumerate(tensors)}, {"state": text})

    def load(self, file: Path) -> int:
        """Load a checkpoint if there is one, and return the number of the next epoch.

        Raises:
            RunError: it is damaged, or of another run.
        """
        try:
            found, header = storage.load(file, required=True)
            tensors = [found[str(number)] for number in range(len(found))]
            state = storage.unflatten(json.loads(header["state"]), tensors)
            fingerprint = state["fingerprint"]
        except FileNotFoundError:
            return 0
        except (DamagedError, ValueError, LookupError, TypeError) as error:
            raise RunError(
                f"{file}: this checkpoint is damaged ({storage.reason(error)}); delete it to start again"
            ) from None
        if fingerprint != self.fingerprint:
            raise RunError(f"{file}: belongs to a run with other settings or data; choose another folder or delete it")
        self._restore(state)
        return int(state["epoch"]) + 1

    def _restore(self, state: dict[str, Any]) -> None:
        for member, stored in zip(self.members, state["members"], strict=True):
            member.load_state_dict(stored)
        found = state["predictions"].items()
        self.history.predictions = {n: [restore(kind, t) for kind, t in ds] for n, ds in found}
        self.history.losses = state["losses"]
        self.history.best, self.best_value, self.best_weights = state["best"]
