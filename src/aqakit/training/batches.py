"""Turn samples into batches: labels as tensors, and features from the cache or from pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from aqakit.backbones.parts.video import VideoBackbone
from aqakit.datasets.parts.partial_labels import without_labels
from aqakit.errors import AqakitError
from aqakit.features import extract
from aqakit.features.extract import Extraction
from aqakit.methods.parts.pooling import summarise
from aqakit.recordings import transforms
from aqakit.system.progress import track
from aqakit.types import Batch, LabelSpec, Sample, Stream


class BatchSource(Protocol):
    """Samples that can be read by index, one batch at a time."""

    samples: Sequence[Sample]

    def __len__(self) -> int: ...

    def batch(self, index: Tensor, generator: torch.Generator | None = None) -> Batch:
        """Return the samples of ``index`` (b,); with a generator, augmented at random."""

    def subset(self, index: Tensor) -> BatchSource:
        """Select some of the samples."""

    def with_labels(self, labels: LabelSpec) -> BatchSource:
        """Return the same samples with the classes and words of another label description."""


class CachedFeatures:
    """Features in memory: ``all_rows`` is one large batch, and every batch is a selection of its rows."""

    def __init__(self, samples: Sequence[Sample], all_rows: Batch) -> None:
        self.samples, self.all_rows = samples, all_rows

    def __len__(self) -> int:
        return len(self.samples)

    def batch(self, index: Tensor, generator: torch.Generator | None = None) -> Batch:
        """Return the samples of ``index`` (b,); cached features are never augmented."""
        return self.all_rows.select(index)

    def subset(self, index: Tensor) -> CachedFeatures:
        """Select some of the samples."""
        return CachedFeatures([self.samples[i] for i in index.tolist()], self.all_rows.select(index))

    def with_labels(self, labels: LabelSpec) -> CachedFeatures:
        """Return the same samples with the classes and words of another label description."""
        return CachedFeatures(self.samples, collate(self.samples, labels, self.all_rows.streams))


class LivePixels:
    """Pixels, decoded once and cached on disk; the backbones of the run compute features from them, with gradients.

    Args:
        samples: the samples that could be read.
        labels: their labels, as a Batch without streams.
        backbones: the backbone of each stream.
        cache: folder for the decoded frames.
        shift: maximum random shift of the window in training, in frames, in either direction.
        flip: whether to flip training videos horizontally with probability 1/2.
        jitter: maximum random translation of the picture in training, in pixels; the border is repeated.
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

    def subset(self, index: Tensor) -> LivePixels:
        """Select some of the samples."""
        return self._like([self.samples[i] for i in index.tolist()], self.labels.select(index))

    def with_labels(self, labels: LabelSpec) -> LivePixels:
        """Return the same samples with the classes and words of another label description."""
        return self._like(self.samples, collate(self.samples, labels, {}))

    def _like(self, samples: Sequence[Sample], labels: Batch) -> LivePixels:
        more: dict[str, Any] = {"shift": self.shift, "flip": self.flip, "jitter": self.jitter}
        return LivePixels(samples, labels, self.backbones, self.cache, **more)

    def batch(self, index: Tensor, generator: torch.Generator | None = None) -> Batch:
        """Return clips (b, N, T, H, W, 3) uint8 in every stream; with a generator, augmented at random."""
        chosen = [self.samples[i] for i in index.tolist()]
        drawn = [self._augmentation(generator) for _ in chosen]
        streams = {
            name: Stream.stack([self._clips(s, name, backbone, seen) for s, seen in zip(chosen, drawn)])
            for name, backbone in self.backbones.items()
        }
        return self.labels.select(index).replace(streams=streams)

    def _augmentation(self, generator: torch.Generator | None) -> Augmentation:
        if generator is None:
            return Augmentation()
        down, right = (transforms.random_shift(self.jitter, generator) for _ in range(2))
        mirrored = self.flip and transforms.random_flip(generator)
        return Augmentation(transforms.random_shift(self.shift, generator), bool(mirrored), down, right)

    def _clips(self, sample: Sample, name: str, backbone: VideoBackbone, seen: Augmentation) -> Tensor:
        pixels = extract.pixels_of(sample, name, backbone, self.cache, shift=self.shift)
        table = backbone.clips_of(pixels.numbers, pixels.length, seen.shift, sample.window)
        return seen.apply(pixels.frames[torch.from_numpy(table)])


class PartlyLabelled:
    """A source in which only some samples keep their labels.

    Args:
        source: the source, with all labels.
        known: (n,) bool, which samples keep their labels.
    """

    def __init__(self, source: BatchSource, known: Tensor) -> None:
        self.source, self.known = source, known
        kept = zip(source.samples, known.tolist(), strict=True)
        self.samples: Sequence[Sample] = [sample if shown else without_labels(sample) for sample, shown in kept]

    def __len__(self) -> int:
        return len(self.source)

    def batch(self, index: Tensor, generator: torch.Generator | None = None) -> Batch:
        """Return a batch of the source without the hidden labels."""
        return self.source.batch(index, generator).unlabelled(~self.known[index])

    def subset(self, index: Tensor) -> PartlyLabelled:
        """Select some of the samples."""
        return PartlyLabelled(self.source.subset(index), self.known[index])

    def with_labels(self, labels: LabelSpec) -> PartlyLabelled:
        """Return the same samples with the classes and words of another label description."""
        return PartlyLabelled(self.source.with_labels(labels), self.known)


@dataclass(frozen=True)
class Augmentation:
    """One random augmentation of a training video, the same for all its frames and all backbones."""

    shift: int = 0
    mirrored: bool = False
    down: int = 0
    right: int = 0

    def apply(self, clips: Tensor) -> Tensor:
        """Translate and flip clips (N, T, H, W, 3)."""
        for axis, by in ((-3, self.down), (-2, self.right)):
            if by:
                size = clips.shape[axis]
                clips = clips.index_select(axis, (torch.arange(size) - by).clamp(0, size - 1))
        return clips.flip(-2) if self.mirrored else clips


def has_score(source: BatchSource) -> Tensor:
    """Return (n,) bool: which samples of a source have a score."""
    return torch.tensor([s.score is not None for s in source.samples])


def scores_of(sources: Sequence[BatchSource]) -> Tensor:
    """(n,) true scores of sources, one after another; NaN if unknown."""
    return torch.tensor([math.nan if s.score is None else s.score for source in sources for s in source.samples])


def cached_features(extraction: Extraction, labels: LabelSpec, windows: int = 0) -> CachedFeatures:
    """Collate the readable samples of an extraction; if ``windows`` > 0, each is summarised in that many windows."""
    streams = {name: stack(videos, windows) for name, videos in extraction.streams.items()}
    return CachedFeatures(extraction.samples, collate(extraction.samples, labels, streams))


def stack(videos: Sequence[Tensor], windows: int) -> Stream:
    """Stack features (N_i, *F) of several videos into one stream; if ``windows`` > 0, summarise each video first."""
    return Stream.stack([summarise(video, windows) for video in videos] if windows else videos)


def live_pixels(
    samples: Sequence[Sample],
    labels: LabelSpec,
    backbones: Mapping[str, VideoBackbone],
    cache: Path,
    *,
    shift: int,
    flip: bool,
    jitter: int,
) -> tuple[LivePixels, Extraction]:
    """Decode every sample once; the returned Extraction holds lengths and failures but no features."""
    done = Extraction({})
    for sample in track(samples, "decoding"):
        try:
            found = [extract.pixels_of(sample, n, b, cache, shift=shift) for n, b in backbones.items()]
        except AqakitError as error:
            done.failures[sample.id] = str(error)
            continue
        first, last = sample.window or (0, found[0].length - 1)
        done.add(sample, last - first + 1, found)
    batch = collate(done.samples, labels, {})
    return LivePixels(done.samples, batch, backbones, cache, shift=shift, flip=flip, jitter=jitter), done


def collate(samples: Sequence[Sample], labels: LabelSpec, streams: Mapping[str, Stream]) -> Batch:
    """Combine the labels of samples, as tensors, with their streams into a batch.

    Classes and words that the label description does not have are unknown (−1), or left out of the caption.
    """
    groups = {g: i for i, g in enumerate(sorted({s.group for s in samples if s.group is not None}))}
    words = {word: i for i, word in enumerate(labels.vocabulary)}
    return Batch(
        streams=streams,
        score=torch.tensor([math.nan if s.score is None else s.score for s in samples]),
        judges=torch.tensor([_judges(s, labels.judges) for s in samples]).reshape(len(samples), labels.judges),
        difficulty=torch.tensor([math.nan if s.difficulty is None else s.difficulty for s in samples]),
        attributes={n: _classes(samples, n, count) for n, count in labels.attributes.items()},
        caption=_captions(samples, words),
        group=torch.tensor([-1 if s.group is None else groups[s.group] for s in samples]),
    )


def _classes(samples: Sequence[Sample], name: str, count: int) -> Tensor:
    found = [sample.attributes.get(name, -1) for sample in samples]
    return torch.tensor([value if value < count else -1 for value in found], dtype=torch.int64)


def _judges(sample: Sample, count: int) -> list[float]:
    return list(sample.judges) if sample.judges and len(sample.judges) == count else [math.nan] * count


def _captions(samples: Sequence[Sample], words: Mapping[str, int]) -> Tensor:
    tokens = [[words[w] for w in (s.caption or "").split() if w in words] for s in samples]
    longest = max(map(len, tokens), default=0)
    return torch.tensor([t + [-1] * (longest - len(t)) for t in tokens], dtype=torch.int64)
