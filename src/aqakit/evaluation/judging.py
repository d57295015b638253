"""Judge predictions of the test samples of one task: by their scores, by pairs of them, or by both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aqakit.datasets.parts.pairs import among
from aqakit.evaluation import order
from aqakit.evaluation.finished_run import RANKS
from aqakit.metrics import comparison
from aqakit.metrics.accuracy import spearman, two_values
from aqakit.metrics.bootstrap import interval
from aqakit.metrics.summary import TWO_VALUES, average, evaluate
from aqakit.scores.distributions import ScoreDistribution
from aqakit.training import comparisons
from aqakit.training.data import PreparedData
from aqakit.types import Floats, Split

Rows = NDArray[np.int64]

COLUMNS = (
    "kendall", "pearson", "mae", "rmse", "relative_l2", "relative_l2_papers", "nll", "crps", "coverage_90", "width_90",
    "ece", "error_spread",
)  # fmt: skip
"""Metrics of the predictions of an honest rule; means over folds and seeds."""


@dataclass
class Judge:
    """Judges predictions of the test samples of some folds.

    Attributes:
        prepared: the data of the task.
        folds: the folds.
        number: seed of the bootstrap.
        draws: resampled Spearman of each label that was judged by scores.
    """

    prepared: PreparedData
    folds: Sequence[Split]
    number: int
    draws: dict[str, Floats] = field(default_factory=dict)

    @cached_property
    def score(self) -> Floats:
        """(n,) scores of all samples, NaN where unlabelled."""
        return np.array([np.nan if s.score is None else s.score for s in self.prepared.source.samples])

    @cached_property
    def values(self) -> tuple[float, float] | None:
        """The two values of the scores, if there are only two."""
        return two_values(self.score)

    @cached_property
    def ranked(self) -> bool:
        """Whether the test samples of every fold are judged by scores; else by pairs alone."""
        return not self.prepared.dataset.pairs or all(len(self.scored(fold.test)) > 1 for fold in self.folds)

    @property
    def columns(self) -> tuple[str, ...]:
        """The metrics of a row."""
        pairs = order.COLUMNS if self.prepared.dataset.pairs else ()
        return (*COLUMNS, *(TWO_VALUES if self.values else ()), *pairs)

    def rows(self, ids: Sequence[str]) -> Rows:
        """The rows of the readable samples among ``ids``, in that order."""
        where = {s.id: i for i, s in enumerate(self.prepared.source.samples)}
        return np.array([where[i] for i in ids if i in where], dtype=np.int64)

    def scored(self, ids: Sequence[str]) -> Rows:
        """The same of those with a score."""
        rows = self.rows(ids)
        return rows[~np.isnan(self.score[rows])]

    def tested(self, ids: Sequence[str]) -> Rows:
        """The same of those with a score or, if there are pairs, compared with another one."""
        compared = comparisons.compared(among(self.prepared.dataset.pairs, ids))
        samples = self.prepared.source.samples
        return np.array([i for i in self.rows(ids) if samples[i].score is not None or samples[i].id in compared])

    def rank(self, rows: Rows, predicted: Floats) -> Floats:
        """Spearman of predictions (…, n) of some rows, over those with a score; 0 if it is undefined."""
        known = ~np.isnan(self.score[rows])
        if known.sum() < 2:
            return np.zeros(predicted.shape[:-1])
        return np.nan_to_num(spearman(self.score[rows][known], predicted[..., known]))

    def judged(
        self,
        label: str,
        answers: Sequence[Sequence[ScoreDistribution]],
        tested: Sequence[Rows],
        *,
        units: bool = True,
    ) -> dict[str, Any]:
        """Return interval and metrics of predictions (seeds, folds); metrics are means over both.

        Args:
            label: of the draws.
            answers: for each seed and fold, the predictions.
            tested: the rows of the test samples of each fold.
            units: whether predictions are in units of the scores; else only ranks are compared.
        """
        told = self._in_order(answers, tested)
        if not self.ranked:
            return told
        known = [~np.isnan(self.score[rows]) for rows in tested]
        answers = [[a.select(torch.from_numpy(k)) for a, k in zip(row, known, strict=True)] for row in answers]
        found = self._measured(label, answers, [rows[k] for rows, k in zip(tested, known, strict=True)])
        kept = {"low", "high", *(self.columns if units else RANKS)}
        return {name: value for name, value in found.items() if name in kept and name != "spearman"} | told

    def _in_order(self, answers: Sequence[Sequence[ScoreDistribution]], tested: Sequence[Rows]) -> dict[str, Any]:
        """Return the columns of pairs; none without pairs."""
        samples, pairs, found = self.prepared.source.samples, self.prepared.dataset.pairs, []
        for by_fold in answers if pairs else ():
            own = zip(tested, by_fold, strict=True)
            score = [{samples[i].id: v for i, v in zip(rows, a.mean.tolist(), strict=True)} for rows, a in own]
            found += [one for one in [order.of_folds(score, pairs)] if one]
        return order.cells(order.mean(found)) if found else {}

    def _measured(
        self, label: str, answers: Sequence[Sequence[ScoreDistribution]], tested: Sequence[Rows]
    ) -> dict[str, Any]:
        score, samples = self.score, self.prepared.source.samples
        truths, groups = [score[rows] for rows in tested], [samples[i].group for rows in tested for i in rows]
        fold = np.concatenate([np.full(len(t), i) for i, t in enumerate(truths)])
        means = np.stack([np.concatenate([a.mean.numpy() for a in by_fold]) for by_fold in answers])  # (seeds, n)
        drawn = comparison.resampled(spearman, np.concatenate(truths), means, fold, groups, seed=self.number)
        self.draws[label] = drawn
        low, high = interval(drawn)
        span = float(np.nanmax(score) - np.nanmin(score))
        found = average([evaluate(a, t, span, self.values) for by_fold in answers for a, t in zip(by_fold, truths)])
        return {"low": low, "high": high} | found
