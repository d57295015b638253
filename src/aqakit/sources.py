"""Samples → Batch: the labels as tensors, and where a batch's features come from, the cache or live pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from aqakit import features, transforms
from aqakit.backbones._video import VideoBackbone
from aqakit.errors import AqakitError
from aqakit.features import Extraction
from aqakit.labelling import hidden
from aqakit.pooling import summarise
from aqakit.progress import track
from aqakit.types import Batch, LabelSpec, Sample, Stream


class Source(Protocol):
    """Something that gives batches of its samples."""

    samples: Sequence[Sample]

    def __len__(self) -> int: ...

    def batch(self, index: Tensor, generator: torch.Generator | None = None) -> Batch:
        """The samples of ``index`` (b,); with a generator, augmented at random."""

    def only(self, index: Tensor) -> Source:
        """The same for some of the samples."""


class Cached:
    """Features that are all in memory: one large Batch, of which every batch is a selection."""

    def __init__(self, samples: Sequence[Sample], everything: Batch) -> None:
        self.samples, self.everything = samples, everything

    def __len__(self) -> int:
        return len(self.samples)

    def batch(self, index: Tensor, generator: torch.Generator | None = None) -> Batch:
        """Nothing is random here: the features are what they are."""
        return self.everything.select(index)

    def only(self, index: Tensor) -> Cached:
        """Some of the samples."""
        return Cached([self.samples[i] for i in index.tolist()], self.everything.select(index))


class Live:
    """Pixels, decoded once and kept on disk; features are computed by the backbones of the run, with gradients.

    Args:
        samples: what could be read.
        labels: their labels, as a Batch without streams.
        backbones: by stream.
        cache: where the decoded frames are kept.
        shift: the window moves by up to this many frames either way in training.
        flip: whether half of the training videos are mirrored.
        jitter: the picture moves by up to this many pixels either way in training, its border repeated.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        labels: Batch,
        backbones: Mapping[str, VideoBackbone],
        cache: Path,
        *,
        shift: int = 0,
        flip: bool = False,
        jitter: int = 0,
    ) -> None:
        self.samples, self.labels, self.backbones = samples, labels, backbones
        self.cache, self.shift, self.flip, self.jitter = cache, shift, flip, jitter

    def __len__(self) -> int:
        return len(self.samples)

    def only(self, index: Tensor) -> Live:
        """Some of the samples."""
        chosen = [self.samples[i] for i in index.tolist()]
        more: dict[str, Any] = {"shift": self.shift, "flip": self.flip, "jitter": self.jitter}
        return Live(chosen, self.labels.select(index), self.backbones, self.cache, **more)

    def batch(self, index: Tensor, generator: torch.Generator | None = None) -> Batch:
        """Clips (b, N, T, H, W, 3) uint8 in every stream."""
        chosen = [self.samples[i] for i in index.tolist()]
        views = [self._view(generator) for _ in chosen]
        streams = {
            name: Stream.stack([self._clips(s, name, backbone, view) for s, view in zip(chosen, views)])
            for name, backbone in self.backbones.items()
        }
        return self.labels.select(index).replace(streams=streams)

    def _view(self, generator: torch.Generator | None) -> View:
        if generator is None:
            return View()
        down, right = (transforms.random_shift(self.jitter, generator) for _ in range(2))
        mirrored = self.flip and transforms.random_flip(generator)
        return View(transforms.random_shift(self.shift, generator), bool(mirrored), down, right)

    def _clips(self, sample: Sample, name: str, backbone: VideoBackbone, view: View) -> Tensor:
        pixels = features.pixels_of(sample, name, backbone, self.cache, shift=self.shift)
        table = backbone.clips_of(pixels.numbers, pixels.length, view.shift, sample.window)
        return view.of(pixels.frames[torch.from_numpy(table)])


class Partly:
    """A source of which only some samples keep their labels.

    Args:
        source: whose labels are all known.
        known: (n,) bool, which of its samples keep theirs.
    """

    def __init__(self, source: Source, known: Tensor) -> None:
        self.source, self.known = source, known
        kept = zip(source.samples, known.tolist(), strict=True)
        self.samples: Sequence[Sample] = [sample if shown else hidden(sample) for sample, shown in kept]

    def __len__(self) -> int:
        return len(self.source)

    def batch(self, index: Tensor, generator: torch.Generator | None = None) -> Batch:
        """What the source gives, without the labels that are hidden."""
        return self.source.batch(index, generator).unlabelled(~self.known[index])

    def only(self, index: Tensor) -> Partly:
        """Some of the samples."""
        return Partly(self.source.only(index), self.known[index])


@dataclass(frozen=True)
class View:
    """How one training video is seen this time, the same in all its frames and by all backbones."""

    shift: int = 0
    mirrored: bool = False
    down: int = 0
    right: int = 0

    def of(self, clips: Tensor) -> Tensor:
        """(N, T, H, W, 3) → the same, moved and mirrored."""
        for axis, by in ((-3, self.down), (-2, self.right)):
            if by:
                size = clips.shape[axis]
                clips = clips.index_select(axis, (torch.arange(size) - by).clamp(0, size - 1))
        return clips.flip(-2) if self.mirrored else clips


def has_score(source: Source) -> Tensor:
    """(n,) bool: which samples of a source have a score."""
    return torch.tensor([s.score is not None for s in source.samples])


def cached(extraction: Extraction, labels: LabelSpec, windows: int = 0) -> Cached:
    """All samples of an extraction that could be read, each summarised in so many windows if there are any."""
    streams = {name: stack(videos, windows) for name, videos in extraction.streams.items()}
    return Cached(extraction.samples, collate(extraction.samples, labels, streams))


def stack(videos: Sequence[Tensor], windows: int) -> Stream:
    """Features (N_i, *F) of several videos as one stream, summarised in windows if there are any."""
    return Stream.stack([summarise(video, windows) for video in videos] if windows else videos)


def live(
    samples: Sequence[Sample],
    labels: LabelSpec,
    backbones: Mapping[str, VideoBackbone],
    cache: Path,
    *,
    shift: int,
    flip: bool,
    jitter: int,
) -> tuple[Live, Extraction]:
    """Decode every sample once; the Extraction tells lengths and failures, and holds no features."""
    done = Extraction({})
    for sample in track(samples, "decoding"):
        try:
            found = [features.pixels_of(sample, n, b, cache, shift=shift) for n, b in backbones.items()]
        except AqakitError as error:
            done.failures[sample.id] = str(error)
            continue
        first, last = sample.window or (0, found[0].length - 1)
        done.add(sample, last - first + 1)
    batch = collate(done.samples, labels, {})
    return Live(done.samples, batch, backbones, cache, shift=shift, flip=flip, jitter=jitter), done


def collate(samples: Sequence[Sample], labels: LabelSpec, streams: Mapping[str, Stream]) -> Batch:
    """The labels of samples as tensors, beside their streams."""
    groups = {g: i for i, g in enumerate(sorted({s.group for s in samples if s.group is not None}))}
    words = {word: i for i, word in enumerate(labels.vocabulary)}
    return Batch(
        streams=streams,
        score=torch.tensor([math.nan if s.score is None else s.score for s in samples]),
        judges=torch.tensor([_judges(s, labels.judges) for s in samples]).reshape(len(samples), labels.judges),
        difficulty=torch.tensor([math.nan if s.difficulty is None else s.difficulty for s in samples]),
        attributes={n: torch.tensor([s.attributes.get(n, -1) for s in samples]) for n in labels.attributes},
        caption=_captions(samples, words),
        group=torch.tensor([-1 if s.group is None else groups[s.group] for s in samples]),
    )


def _judges(sample: Sample, count: int) -> list[float]:
    return list(sample.judges) if sample.judges and len(sample.judges) == count else [math.nan] * count


def _captions(samples: Sequence[Sample], words: Mapping[str, int]) -> Tensor:
    tokens = [[words[w] for w in (s.caption or "").split() if w in words] for s in samples]
    longest = max(map(len, tokens), default=0)
    return torch.tensor([t + [-1] * (longest - len(t)) for t in tokens], dtype=torch.int64)
