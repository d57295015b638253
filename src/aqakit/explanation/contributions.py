"""Explain a score: what each clip adds to it, and the training videos most similar to this one.

The contribution of a clip is its Shapley value (Shapley 1953): what it adds to the predicted score, averaged over all
orders in which the clips may be added. The mean clip stands in for a clip that is not added yet: the mean of the
training videos' clips at that position if all have the same number of clips, else of all their clips; for clips that
are named segments (``plan=gestures``), the mean of those of the same name. (Masking instead would change the number of
clips, which methods with a fixed number cannot handle, and an empty video would have no answer.) So a contribution says
how much better or worse than usual that moment was, in points of the sport. The contributions add up to the prediction
minus the prediction for a video of mean clips. The declared difficulty is kept.

Up to :data:`EXACT` clips the values are exact. For more clips they are means over random orders, each used forwards and
backwards (Mitchell et al. 2022), with a fixed seed; they still add up exactly, and their standard errors are given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aqakit.backbones.parts.base import Backbone
from aqakit.explanation.parts import Part, clip_names, parts
from aqakit.features import keys
from aqakit.recordings.video import Report
from aqakit.scores.distributions import ScoreDistribution
from aqakit.training.run import Run
from aqakit.training.summary import Exemplar
from aqakit.training.trust import Provenance, Trust
from aqakit.types import Batch, Floats, Sample, Segment, Stream

Coalitions = NDArray[np.bool_]

EXACT = 12
"""Up to this number of players all coalitions are evaluated: 4096 of them."""

EVALUATIONS = 4096
"""Approximate number of coalitions evaluated if there are more players."""

_NUMBERS_AT_ONCE = 2**24  # feature values of the coalitions predicted together


@dataclass(frozen=True)
class Attribution:
    """Shapley values of n players.

    Attributes:
        values: (n,); their sum is ``prediction`` − ``baseline``.
        errors: (n,) standard errors; 0 if the values are exact.
        baseline: worth of the empty coalition.
        prediction: worth of all players together.
    """

    values: Floats
    errors: Floats
    baseline: float
    prediction: float


@dataclass(frozen=True)
class Contribution:
    """A clip with its frames from ``first`` to ``last``, the points that it adds, and their standard error.

    ``name`` is that of the named segments which have at least half of its frames; empty if none have.
    """

    clip: int
    first: int
    last: int
    points: float
    error: float
    name: str = ""


@dataclass(frozen=True)
class Explanation:
    """Why a recording has its score.

    Attributes:
        prediction: the predicted score.
        baseline: the score of a video of mean clips; contributions add up from here.
        clips: in order of time.
        exemplars: the most similar training videos, most similar first.
        provenance: whether the recording is like the training videos.
        trust: how far the scores of the run can be trusted; None if unknown.
        reading: how well the recording could be read.
        parts: what the clips of each name add together, the costliest first; empty without named segments.
    """

    prediction: float
    baseline: float
    clips: tuple[Contribution, ...]
    exemplars: tuple[Exemplar, ...]
    provenance: Provenance = field(default_factory=Provenance)
    trust: Trust | None = None
    reading: Report = field(default_factory=Report)
    parts: tuple[Part, ...] = ()

    @property
    def notes(self) -> list[str]:
        """What must be said beside the score."""
        said = (self.trust.sentences() if self.trust else []) + self.provenance.sentences()
        return said if self.reading.ok else [*said, self.reading.sentence()]

    @property
    def decisive(self) -> int:
        """The clip that changes the score most, up or down."""
        return max(self.clips, key=lambda one: abs(one.points)).clip

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self) | {"decisive": self.decisive, "notes": self.notes}


def explain(
    run: Run,
    recording: Path | str | Mapping[str, Path | str],
    *,
    difficulty: float | None = None,
    window: tuple[int, int] | None = None,
    kind: str | None = None,
    steps: Sequence[str] = (),
    segments: Sequence[Segment] = (),
    count: int = 3,
    evaluations: int = EVALUATIONS,
    seed: int = 0,
) -> Explanation:
    """Explain the score of one recording. Its features are computed once.

    Args:
        run: a finished run.
        recording: as in :meth:`Run.predict <aqakit.training.run.Run.predict>`, with ``difficulty`` and ``window``.
        difficulty: the declared difficulty.
        window: first and last frame of the action.
        kind: what was declared, such as a dive number.
        steps: the steps that were declared.
        segments: named parts of the recording, by which clips are named.
        count: number of exemplars.
        evaluations: approximate number of coalitions to evaluate, if there are too many to evaluate all.
        seed: for the choice of coalitions.

    Raises:
        RunError: the run was made before runs stored what this needs.
    """
    sample = run.sample(recording, difficulty, window, kind, steps, segments)
    reports: list[Report] = []
    video = run.embed([sample], reports)
    return of_embedded(run, sample, video, reports[0], count=count, evaluations=evaluations, seed=seed)


def of_embedded(
    run: Run,
    sample: Sample,
    video: Batch,
    reading: Report,
    *,
    count: int = 3,
    evaluations: int = EVALUATIONS,
    seed: int = 0,
) -> Explanation:
    """Explain the score of one embedded video (B = 1), which was read as ``reading`` says; else as :func:`explain`."""
    usual = usual_clips(run, sample)
    found = attribute(run.assessor.predict_embedded, video, usual, evaluations=evaluations, seed=seed)
    spans = clip_frames(run, sample, len(found.values))
    names, points, errors = names_of(run, sample, spans), found.values.tolist(), found.errors.tolist()
    numbers = zip(*spans.T.tolist(), points, errors, names, strict=True)
    return Explanation(
        found.prediction,
        found.baseline,
        clips=tuple(Contribution(k, *one) for k, one in enumerate(numbers)),
        exemplars=tuple(run.training_summary.nearest(video, count)),
        provenance=run.provenance(sample, video),
        trust=run.trust,
        reading=reading,
        parts=tuple(parts(names, points, errors, run.labels)),
    )


def names_of(run: Run, sample: Sample, spans: NDArray[np.int64]) -> list[str]:
    """Return the names of clips with these frames, (N, 2) from :func:`clip_frames`; empty where there is none."""
    first = next(iter(run.backbones.values()))
    return clip_names(spans, sample.segments if first.reads != "features" else ())  # these have no frames


def usual_clips(run: Run, sample: Sample) -> Mapping[str, Tensor]:
    """Return the mean clips that stand in for those of a sample, by stream: see :meth:`TrainingSummary.usual`.

    Raises:
        RunError: the run was made before runs stored what this needs.
    """
    if run.recipe.windows:
        return run.training_summary.mean_clip
    return run.training_summary.usual({name: one.clip_names(sample) for name, one in run.backbones.items()})


@torch.inference_mode()
def attribute(
    predict: Callable[[Batch], ScoreDistribution],
    video: Batch,
    usual: Mapping[str, Tensor],
    *,
    evaluations: int = EVALUATIONS,
    seed: int = 0,
) -> Attribution:
    """Shapley values of the clips of the first stream. Clips of other streams join with the one at the same time.

    Args:
        predict: predicts scores of embedded batches.
        video: one video (B = 1), without padding.
        usual: for each stream the mean clip (1, *F), or the mean clip at each position (N, *F).
        evaluations: as in :func:`shapley`, with ``seed``.
        seed: for the random orders.
    """
    players = video.clips.shape[1]
    size = max(1, _NUMBERS_AT_ONCE // sum(stream.features.numel() for stream in video.streams.values()))

    def worth(coalitions: Coalitions) -> Floats:
        parts = torch.from_numpy(coalitions).split(min(size, 256))
        means = [predict(_mixed(video, usual, part.to(video.score.device))).mean.cpu().double() for part in parts]
        return torch.cat(means).numpy()

    return shapley(worth, players, evaluations=evaluations, seed=seed)


def shapley(
    worth: Callable[[Coalitions], Floats], players: int, *, evaluations: int = EVALUATIONS, seed: int = 0
) -> Attribution:
    """Shapley values of a game.

    Args:
        worth: maps coalitions (m, n), True for members, to their worth (m,).
        players: n.
        evaluations: approximate number of coalitions to evaluate if n is above :data:`EXACT`.
        seed: for the random orders drawn in that case.

    A majority game of three players, in which the first has two votes and is always needed:

    >>> shapley(lambda joined: (joined @ [2, 1, 1] >= 3).astype(float), 3).values.round(4).tolist()
    [0.6667, 0.1667, 0.1667]
    """
    return _exact(worth, players) if players <= EXACT else _sampled(worth, players, evaluations, seed)


def clip_frames(run: Run, sample: Sample, count: int) -> NDArray[np.int64]:
    """Return the first and last frame (or row of a signal) of each clip, (count, 2), as the first backbone reads it."""
    name, backbone = next(iter(run.backbones.items()))
    path = keys.source(sample, name, backbone)
    spans = _spans(backbone.reader(sample), sample.window, keys.length(path, backbone, None, sample.rate), count)
    shares = [spans[k * len(spans) // count : -(-(k + 1) * len(spans) // count)] for k in range(count)]
    return np.array([[share[:, 0].min(), share[:, 1].max()] for share in shares])


def _mixed(video: Batch, usual: Mapping[str, Tensor], joined: Tensor) -> Batch:
    """Repeat the video for each coalition (m, n), with mean clips in place of those that have not joined."""
    rows = video.select(torch.zeros(len(joined), dtype=torch.int64, device=joined.device))
    return rows.replace(streams={name: _mix(stream, usual[name], joined) for name, stream in rows.streams.items()})


def _mix(stream: Stream, usual: Tensor, joined: Tensor) -> Stream:
    clips = stream.clips.shape[1]
    absent = (usual if len(usual) == clips else usual.mean(0, keepdim=True)).to(stream.features.device)
    present = joined[:, torch.arange(clips, device=joined.device) * joined.shape[1] // clips]  # (m, N)
    mask = present.reshape(*present.shape, *[1] * (stream.features.ndim - 2))
    return Stream(torch.where(mask, stream.features, absent), stream.clips)


def _exact(worth: Callable[[Coalitions], Floats], players: int) -> Attribution:
    number = np.arange(2**players)
    coalitions = (number[:, None] >> np.arange(players) & 1).astype(bool)
    value = worth(coalitions)
    weight = np.array([1 / (players * comb(players - 1, size)) for size in range(players)])
    values = np.empty(players)
    for player in range(players):
        without = number[~coalitions[:, player]]
        gained = value[without | 1 << player] - value[without]
        values[player] = (weight[coalitions[without].sum(1)] * gained).sum()
    return Attribution(values, np.zeros(players), float(value[0]), float(value[-1]))


def _sampled(worth: Callable[[Coalitions], Floats], players: int, evaluations: int, seed: int) -> Attribution:
    pairs = max(2, evaluations // (2 * (players - 1)))
    random = np.random.default_rng(seed)
    forwards = np.stack([random.permutation(players) for _ in range(pairs)])
    orders = np.concatenate([forwards, forwards[:, ::-1]])  # (2 pairs, n)
    joining = np.argsort(orders, axis=1)  # when each player joins
    coalitions = joining[:, None, :] < np.arange(1, players)[:, None]  # (2 pairs, n − 1, n)
    baseline, prediction = worth(np.repeat([[False], [True]], players, axis=1))
    inside = worth(coalitions.reshape(-1, players)).reshape(2 * pairs, players - 1)
    ends = np.ones((2 * pairs, 1))
    gained = np.diff(np.concatenate([baseline * ends, inside, prediction * ends], axis=1), axis=1)
    by_player = np.take_along_axis(gained, joining, axis=1).reshape(2, pairs, players).mean(0)
    errors = by_player.std(0, ddof=1) / np.sqrt(pairs)
    return Attribution(by_player.mean(0), errors, float(baseline), float(prediction))


def _spans(backbone: Backbone, window: tuple[int, int] | None, length: int, count: int) -> NDArray[np.int64]:
    """First and last frame (N, 2) of each clip of a plan; equal shares of the recording if there is no plan."""
    first, last = window or (0, length - 1)
    if backbone.plan is not None:
        return backbone.plan.spans((first, last), max(last + 1, length))
    ends = first + np.arange(count + 1) * (last - first + 1) // count
    return np.stack([ends[:-1], np.maximum(ends[1:] - 1, ends[:-1])], axis=1)
