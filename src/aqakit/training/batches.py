"""Turn samples into batches; :mod:`aqakit.training.live_pixels` makes those of pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from aqakit.datasets.parts.partial_labels import without_labels
from aqakit.features.extract import Extraction
from aqakit.methods.parts.pooling import summarise
from aqakit.system.prefetch import read_ahead
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

    def __len__(self) -> int: ...

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
    """Features in memory: every batch is a selection of the rows of one large batch.

    Args:
        samples: n samples.
        pool: features and labels, in memory once for all subsets.
        rows: (n,) the row of each sample in ``pool``; without it, the n samples are the rows.
    """

    ahead = 0

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
        """Return the same samples with other scores, by id; the features stay in memory once."""
        samples, pool = rescored(self.samples, score), self.pool.score.clone()
        pool[self.rows] = _scores(samples)
        return CachedFeatures(samples, self.pool.replace(score=pool), self.rows)

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
        isinstance(one, CachedFeatures) and one.pool.streams is first.pool.streams and one.complete for one in sources
    )


def joint_batch(sources: Sequence[CachedFeatures], indices: Sequence[Tensor]) -> Batch:
    """Return the samples of each index (b,) from its source, those of the first source first."""
    rows = [source.rows[index] for source, index in zip(sources, indices, strict=True)]
    score = torch.cat([source.pool.score[own] for source, own in zip(sources, rows, strict=True)])
    return sources[0].pool.select(torch.cat(rows)).replace(complete=True, score=score)


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

    def __len__(self) -> int:
        return len(self.source)

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
    reads = (source.prepare(index, generator) for index in indices)
    if not source.ahead:
        for read in reads:
            yield read().to(device)
        return
    pin = torch.device(device).type == "cuda"
    with closing(read_ahead((partial(_once, one, pin) for one in reads), threads=source.ahead, depth=1)) as opened:
        for batch in opened:
            yield next(batch).to(device)


def _once(read: Callable[[], Batch], pin: bool) -> Iterator[Batch]:
    batch = read()
    yield batch.replace(streams={n: s.pinned() for n, s in batch.streams.items()}) if pin else batch


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


def cached_features(extraction: Extraction, labels: LabelSpec, windows: int = 0) -> CachedFeatures:
    """Collate the readable samples of an extraction; if ``windows`` > 0, each is summarised in that many windows."""
    streams = {name: stack(videos, windows) for name, videos in extraction.streams.items()}
    return CachedFeatures(extraction.samples, collate(extraction.samples, labels, streams))


def stack(videos: Sequence[Tensor], windows: int) -> Stream:
    """Stack features (N_i, *F) of several videos into one stream; if ``windows`` > 0, summarise each video first."""
    return Stream.stack([summarise(video, windows) for video in videos] if windows else videos)
