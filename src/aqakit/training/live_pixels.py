"""Batches of pixels, for runs that train their backbones: decoded once, in parallel, and augmented at random."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aqakit.backbones.parts.video import VideoBackbone
from aqakit.errors import AqakitError
from aqakit.features import extract
from aqakit.features.extract import Extraction, Pixels
from aqakit.features.frame_storage import Storage
from aqakit.recordings import transforms
from aqakit.recordings.transforms import Shift
from aqakit.system import processes
from aqakit.system.prefetch import call_ahead
from aqakit.system.progress import track
from aqakit.training.batches import rescored
from aqakit.training.collating import collate
from aqakit.training.pixel_memory import PixelMemory
from aqakit.training.pixel_stream import Augmentation, PixelStream, View
from aqakit.types import Batch, LabelSpec, Sample

_VIDEOS_AT_ONCE = 32


class LivePixels:
    """Pixels, decoded once and cached on disk; the backbones of the run compute features from them, with gradients.

    Args:
        samples: the samples that could be read.
        labels: their labels, as a Batch without streams.
        backbones: the backbone of each stream.
        cache: folder for the decoded frames.
        shift: how far the window moves at random in training.
        flip: whether to flip training videos horizontally with probability 1/2.
        jitter: maximum random translation of the picture in training, in pixels; the border is repeated.
        storage: how decoded frames are kept in the cache.
        memory: what holds frames, shared by all subsets; a new one if not given.
    """

    at_once = _VIDEOS_AT_ONCE
    ahead = 2

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
        storage: Storage = "raw",
        memory: PixelMemory | None = None,
    ) -> None:
        self.samples, self.labels, self.backbones = samples, labels, backbones
        self.memory = memory or PixelMemory()
        self.cache, self.shift, self.flip, self.jitter, self.storage = cache, shift, flip, jitter, storage

    def __len__(self) -> int:
        return len(self.samples)

    def subset(self, index: Tensor) -> LivePixels:
        """Select some of the samples."""
        return self._like([self.samples[i] for i in index.tolist()], self.labels.select(index))

    def with_labels(self, labels: LabelSpec) -> LivePixels:
        """Return the same samples with the classes and words of another label description."""
        return self._like(self.samples, collate(self.samples, labels, {}))

    def with_scores(self, score: Mapping[str, float]) -> LivePixels:
        """Return the same samples with other scores, by id."""
        samples = rescored(self.samples, score)
        known = torch.tensor([math.nan if s.score is None else s.score for s in samples])
        return self._like(samples, self.labels.replace(score=known))

    def labels_of(self, index: Tensor) -> Batch:
        """Return the labels of the samples of ``index`` (b,), as a batch without streams."""
        return self.labels.select(index)

    @property
    def all_rows(self) -> Batch:
        """All samples as one batch of pixels."""
        return self.batch(torch.arange(len(self)))

    def _like(self, samples: Sequence[Sample], labels: Batch) -> LivePixels:
        more: dict[str, Any] = {"shift": self.shift, "flip": self.flip, "jitter": self.jitter, "storage": self.storage}
        return LivePixels(samples, labels, self.backbones, self.cache, **more, memory=self.memory)

    def batch(self, index: Tensor, generator: torch.Generator | None = None) -> Batch:
        """Return clips (b, N, T, H, W, 3) uint8 in every stream; with a generator, augmented at random."""
        return self.prepare(index, generator)()

    def prepare(self, index: Tensor, generator: torch.Generator | None = None) -> Callable[[], Batch]:
        """Draw what is random in a batch, and return the function that reads it, which may run in another thread."""
        chosen = [self.samples[i] for i in index.tolist()]
        drawn = self._augmentations(len(chosen), generator)
        return partial(self._read, index, chosen, drawn)

    def _read(self, index: Tensor, chosen: Sequence[Sample], drawn: Sequence[Augmentation]) -> Batch:
        streams = {
            name: PixelStream([self._view(s, name, backbone, seen) for s, seen in zip(chosen, drawn)], backbone)
            for name, backbone in self.backbones.items()
        }
        return self.labels.select(index).replace(streams=streams)

    def _augmentations(self, count: int, generator: torch.Generator | None) -> list[Augmentation]:
        if generator is None:
            return [Augmentation()] * count
        down, right = (transforms.random_shifts(self.jitter, count, generator) for _ in range(2))
        mirrored = transforms.random_flips(count, generator) if self.flip else [False] * count
        shift = transforms.random_shifts(self.shift, count, generator)
        return [Augmentation(*one) for one in zip(shift, mirrored, down, right, strict=True)]

    def _view(self, sample: Sample, name: str, backbone: VideoBackbone, seen: Augmentation) -> View:
        pixels = self.pixels(sample, name)
        table = backbone.reader(sample).clips_of(pixels.numbers, pixels.length, seen.shift, sample.window)
        return View.of(pixels.frames, table, seen)

    def pixels(self, sample: Sample, name: str) -> Pixels:
        """Return all frames of a sample that the backbone of a stream may read."""
        backbone = self.backbones[name]
        read = partial(extract.pixels_of, sample, name, backbone, self.cache, shift=self.shift, storage=self.storage)
        return self.memory.get((sample.id, name), read)


def live_pixels(
    samples: Sequence[Sample],
    labels: LabelSpec,
    backbones: Mapping[str, VideoBackbone],
    cache: Path,
    *,
    shift: Shift,
    flip: bool,
    jitter: int,
    storage: Storage = "raw",
    threads: int | None = None,
) -> tuple[LivePixels, Extraction]:
    """Decode every sample once; the returned Extraction holds lengths and failures but no features.

    Samples are decoded in ``threads`` threads, by default as many as the process has cores.
    """
    more: dict[str, Any] = {"shift": shift, "flip": flip, "jitter": jitter, "storage": storage, "memory": PixelMemory()}
    everything = LivePixels(samples, collate(samples, labels, {}), backbones, cache, **more)
    done = Extraction({})
    calls = (partial(_decoded, everything, sample) for sample in samples)
    with closing(call_ahead(calls, threads=threads or processes.cores())) as decoded:
        for sample, found in zip(track(samples, "decoding"), decoded, strict=True):
            if isinstance(found, AqakitError):
                done.failures[sample.id] = str(found)
                continue
            first, last = sample.window or (0, found[0].length - 1)
            done.add(sample, last - first + 1, found)
    return LivePixels(done.samples, collate(done.samples, labels, {}), backbones, cache, **more), done


def _decoded(source: LivePixels, sample: Sample) -> list[Pixels] | AqakitError:
    try:
        return [source.pixels(sample, name) for name in source.backbones]
    except AqakitError as error:
        return error
