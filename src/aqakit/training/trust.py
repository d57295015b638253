"""What is known of how far the scores of a run can be trusted, measured on samples that were not trained on.

The samples are the training samples, by the members that did not see them; for a single model those of the validation
split, else those of the test split. The worth of a run is judged against two floors that hardly look: the mean score of
the training samples, and a line through the length of the recording.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aqakit.errors import DataError
from aqakit.metrics.accuracy import kendall, spearman
from aqakit.metrics.bootstrap import interval
from aqakit.recordings.hashing import content_hash
from aqakit.scores.cross_conformal import CrossConformal
from aqakit.scores.distributions import ScoreDistribution
from aqakit.scores.recalibration import Recalibration
from aqakit.types import Floats, Sample

LEVEL = 0.9
DRAWS = 2000
_REFITTED = 1000  # times that a calibration is fitted without some of its samples, at most
_FEWEST_GROUPS = 5  # fewer cannot be resampled
_FEWEST_RANKED = 20  # samples of a member; of fewer, the best order and none do not differ beyond noise
_WORSE, _FAR = 0.15, 5  # differences of Kendall's τ, as they are and in standard errors, that make a failure

WORTHLESS = "this run is no better than guessing the average"
UNLIKE = "unlike anything this run has learnt from"
SEEN = "this recording was in the training set; its score says nothing of new ones"


@dataclass(frozen=True)
class Trust:
    """Measured on n samples that were not trained on.

    Attributes:
        split: ``held-out``, ``validation`` or ``test``.
        samples: n.
        held: how many of their 90 % intervals held the score; each was calibrated without its sample.
        mae: mean absolute error of the run.
        mae_constant: that of the mean training score.
        mae_length: that of a line through the length of the recording; None if lengths are unknown.
        spearman: rank correlation of prediction and score; None if it is undefined.
        worth: whether the run has a smaller error than these floors, beyond noise.
        members: how many members answered, each for samples of its own; 0 if nothing was held out from members.
        failed: how many of them :func:`failed` finds; None if it cannot tell, and in older runs.
    """

    split: str
    samples: int
    held: int
    mae: float
    mae_constant: float
    mae_length: float | None
    spearman: float | None
    worth: bool
    members: int = 0
    failed: int | None = None

    def sentences(self) -> list[str]:
        """What is said beside every score."""
        said = [f"of {self.samples} {_NAMES[self.split]} samples, the {LEVEL:.0%} interval held {self.held}"]
        said += failures([self])
        return said if self.worth else [WORTHLESS, *said]

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def failures(runs: Sequence[Trust]) -> list[str]:
    """What is said if the training of members of these runs failed."""
    members, count = sum(run.members for run in runs), sum(run.failed or 0 for run in runs)
    said = f"{count} of {members} members rank new samples far worse than the best one; their training may have failed"
    return [said] * bool(count)


@dataclass(frozen=True)
class Provenance:
    """Where a recording comes from, as far as a run can tell.

    Attributes:
        familiar: p-value of being like the training samples; None if the run cannot say.
        unfamiliar: whether it is unlike them.
        in_training: whether the run was trained on this very recording; None if the run cannot say.
    """

    familiar: float | None = None
    unfamiliar: bool = False
    in_training: bool | None = None

    def sentences(self) -> list[str]:
        """What is said beside its score."""
        return [UNLIKE] * self.unfamiliar + [SEEN] * bool(self.in_training)


_NAMES = {"held-out": "held-out training", "validation": "validation", "test": "test"}


@dataclass(frozen=True)
class Floors:
    """Predictions (n,) of the floors; those of length are None if a length is unknown."""

    constant: Floats
    length: Floats | None

    @classmethod
    def of(
        cls,
        train: Sequence[tuple[Sequence[str], Sequence[str]]],
        score: Mapping[str, float],
        length: Mapping[str, float],
    ) -> Floors:
        """Fit the floors.

        Args:
            train: for each model, the ids that it is trained on and those that it does not see, which are predicted.
            score: of the ids trained on.
            length: frames of every recording; NaN if unknown.
        """
        constant, line = [], []
        for known, unseen in train:
            y = np.array([score[i] for i in known])
            x, new = (np.array([length.get(i, np.nan) for i in ids]) for ids in (known, unseen))
            constant.append(np.full(len(unseen), y.mean()))
            spread = ((x - x.mean()) ** 2).sum()
            slope = ((x - x.mean()) * y).sum() / spread if spread != 0 else 0.0
            line.append(y.mean() + slope * (new - x.mean()))
        lines = np.concatenate(line)
        return cls(np.concatenate(constant), None if np.isnan(lines).any() else lines)


def measure(
    split: str,
    answer: ScoreDistribution,
    score: Floats,
    held: Floats,
    floors: Floors,
    group: Sequence[str | None] = (),
) -> Trust:
    """Compare a run with the floors on n samples.

    Args:
        split: where the samples are from.
        answer: the predictions (n,).
        score: (n,) true scores.
        held: (n,) whether the interval of each holds its score.
        floors: predictions of the same samples.
        group: of each sample, if there are groups: they are resampled as a whole.
    """
    mean = answer.mean.double().numpy()
    error = np.abs(mean - score)
    others = [np.abs(f - score) for f in (floors.constant, floors.length) if f is not None]
    rank = float(spearman(score, mean))
    return Trust(
        split=split,
        samples=len(score),
        held=int(held.sum()),
        mae=float(error.mean()),
        mae_constant=float(others[0].mean()),
        mae_length=float(others[1].mean()) if len(others) > 1 else None,
        spearman=None if np.isnan(rank) else rank,
        worth=all(is_smaller(error, other, group) for other in others),
    )


def failed(score: Floats, mean: Floats, member: Sequence[int], group: Sequence[str] | None = None) -> list[int] | None:
    """Return the members that rank the samples they did not see far worse than the best member ranks its own.

    Kendall's τ is compared, which single samples hardly move: on Fisher's scale, where that of n samples has the
    variance 0.437 / (n − 4) (Fieller, Hartley and Pearson 1957), and as it is, so that a small difference is none,
    however sure it is. A τ of 1 is taken for 1 − 2 / n.

    Args:
        score: (n,) true scores.
        mean: (n,) predictions.
        member: which member made each prediction.
        group: of each sample, if whole groups were held out; they count as one sample each.

    Returns:
        Their numbers; None if fewer than two members have 20 samples of different scores.
    """
    names = np.arange(len(score)) if group is None else np.asarray(group)
    order, variance = {}, {}
    for one in sorted(set(member)):
        own = np.asarray(member) == one
        count = len(np.unique(names[own]))
        if count >= _FEWEST_RANKED and len(np.unique(score[own])) > 1:
            limit = 1 - 2 / count
            order[one] = float(np.clip(np.nan_to_num(kendall(score[own], mean[own])), -limit, limit))
            variance[one] = 0.437 / (count - 4)
    if len(order) < 2:
        return None
    best = max(order, key=order.__getitem__)
    return [
        one
        for one, tau in order.items()
        if order[best] - tau > _WORSE
        and np.arctanh(order[best]) - np.arctanh(tau) > _FAR * np.sqrt(variance[best] + variance[one])
    ]


def is_smaller(error: Floats, other: Floats, group: Sequence[str | None] = (), seed: int = 0) -> bool:
    """Whether absolute errors (n,) are smaller than others on the same samples, beyond noise (95 %, paired bootstrap).

    Whole groups are resampled if there are at least five; else single samples.
    """
    names = np.arange(len(error))
    if len(group) == len(error) and None not in group and len(set(group)) >= _FEWEST_GROUPS:
        names = np.unique(np.asarray(group), return_inverse=True)[1]
    gained = np.bincount(names, weights=other - error)
    count = np.bincount(names)
    rng, means = np.random.default_rng(seed), np.empty(DRAWS)
    for draw in range(DRAWS):  # one at a time: all of them together take gigabytes for many samples
        drawn = rng.integers(len(gained), size=len(gained))
        means[draw] = gained[drawn].sum() / count[drawn].sum()
    return interval(means)[0] > 0


def held_by(
    fitted: Recalibration | CrossConformal | None,
    answer: ScoreDistribution,
    score: torch.Tensor,
    group: Sequence[object] | None = None,
) -> torch.Tensor:
    """Return (n,) bool: whether the 90 % interval of each sample, calibrated without it, holds its score.

    Of more than 1,000 samples, a thousandth is left out at a time.
    """
    if isinstance(fitted, CrossConformal):
        return fitted.leave_one_out_coverage(LEVEL, group)
    held = torch.zeros(len(score), dtype=torch.bool)
    every = torch.arange(len(score))
    for own in every.split(-(-len(score) // _REFITTED) if fitted is not None else len(score)):
        answers, others = answer.select(own), torch.isin(every, own, invert=True)
        if fitted is not None and bool(others.any()):
            answers = type(fitted).fit(answer.select(others), score[others]).apply(answers)
        low, high = answers.interval(LEVEL)
        held[own] = (low <= score[own]) & (score[own] <= high)
    return held


def difficulty_range(samples: Sequence[Sample]) -> list[float] | None:
    """Lowest and highest declared difficulty of samples; None if one of them has none."""
    known = [s.difficulty for s in samples if s.difficulty is not None]
    return [min(known), max(known)] if known and len(known) == len(samples) else None


def check_range(difficulty: float | None, known: Sequence[float] | None, name: str) -> None:
    """Refuse a declared difficulty that lies outside the training range by more than half its width.

    Raises:
        DataError: it does; a point that was forgotten or put in the wrong place is named.
    """
    if difficulty is None or known is None:
        return
    low, high = known
    margin = (high - low or high) / 2
    if low - margin <= difficulty <= high + margin:
        return
    meant = [x for x in (difficulty / 10, difficulty / 100, difficulty * 10) if low <= x <= high]
    hint = f"; did you mean {meant[0]:g}?" if meant else ""
    raise DataError(
        f"{name}: difficulty {difficulty:g} is outside the range {low:.1f} to {high:.1f} of the training set{hint}"
    )


def fingerprints(samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """Hash the recordings of samples, of folders only the window, so that :func:`is_among` knows them again."""
    return [
        {"window": s.window, "sources": {kind: _hash(s, kind, path) for kind, path in s.sources.items()}}
        for s in samples
    ]


def _hash(sample: Sample, kind: str, path: Path) -> str:
    return content_hash(path, sample.window and range(sample.window[0], sample.window[1] + 1), kind=kind)


def is_among(sample: Sample, known: Sequence[Mapping[str, Any]]) -> bool:
    """Whether :func:`fingerprints` of other samples include the recordings of a sample, with the same window."""
    (own,) = fingerprints([sample])
    return any(
        (tuple(one["window"]) if one.get("window") else None) == own["window"]
        and own["sources"].items() <= one["sources"].items()
        for one in known
    )
