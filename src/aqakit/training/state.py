"""Training state: everything that changes during training, and the file from which a killed run resumes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from aqakit.errors import RunError
from aqakit.metrics.accuracy import spearman
from aqakit.scores.distributions import ScoreDistribution, restore
from aqakit.system.files import atomic_path
from aqakit.training.assessor import Assessor
from aqakit.training.batches import BatchSource
from aqakit.training.settings import Settings

RESUME_FILE = "optimizer.pt"


@dataclass
class History:
    """Losses and predictions of every epoch.

    Attributes:
        losses: mean of each named loss term, by epoch.
        predictions: predicted distributions by epoch, for each watched split.
        best: epoch whose weights the run keeps, counted from 0.
    """

    losses: list[dict[str, float]] = field(default_factory=list)
    predictions: dict[str, list[ScoreDistribution]] = field(default_factory=dict)
    best: int = -1


@dataclass
class TrainingState:
    """Weights, optimiser and history, saved in one file so that they always belong to the same epoch."""

    assessor: Assessor
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    history: History
    fingerprint: str
    best_value: float = -float("inf")
    best_weights: dict[str, Tensor] | None = None

    def step(self, clip_norm: float | None) -> None:
        """Take one step of the optimiser and its schedule with the accumulated gradients."""
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(self.assessor.parameters(), clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.scheduler.step()

    def keep_best(self, validation: BatchSource | None, settings: Settings, epoch: int) -> None:
        """Keep the weights of the epoch that ranks the validation samples best, or else those of the last epoch."""
        if settings.select == "last" or validation is None:
            self.history.best = epoch
            return
        true = torch.tensor([s.score for s in validation.samples])
        value = float(spearman(true.numpy(), self.history.predictions["validation"][-1].mean.numpy()))
        if value > self.best_value:
            self.best_value, self.history.best = value, epoch
            self.best_weights = {n: t.detach().cpu().clone() for n, t in self.assessor.state_dict().items()}

    def restore_best(self) -> None:
        """Load the weights of the best epoch."""
        if self.best_weights is not None:
            self.assessor.load_state_dict(self.best_weights)

    def save(self, file: Path, epoch: int) -> None:
        """Save a checkpoint after an epoch."""
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
        with atomic_path(file) as temporary:
            torch.save(state, temporary)

    def load(self, file: Path) -> int:
        """Load a checkpoint if there is one, and return the number of the next epoch."""
        if not file.exists():
            return 0
        try:
            state = torch.load(file, weights_only=True)
        except Exception as error:  # torch raises many kinds for a damaged file
            raise RunError(
                f"{file}: this checkpoint is damaged ({type(error).__name__}); delete it to start again"
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
