"""Turn samples into batches, with features from the cache or from pixels."""

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
from aqakit.recordings.transforms import Shift
from aqakit.system.progress import track
from aqakit.training.collating import collate
from aqakit.training.pixel_memory import PixelMemory
from aqakit.types import Batch, LabelSpec, Sample, Stream

_VIDEOS_AT_ONCE = 32  # of pixels, or of large maps
_NUMBERS_AT_ONCE = 2**22  # of features; 16 MiB


class BatchSource(Protocol):
    """Samples that can be read by index, one batch at a time."""

    samples: Sequence[Sample]

    @property
    def at_once(self) -> int:
        """How many samples to predict at once."""

    def __len__(self) -> int: ...

    def batch(self, index: Tensor, generator: torch.Generator | None = None) -> Batch:
        """Return the samples of ``index`` (b,); with a generator, augmented at random."""

    def subset(self, index: Tensor) -> BatchSource:
        """Select some of the samples."""

    def with_labels(self, labels: LabelSpec) -> BatchSource:
        """Return the same samples with the classes and words of another label description."""


class CachedFeatures:
    """Features in memory: every batch is a selection of the rows of one large batch.

    Args:
        samples: n samples.
        pool: features and labels, in memory once for all subsets.
        rows: (n,) the row of each sample in ``pool``; without it, the n samples are the rows.
    """

    def __init__(self, samples: Sequence[Sample], pool: Batch, rows: Tensor | None = None) -> None:
        self.samples, self.pool = samples, pool
        self.rows = torch.arange(len(samples)) if rows is None else rows
        self.complete = bool(pool.labelled[self.rows].all())
        self._summaries: dict[int, CachedFeatures] = {}

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def at_once(self) -> int:
        """How many samples to predict at once, by their size."""
        numbers = sum(stream.features[0].numel() for stream in self.pool.streams.values()) if len(self.pool) else 0
        return max(_VIDEOS_AT_ONCE, _NUMBERS_AT_ONCE // max(1, numbers))

    @property
    def all_rows(self) -> Batch:
        """All samples as one batch."""
        return self.batch(torch.arange(len(self)))

    def batch(self, index: Tensor, generator: torch.Generator | None = None) -> Batch:
        """Return the samples of ``index`` (b,); cached features are never augmented."""
        return self.pool.select(self.rows[index]).replace(complete=self.complete)

    def subset(self, index: Tensor) -> CachedFeatures:
        """Select some of the samples."""
        return CachedFeatures([self.samples[i] for i in index.tolist()], self.pool, self.rows[index])

    def with_labels(self, labels: LabelSpec) -> CachedFeatures:
        """Return the same samples with the classes and words of another label description."""
        whole = len(self) == len(self.pool) and torch.equal(self.rows, torch.arange(len(self)))
        streams = self.pool.streams if whole else self.all_rows.streams
        return CachedFeatures(self.samples, collate(self.samples, labels, streams))

    def summarised(self, windows: int) -> CachedFeatures:
        """Return the same samples, each summarised in that many windows; worked out once, for all runs on them."""
        if windows not in self._summaries:
            rows = self.all_rows
            videos = {
                name: [video[clips] for video, clips in zip(s.features, s.clips, strict=True)]
                for name, s in rows.streams.items()
            }
            found = {name: stack(one, windows) for name, one in videos.items()}
            self._summaries[windows] = CachedFeatures(self.samples, rows.replace(streams=found))
        return self._summaries[windows]


def share_memory(sources: Sequence[BatchSource]) -> bool:
    """Whether all are labelled rows of the same features in memory, so that :func:`joint_batch` can read them."""
    first = sources[0]
    return isinstance(first, CachedFeatures) and all(
        isinstance(one, CachedFeatures) and one.pool is first.pool and one.complete for one in sources
    )


def joint_batch(sources: Sequence[CachedFeatures], indices: Sequence[Tensor]) -> Batch:
    """Return the samples of each index (b,) from its source, those of the first source first."""
    rows = torch.cat([source.rows[index] for source, index in zip(sources, indices, strict=True)])
    return sources[0].pool.select(rows).replace(complete=True)


class LivePixels:
    """Pixels, decoded once and cached on disk; the backbones of the run compute features from them, with gradients.

    While there is room, they also stay in memory.

    Args:
        samples: the samples that could be read.
        labels: their labels, as a Batch without streams.
        backbones: the backbone of each stream.
        cache: folder for the decoded frames.
        shift: how far the window moves at random in training.
        flip: whether to flip training videos horizontally with probability 1/2.
        jitter: maximum random translation of the picture in training, in pixels; the border is repeated.
        memory: what holds frames, shared by all subsets; a new one if not given.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        labels: Batch,
        backbones: Mapping[str, VideoBackbone],
        cache: Path,
        *,
        shift: Shift = 0,
        flip: bool = False,
        jitter: int = 0,
        memory: PixelMemory | None = None,
    ) -> None:
        self.samples, self.labels, self.backbones = samples, labels, backbones
        self.memory = memory or PixelMemory()
        self.cache, self.shift, self.flip, self.jitter = cache, shift, flip, jitter

    at_once = _VIDEOS_AT_ONCE

    def __len__(self) -> int:
        return len(self.samples)

    def subset(self, index: Tensor) -> LivePixels:
        """Select some of the samples."""
        return self._like([self.samples[i] for i in index.tolist()], self.labels.select(index))

    def with_labels(self, labels: LabelSpec) -> LivePixels:
        """Return the same samples with the classes and words of another label description."""
        return self._like(self.samples, collate(self.samples, labels, {}))

    def _like(self, samples: Sequence[Sample], labels: Batch) -> LivePixels:
        more: dict[str, Any] = {"shift": self.shift, "flip": self.flip, "jitter": self.jitter, "memory": self.memory}
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
        pixels = self.memory.get(
            (sample.id, name), lambda: extract.pixels_of(sample, name, backbone, self.cache, shift=self.shift)
        )
        table = backbone.clips_of(pixels.numbers, pixels.length, seen.shift, sample.window)
        return seen.apply(pixels.frames[torch.from_numpy(table)], backbone)


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

    @property
    def at_once(self) -> int:
        """That of the source."""
        return self.source.at_once

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

    def apply(self, clips: Tensor, backbone: VideoBackbone) -> Tensor:
        """Translate and mirror clips (N, T, H, W, 3) of a backbone."""
        for axis, by in ((-3, self.down), (-2, self.right)):
            if by:
                size = clips.shape[axis]
                clips = clips.index_select(axis, (torch.arange(size) - by).clamp(0, size - 1))
        return backbone.mirror(clips) if self.mirrored else clips


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
    shift: Shift,
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
