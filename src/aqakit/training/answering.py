"""Answer one recording, or several, that are given in Python."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, overload

from aqakit.errors import OptionError
from aqakit.scores.answers import Answer, Answers
from aqakit.scores.distributions import ScoreDistribution
from aqakit.training.trust import Provenance
from aqakit.types import Batch, LabelSpec, Sample, Segment

One = Path | str | Mapping[str, Path | str]
"""A recording: a file; or, for a run with several kinds of input, ``{"video": …, "signal": …}``."""

R = TypeVar("R", bound=One)

_FOR_EACH = ("difficulty", "kind")
"""What may be a list, with a value for each recording."""


class Answering(ABC):
    """What can predict: a run.

    Attributes:
        labels: the specification of the labels.
    """

    labels: LabelSpec

    @abstractmethod
    def sample(
        self,
        recording: One,
        difficulty: float | None = None,
        window: tuple[int, int] | None = None,
        kind: str | None = None,
        steps: Sequence[str] = (),
        segments: Sequence[Segment] = (),
    ) -> Sample:
        """Make a sample of a recording and what is declared of it."""

    @abstractmethod
    def embed(self, samples: Sequence[Sample]) -> Batch:
        """Compute the features of samples."""

    @abstractmethod
    def answer(self, batch: Batch) -> ScoreDistribution:
        """Return the (B,) calibrated distributions of a batch of features."""

    @abstractmethod
    def provenance(self, sample: Sample, video: Batch) -> Provenance:
        """Whether a sample is like those trained on."""

    @abstractmethod
    def doubts(self) -> list[str]:
        """Return what must be said beside every score."""

    @overload
    def predict(
        self,
        recording: One,
        *,
        difficulty: float | None = None,
        window: tuple[int, int] | None = None,
        kind: str | None = None,
        steps: Sequence[str] = (),
        segments: Sequence[Segment] = (),
    ) -> Answer: ...
    @overload
    def predict(
        self,
        recording: list[R] | tuple[R, ...],
        *,
        difficulty: float | Sequence[float | None] | None = None,
        window: tuple[int, int] | None = None,
        kind: str | Sequence[str | None] | None = None,
        steps: Sequence[str] = (),
        segments: Sequence[Segment] = (),
    ) -> Answers: ...
    def predict(
        self,
        recording: One | list[R] | tuple[R, ...],
        *,
        difficulty: float | Sequence[float | None] | None = None,
        window: tuple[int, int] | None = None,
        kind: str | Sequence[str | None] | None = None,
        steps: Sequence[str] = (),
        segments: Sequence[Segment] = (),
    ) -> Answer | Answers:
        """Predict the score of a recording, or of a list of them, recalibrated if anything was held out from training.

        Args:
            recording: a file or a folder of frames; for a run with several kinds of input, ``{"video": …, "signal":
                …}``; or a list of these.
            difficulty: the declared difficulty; required if the run's target is ``total``. For a list of recordings,
                one for all, or a list; as well as ``kind``.
            window: first and last frame of the action; None for the whole recording.
            kind: what was declared, such as a dive number.
            steps: the steps that were declared.
            segments: named parts of the recording; required if these are the clips (``plan=gestures``).

        Raises:
            AqakitError: a recording cannot be read or scored; the message names it.
        """
        declared: dict[str, Any] = {"difficulty": difficulty, "window": window, "kind": kind}
        declared |= {"steps": steps, "segments": segments}
        if isinstance(recording, str | Path | Mapping):
            return _one(self, self.sample(recording, **declared))
        return _several(self, list(recording), declared)


def _one(run: Answering, sample: Sample) -> Answer:
    video = run.embed([sample])
    answer = run.answer(video).select(0)
    doubts = [partial(_doubts, run, sample, video)]
    return Answer(answer, run.labels.scale, sample.id, sample.difficulty, trust=run.doubts(), doubts=doubts)


def _several(run: Answering, recordings: Sequence[One], declared: Mapping[str, Any]) -> Answers:
    """Answer recordings one after the other, so that no answer depends on the others."""
    if not recordings:
        raise OptionError("there is no recording to score; give at least one")
    each = {name: _for_each(name, value, len(recordings)) for name, value in declared.items()}
    samples = [run.sample(path, **{n: v[k] for n, v in each.items()}) for k, path in enumerate(recordings)]
    videos = [run.embed([sample]) for sample in samples]
    answer = ScoreDistribution.cat([run.answer(video) for video in videos])
    names, degrees = [sample.id for sample in samples], [sample.difficulty for sample in samples]
    doubts = [partial(_doubts, run, sample, video) for sample, video in zip(samples, videos, strict=True)]
    return Answers(answer, run.labels.scale, names, degrees, trust=run.doubts(), doubts=doubts)


def _for_each(name: str, value: Any, count: int) -> Sequence[Any]:
    if name not in _FOR_EACH or isinstance(value, str) or not isinstance(value, Sequence):
        return [value] * count
    if len(value) != count:
        raise OptionError(f"{name}= has {len(value)} values for {count} recordings; give one for each, or one for all")
    return value


def _doubts(run: Answering, sample: Sample, video: Batch) -> list[str]:
    return run.provenance(sample, video).sentences()
