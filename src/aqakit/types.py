"""Data types shared by all subpackages, with their shapes and units.

B is the number of videos in a batch, N the number of clips of its longest video, F the shape of one clip's features,
J the number of judges and L the number of tokens of the longest caption.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

RATE = "what frame numbers count: frames as stored, or pictures at a constant rate as FFmpeg writes them"
"""Description of the option ``rate`` of data sets."""

Floats = NDArray[np.float64]
"""An array of numbers in double precision."""


@dataclass(frozen=True)
class ScoreScale:
    """Lowest and highest possible score, in the units of the sport.

    >>> ScoreScale(0, 104.5).span
    104.5
    """

    low: float
    high: float
    unit: str = "points"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"a score scale needs low < high, both finite; got {self.low} and {self.high}")

    @property
    def span(self) -> float:
        """Highest minus lowest score."""
        return self.high - self.low

    @property
    def centre(self) -> float:
        """Midpoint of the scale."""
        return (self.low + self.high) / 2


class Segment(NamedTuple):
    """A named part of a video, signal or skeleton: its first and last frame or row (both included), from 0."""

    name: str
    first: int
    last: int


@dataclass(frozen=True)
class Sample:
    """One performance: the paths of its recordings, and its labels.

    Attributes:
        id: unique within its data set.
        sources: path of each kind of recording that backbones read: ``video``, ``signal``, ``skeleton``,
            ``features``.
        window: first and last frame (both included) of the action in its recording; None for the whole recording.
        rate: what frame numbers of a video count: frames as ``stored``, or the pictures that FFmpeg writes of it at a
            ``constant`` rate.
        action: the class name (``Suturing``, ``diving``); a model is trained per action.
        group: an event, athlete or surgeon, which an honest split never divides between training and test.
        score: in the units of the sport; None if unlabelled.
        judges: the marks behind the score, in the order of the file; None if unknown.
        difficulty: the declared difficulty that multiplies the judges' total; None if there is none.
        attributes: integer class of each attribute (``somersaults``: 5).
        caption: the commentary.
        kind: what the athlete set out to do, as declared (a dive number, a routine): what is compared with its like.
        steps: names of the declared steps, in order (``forward``, ``2.5 somersaults pike``, ``entry``).
        boundaries: moments, as shares of the recording, at which its phases change; a label like the score.
        segments: named parts of the recording, in order of time, which do not overlap. A clip plan may take them as
            clips, and an explanation names clips by them.
    """

    id: str
    sources: Mapping[str, Path]
    window: tuple[int, int] | None = None
    action: str | None = None
    group: str | None = None
    score: float | None = None
    judges: tuple[float, ...] | None = None
    difficulty: float | None = None
    attributes: Mapping[str, int] = field(default_factory=dict)
    caption: str | None = None
    rate: Literal["stored", "constant"] = "stored"
    kind: str | None = None
    steps: tuple[str, ...] = ()
    boundaries: tuple[float, ...] = ()
    segments: tuple[Segment, ...] = ()


@dataclass(frozen=True)
class Split:
    """Sample ids of one fold: training samples, held-out test samples and, if they are fixed, validation samples."""

    name: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    validation: tuple[str, ...] = ()


@dataclass(frozen=True)
class FeatureSpec:
    """Shape F of one clip's features, for each stream: (D,) vectors, (C, T, H, W) maps, (joints, D)."""

    streams: Mapping[str, tuple[int, ...]]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape F of the first stream."""
        return next(iter(self.streams.values()))

    @property
    def width(self) -> int:
        """Width D of the first stream, whose features must be vectors."""
        if len(self.shape) != 1:
            raise ValueError(f"expected one vector per clip, but the features have shape {self.shape}")
        return self.shape[0]


@dataclass(frozen=True)
class LabelSpec:
    """Description of the labels of a data set.

    Attributes:
        scale: scale of ``score``.
        total: scale of score ÷ difficulty, if the sport declares a difficulty; else None. Also None for a method
            whose target already is the total: its score is that of the rule without the difficulty.
        judges: number of marks of a sample (J); 0 if they are unknown.
        marks: scale of one mark; None if there are no judges.
        rule: name in :data:`aqakit.scores.rules.RULES` of the rule that computes the score from judges and difficulty.
        attributes: number of classes of each attribute.
        vocabulary: words of the captions; a token is an index into it.
        kinds: names of the kinds.
        steps: names of the steps; in a batch, ``len(steps)`` stands for one that is not among them.
        boundaries: number of moments at which the phases of a sample change; 0 if they are unknown.
        segments: what the names of segments stand for, where a name does not say it.
    """

    scale: ScoreScale
    total: ScoreScale | None = None
    judges: int = 0
    marks: ScoreScale | None = None
    rule: str | None = None
    attributes: Mapping[str, int] = field(default_factory=dict)
    vocabulary: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    boundaries: int = 0
    segments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stream:
    """Features of one backbone: ``features`` (B, N, *F) and the mask ``clips`` (B, N) bool, False where padded."""

    features: Tensor
    clips: Tensor

    @property
    def shape(self) -> torch.Size:
        """Shape (B, N, *F) of the features, which need not be in memory."""
        return self.features.shape

    @property
    def counts(self) -> Tensor:
        """(B,) clips of each video."""
        return self.clips.sum(1)

    def read(self) -> Stream:
        """Return the stream in memory."""
        return self

    def videos(self) -> Iterator[Tensor]:
        """Yield the features (N_i, *F) of each video."""
        return (video[clips] for video, clips in zip(self.features, self.clips, strict=True))

    def select(self, index: Tensor) -> Stream:
        """Return the rows of ``index`` (b,), without the clips that are padding in all of them."""
        clips = self.clips[index]  # (b, N)
        if len(index) and bool(clips[:, -1].any()):
            return Stream(self.features[index], clips)
        used = int(clips.any(0).nonzero().max().item()) + 1 if bool(clips.any()) else 1
        return Stream(self.features[index, :used], clips[:, :used])

    def shown(self) -> Tensor:
        """Return (n, *F): the clips that are not padding, video by video."""
        return self.features.flatten(0, 1) if bool(self.clips.all()) else self.features[self.clips]

    def to(self, device: torch.device | str) -> Stream:
        """Return the stream on a device."""
        return Stream(self.features.to(device), self.clips.to(device))

    def pinned(self) -> Stream:
        """Return the stream in memory from which a GPU can copy in the background."""
        return Stream(self.features.pin_memory(), self.clips)

    @staticmethod
    def stack(videos: Sequence[Tensor]) -> Stream:
        """Stack features (N_i, *F) of several videos into one stream, padded with zeros."""
        longest = max(len(video) for video in videos)
        features = videos[0].new_zeros(len(videos), longest, *videos[0].shape[1:])
        clips = torch.zeros(len(videos), longest, dtype=torch.bool, device=features.device)
        for row, video in enumerate(videos):
            features[row, : len(video)] = video
            clips[row, : len(video)] = True
        return Stream(features, clips)


@dataclass(frozen=True)
class Batch:
    """Features and labels of B videos, which may be labelled and unlabelled.

    Attributes:
        streams: one for each backbone, in the order of the run.
        score: (B,) in the units of the target, NaN where unlabelled.
        judges: (B, J), NaN where unknown.
        difficulty: (B,), NaN where there is none.
        attributes: (B,) int64 each, −1 where unknown.
        caption: (B, L) int64 tokens, −1 where padded or unknown.
        group: (B,) int64, −1 where unknown.
        complete: whether all rows are known to be labelled, so that nobody need look.
        kind: (B,) int64, −1 where unknown. Declared, as the difficulty is; a batch made without it has none.
        steps: (B, S) int64 declared steps, −1 where padded.
        boundaries: (B, P) shares of the recording, NaN where unknown.
    """

    ROWS: ClassVar = ("score", "judges", "difficulty", "caption", "group", "kind", "steps", "boundaries")
    """Names of the fields that are one tensor with a row for each video."""

    streams: Mapping[str, Stream]
    score: Tensor
    judges: Tensor
    difficulty: Tensor
    attributes: Mapping[str, Tensor]
    caption: Tensor
    group: Tensor
    complete: bool = False
    kind: Tensor = field(default_factory=lambda: torch.empty(()))
    steps: Tensor = field(default_factory=lambda: torch.empty(()))
    boundaries: Tensor = field(default_factory=lambda: torch.empty(()))

    def __post_init__(self) -> None:
        unknown = torch.full_like(self.score, -1, dtype=torch.int64)
        none = {"kind": unknown, "steps": unknown[:, None][:, :0], "boundaries": self.score[:, None][:, :0]}
        for name, value in none.items():
            if getattr(self, name).ndim == 0:  # it was not given
                object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.score)

    @property
    def features(self) -> Tensor:
        """Features (B, N, *F) of the first stream."""
        return next(iter(self.streams.values())).features

    @property
    def clips(self) -> Tensor:
        """Mask (B, N) bool of the first stream."""
        return next(iter(self.streams.values())).clips

    @property
    def labelled(self) -> Tensor:
        """(B,) bool: True where the score is known."""
        return ~self.score.isnan()

    def labelled_rows(self) -> Batch:
        """Return the rows whose score is known."""
        return self if self.complete else self.select(self.labelled)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed."""
        return replace(self, **changes)

    def select(self, index: Tensor) -> Batch:
        """Return the rows of ``index``: int64 (b,) or bool (B,)."""
        if index.dtype == torch.bool:
            index = index.nonzero().squeeze(1)
        return self._mapped(lambda value: value[index], lambda stream: stream.select(index))

    def _mapped(self, rows: Callable[[Tensor], Tensor], stream: Callable[[Stream], Stream]) -> Batch:
        return Batch(
            streams={n: stream(s) for n, s in self.streams.items()},
            attributes={n: rows(value) for n, value in self.attributes.items()},
            complete=self.complete,
            **{n: rows(getattr(self, n)) for n in self.ROWS},
        )

    def read(self) -> Batch:
        """Return the batch with its features in memory."""
        return self.replace(streams={n: s.read() for n, s in self.streams.items()})

    @staticmethod
    def cat(batches: Sequence[Batch]) -> Batch:
        """Concatenate batches that have the same streams and labels."""
        first = batches[0]
        videos = {n: [video for b in batches for video in b.streams[n].videos()] for n in first.streams}
        return Batch(
            streams={n: Stream.stack(v) for n, v in videos.items()},
            attributes={n: torch.cat([b.attributes[n] for b in batches]) for n in first.attributes},
            complete=all(b.complete for b in batches),
            **{n: torch.cat([getattr(b, n) for b in batches]) for n in Batch.ROWS},
        )

    def unlabelled(self, rows: Tensor | None = None) -> Batch:
        """Return the same videos without their labels; what was declared stays: difficulty, kind and steps.

        With ``rows`` (B,) bool, only those rows lose their labels.
        """
        rows = torch.ones_like(self.score, dtype=torch.bool) if rows is None else rows
        return self.replace(
            score=self.score.masked_fill(rows, math.nan),
            judges=self.judges.masked_fill(rows[:, None], math.nan),
            attributes={name: value.masked_fill(rows, -1) for name, value in self.attributes.items()},
            caption=self.caption.masked_fill(rows[:, None], -1),
            boundaries=self.boundaries.masked_fill(rows[:, None], math.nan),
            complete=False,
        )

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch on a device."""
        if self.score.device == torch.device(device):
            return self
        return self._mapped(lambda value: value.to(device), lambda stream: stream.to(device))


@dataclass(frozen=True)
class Description:
    """Predictions for B videos other than their scores; empty if the method makes none.

    Attributes:
        attributes: (B, classes) probabilities of each predicted attribute.
        captions: the tokens of each video's caption, as indices into the vocabulary; empty without captions.
        boundaries: (B, P) shares of the recording at which its phases change; (B, 0) or (0, 0) if none are predicted.
    """

    attributes: Mapping[str, Tensor] = field(default_factory=dict)
    captions: tuple[tuple[int, ...], ...] = ()
    boundaries: Tensor = field(default_factory=lambda: torch.empty(0, 0))

    @staticmethod
    def cat(parts: Sequence[Description]) -> Description:
        """Concatenate the descriptions of several batches."""
        names = parts[0].attributes
        attributes = {n: torch.cat([p.attributes[n] for p in parts]) for n in names}
        captions = tuple(caption for p in parts for caption in p.captions)
        return Description(attributes, captions, torch.cat([p.boundaries for p in parts]))
