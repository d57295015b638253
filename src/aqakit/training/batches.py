"""Turn samples into batches; :mod:`aqakit.training.live_pixels` makes those of pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from aqakit.datasets.parts.partial_labels import without_labels
from aqakit.features.packed import PackedStream, Videos
from aqakit.methods.parts.pooling import summarise
from aqakit.system.prefetch import call_ahead
from aqakit.training.collating import collate
from aqakit.types import Batch, LabelSpec, Sample, Stream

_VIDEOS_AT_ONCE = 32  # of large maps
_NUMBERS_AT_ONCE = 2**22  # of features; 16 MiB


class BatchSource(Protocol):
    """Samples that can be read by index, one batch at a time."""

    samples: Sequence[Sample]

    @property
    def at_once(self) -> int:
        """How many samples to predict at once."""

    @property
    def ahead(self) -> int:
        """How many batches are worth reading in advance; 0 if reading takes no time."""

    @property
    def all_rows(self) -> Batch:
        """All samples as one batch; features in a file are read when they are asked for, if they fit in memory."""

    def __len__(self) -> int: ...

    def labels_of(self, index: Tensor) -> Batch:
        """Return the labels of the samples of ``index`` (b,), as a batch without streams."""

    def batch(self, index: Tensor, generator: torch.Generator | None = None) -> Batch:
        """Return the samples of ``index`` (b,); with a generator, augmented at random."""

    def prepare(self, index: Tensor, generator: torch.Generator | None = None) -> Callable[[], Batch]:
        """Draw now what is random in :meth:`batch`, and return the function that reads the batch."""

    def subset(self, index: Tensor) -> BatchSource:
        """Select some of the samples."""

    def with_labels(self, labels: LabelSpec) -> BatchSource:
        """Return the same samples with the classes and words of another label description."""

    def with_scores(self, score: Mapping[str, float]) -> BatchSource:
        """Return the same samples with other scores, by id; a sample that is not named keeps its own."""


class CachedFeatures:
    """Features in memory, or in one file: every batch is a selection of the rows of one large batch.

    Args:
        samples: n samples.
        pool: features and labels, held once for all subsets.
        rows: (n,) the row of each sample in ``pool``; without it, the n samples are the rows.

    Attributes:
        in_memory: whether no feature is in a file.
    """

    def __init__(self, samples: Sequence[Sample], pool: Batch, rows: Tensor | None = None) -> None:
        self.samples, self.pool = samples, pool
        self.rows = torch.arange(len(samples)) if rows is None else rows
        self.complete = bool(pool.labelled[self.rows].all())
        self.in_memory = not any(isinstance(stream, PackedStream) for stream in pool.streams.values())
        self._summaries: dict[int, CachedFeatures] = {}

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def ahead(self) -> int:
        """How many batches are read in advance: one, if they are in a file."""
        return 0 if self.in_memory else 1

    @property
    def at_once(self) -> int:
        """How many samples to predict at once, by their size."""
        numbers = sum(math.prod(stream.shape[1:]) for stream in self.pool.streams.values())
        return max(_VIDEOS_AT_ONCE, _NUMBERS_AT_ONCE // max(1, numbers))

    @property
    def all_rows(self) -> Batch:
        """All samples as one batch; features in a file are read when they are asked for, if they fit in memory."""
        return self.pool.select(self.rows).replace(complete=self.complete)

    def labels_of(self, index: Tensor) -> Batch:
        """Return the labels of the samples of ``index`` (b,), as a batch without streams."""
        return self.pool.replace(streams={}).select(self.rows[index]).replace(complete=self.complete)

    def batch(self, index: Tensor, generator: torch.Generator | None = None) -> Batch:
        """Return the samples of ``index`` (b,); cached features are never augmented."""
        found = self.pool.select(self.rows[index]).replace(complete=self.complete)
        return found if self.in_memory else found.read()

    def prepare(self, index: Tensor, generator: torch.Generator | None = None) -> Callable[[], Batch]:
        """Return the function that selects the samples of ``index`` (b,)."""
        return partial(self.batch, index)

    def subset(self, index: Tensor) -> CachedFeatures:
        """Select some of the samples."""
        return CachedFeatures([self.samples[i] for i in index.tolist()], self.pool, self.rows[index])

    def with_labels(self, labels: LabelSpec) -> CachedFeatures:
        """Return the same samples with the classes and words of another label description."""
        whole = len(self) == len(self.pool) and torch.equal(self.rows, torch.arange(len(self)))
        streams = self.pool.streams if whole else self.all_rows.streams
        return CachedFeatures(self.samples, collate(self.samples, labels, streams))

    def with_scores(self, score: Mapping[str, float]) -> CachedFeatures:
        """Return the same samples with other scores, by id; the features are held once."""
        samples, pool = rescored(self.samples, score), self.pool.score.clone()
        pool[self.rows] = _scores(samples)
        return CachedFeatures(samples, self.pool.replace(score=pool), self.rows)

    def summarised(self, windows: int) -> CachedFeatures:
        """Return the same samples, each summarised in that many windows; worked out once, for all runs on them."""
        if windows not in self._summaries:
            rows = self.all_rows
            found = {name: _summarised(stream, windows) for name, stream in rows.streams.items()}
            self._summaries[windows] = CachedFeatures(self.samples, rows.replace(streams=found))
        return self._summaries[windows]


def share_memory(sources: Sequence[BatchSource]) -> bool:
    """Whether all are labelled rows of the same features, so that :func:`joint_batch` can read them."""
    first = sources[0]
    return isinstance(first, CachedFeatures) and all(
        isinstance(one, CachedFeatures) and one.pool.streams is first.pool.streams and one.complete for one in sources
    )


def joint_batch(sources: Sequence[CachedFeatures], indices: Sequence[Tensor]) -> Batch:
    """Return the samples of each index (b,) from its source, those of the first source first."""
    rows = [source.rows[index] for source, index in zip(sources, indices, strict=True)]
    score = torch.cat([source.pool.score[own] for source, own in zip(sources, rows, strict=True)])
    found = sources[0].pool.select(torch.cat(rows)).replace(complete=True, score=score)
    return found if sources[0].in_memory else found.read()


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

    @property
    def ahead(self) -> int:
        """That of the source."""
        return self.source.ahead

    @property
    def all_rows(self) -> Batch:
        """That of the source, without the hidden labels."""
        return self.source.all_rows.unlabelled(~self.known)

    def __len__(self) -> int:
        return len(self.source)

    def labels_of(self, index: Tensor) -> Batch:
        """Return the labels of the samples of ``index`` (b,) without the hidden ones."""
        return self.source.labels_of(index).unlabelled(~self.known[index])

    def batch(self, index: Tensor, generator: torch.Generator | None = None) -> Batch:
        """Return a batch of the source without the hidden labels."""
        return self.prepare(index, generator)()

    def prepare(self, index: Tensor, generator: torch.Generator | None = None) -> Callable[[], Batch]:
        """Draw what is random in the batch of the source, and return the function that reads it."""
        read = self.source.prepare(index, generator)
        return lambda: read().unlabelled(~self.known[index])

    def subset(self, index: Tensor) -> PartlyLabelled:
        """Select some of the samples."""
        return PartlyLabelled(self.source.subset(index), self.known[index])

    def with_labels(self, labels: LabelSpec) -> PartlyLabelled:
        """Return the same samples with the classes and words of another label description."""
        return PartlyLabelled(self.source.with_labels(labels), self.known)

    def with_scores(self, score: Mapping[str, float]) -> PartlyLabelled:
        """Return the same samples with other scores, by id."""
        return PartlyLabelled(self.source.with_scores(score), self.known)


def read_batches(
    source: BatchSource,
    indices: Iterable[Tensor],
    device: torch.device | str,
    generator: torch.Generator | None = None,
) -> Generator[Batch, None, None]:
    """Yield the batches of some indices on a device, while threads read the next ones if the source needs it.

    What is random is drawn here, in order: batches do not depend on how far the threads are.
    """
    return in_advance((source.prepare(index, generator) for index in indices), source.ahead, device)


def in_advance(
    reads: Iterable[Callable[[], Batch]], ahead: int, device: torch.device | str
) -> Generator[Batch, None, None]:
    """Yield what is read, on a device, while as many threads read the next ``ahead`` batches."""
    if not ahead:
        for read in reads:
            yield read().to(device)
        return
    pin = torch.device(device).type == "cuda"
    with closing(call_ahead((partial(_read, read, pin) for read in reads), threads=ahead)) as batches:
        for batch in batches:
            yield batch.to(device)


def _read(read: Callable[[], Batch], pin: bool) -> Batch:
    batch = read()
    return batch.replace(streams={n: s.pinned() for n, s in batch.streams.items()}) if pin else batch


def has_score(source: BatchSource) -> Tensor:
    """Return (n,) bool: which samples of a source have a score."""
    return torch.tensor([s.score is not None for s in source.samples])


def scores_of(sources: Sequence[BatchSource]) -> Tensor:
    """(n,) true scores of sources, one after another; NaN if unknown."""
    return torch.cat([_scores(source.samples) for source in sources])


def rescored(samples: Iterable[Sample], score: Mapping[str, float]) -> list[Sample]:
    """Samples with other scores, by id; one that is not named keeps its own."""
    return [replace(s, score=score[s.id]) if s.id in score else s for s in samples]


def _scores(samples: Sequence[Sample]) -> Tensor:
    return torch.tensor([math.nan if s.score is None else s.score for s in samples])


def cached_features(samples: Sequence[Sample], labels: LabelSpec, videos: Mapping[str, Videos]) -> CachedFeatures:
    """Collate samples with the features that were collected of each stream."""
    return CachedFeatures(samples, collate(samples, labels, {name: one.stream() for name, one in videos.items()}))


def summary(windows: int) -> Callable[[Tensor], Tensor]:
    """Return what summarises the features (N, *F) of a video in that many windows; 0 to leave them as they are."""
    return partial(summarise, windows=windows) if windows else lambda video: video


def stack(videos: Iterable[Tensor], windows: int) -> Stream:
    """Stack features (N_i, *F) of several videos into one stream; if ``windows`` > 0, summarise each video first."""
    return Stream.stack([summary(windows)(video) for video in videos])


def _summarised(stream: Stream, windows: int) -> Stream:
    if not isinstance(stream, PackedStream):
        return stack(stream.videos(), windows)
    found = stream.like(summary(windows))
    for video in stream.videos():
        found.append(video)
    return found.stream()
