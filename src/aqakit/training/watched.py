"""What a run folder holds of the samples that were watched in training: predictions by epoch, true scores, groups."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from aqakit.errors import RunError
from aqakit.scores.cross_conformal import CrossConformal
from aqakit.scores.distributions import ScoreDistribution
from aqakit.scores.recalibration import Recalibration
from aqakit.training import run_files


class Watched:
    """The watched splits of a run.

    Attributes:
        folder: the run folder.
        description: content of ``run.json``.
        recalibration: fitted on held-out samples; None if there were none.
    """

    folder: Path
    description: Mapping[str, Any]
    recalibration: Recalibration | CrossConformal | None

    def epochs(self, split: str) -> list[ScoreDistribution]:
        """Return the predictions after each evaluated epoch on a watched split, in the order of :meth:`truth`."""
        return list(self._by_epoch(split).values())

    def evaluated(self, split: str) -> list[int]:
        """Return the epochs, counted from 0, of :meth:`epochs`: all, or every few (``evaluate_every``)."""
        return list(self._by_epoch(split))

    def _by_epoch(self, split: str) -> dict[int, ScoreDistribution]:
        found = run_files.read_epochs(self.folder / run_files.EPOCHS, split)
        lengths = {len(one.mean) for one in found.values()}
        if lengths != {len(self.ids(split))} or self.description["epoch"] not in found:
            raise RunError(
                f"{self.folder}: {run_files.EPOCHS} and {run_files.PREDICTIONS} do not belong together; train again"
            )
        return found

    def splits(self) -> list[str]:
        """Return the names of the watched splits, in order: ``validation`` and ``test``, if they have samples."""
        return list(dict.fromkeys(row["split"] for row in self._rows()))

    def ids(self, split: str) -> list[str]:
        """Return the sample ids of a watched split."""
        return [row["id"] for row in self._rows() if row["split"] == split]

    def groups(self, split: str) -> list[str | None]:
        """Return the group of each sample of a watched split; None without one, and in runs of old versions."""
        return [row.get("group") or None for row in self._rows() if row["split"] == split]

    def truth(self, split: str) -> np.ndarray:
        """Return the (n,) true scores of a watched split, NaN where unknown."""
        return np.array([float(row["true"] or "nan") for row in self._rows() if row["split"] == split])

    def prediction(self, split: str, *, recalibrated: bool = False) -> ScoreDistribution:
        """Return the (n,) distributions of the selected epoch on a watched split."""
        answer = self._by_epoch(split)[self.description["epoch"]]
        if not recalibrated or not self.recalibration:
            return answer
        if isinstance(self.recalibration, CrossConformal):
            return run_files.read_distributions(self.folder / run_files.CALIBRATED).get(split, answer)
        return self.recalibration.apply(answer)

    def _rows(self) -> list[dict[str, str]]:
        return run_files.read_predictions(self.folder)
