"""Extract the clip features of samples with backbones, and cache them on disk under a fingerprint.

The cache holds one safetensors file per video and backbone (:mod:`aqakit.features.cache`), written to a temporary name
and renamed: a killed extraction loses only the current video. The fingerprint (:mod:`aqakit.features.keys`) covers what
is read of the file or folder, window, backbone and options, weights, the decoder's version and the engine, so that
features computed differently are never used by mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from aqakit.backbones.parts.base import Backbone
from aqakit.backbones.parts.video import VideoBackbone
from aqakit.errors import AqakitError, DataError, OptionError
from aqakit.features import engines, frame_storage
from aqakit.features.cache import load, save, saved
from aqakit.features.engines import Engine
from aqakit.features.frame_storage import Frames, Storage
from aqakit.features.keys import cache_file, content_of, length, source
from aqakit.recordings import video
from aqakit.recordings.transforms import Shift
from aqakit.recordings.video import Report
from aqakit.system.prefetch import read_ahead
from aqakit.system.progress import ThroughputLogger, track
from aqakit.types import Sample

_CLIPS_AT_ONCE = 16
"""Batch size of the network in clips, and the maximum number of clips prefetched from each recording."""

_AHEAD = 2
"""Number of recordings that are read in parallel while the network runs."""


@dataclass(frozen=True)
class Clips:
    """Clip features of one recording.

    Attributes:
        features: (N, *F) float32.
        length: number of frames of the recording, or rows of a signal.
        fresh: whether the features were computed now rather than found in the cache.
        content: hash of what was read.
        report: how well it could be read.
    """

    features: Tensor
    length: int
    fresh: bool
    content: str
    report: Report


@dataclass(frozen=True)
class _Opened:
    """A recording, the hash of what is read of it, cache files of its features, its length, and what was cached.

    There is a file for the fingerprint of each engine that may compute them. The report is complete when all clips have
    been read.
    """

    path: Path
    content: str
    files: Mapping[str, Path]
    length: int
    report: Report
    stored: Tensor | None = None


@dataclass(frozen=True)
class Pixels:
    """Decoded frames (K, H, W, 3) uint8 of one recording, their numbers (K,), and the length of the recording.

    With the hash of what was read, how well it could be read, and whether the frames are those of a file in the cache,
    which cost no memory of their own.
    """

    frames: Frames
    numbers: np.ndarray
    length: int
    content: str
    report: Report
    mapped: bool = False


@dataclass
class Extraction:
    """Features of many samples.

    Attributes:
        streams: for each backbone, features (N_i, *F) of every sample that could be read by all of them, unless they
            were kept elsewhere.
        samples: those samples, in the same order.
        lengths: number of frames of each recording, as the first backbone reads it.
        contents: hashes of what the backbones read of each sample.
        failures: id → error message, for samples that could not be read.
        doubts: id → what must be said of samples that could be read only in part.
    """

    streams: dict[str, list[Tensor]]
    samples: list[Sample] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    contents: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    doubts: dict[str, str] = field(default_factory=dict)

    def add(self, sample: Sample, length: int, found: Sequence[Clips | Pixels]) -> None:
        """Add a sample that could be read by all backbones, with what each of them found."""
        self.samples.append(sample)
        self.lengths.append(length)
        self.contents.append(" ".join(one.content for one in found))
        if not (report := worst([one.report for one in found])).ok:
            self.doubts[sample.id] = report.sentence()


def extract(
    samples: Sequence[Sample],
    backbones: Mapping[str, Backbone],
    cache: Path | None,
    engine: Engine | None = None,
    keep: Callable[[str, Tensor], None] | None = None,
) -> Extraction:
    """Extract features of every sample with every backbone; unreadable samples are listed in ``failures``.

    Args:
        samples: the samples, in the order of the result.
        backbones: backbones by stream name.
        cache: folder of the cache, or None for no caching.
        engine: runs the networks; if None, PyTorch in float32.
        keep: called with the name of the backbone and the features of each sample; if None, they stay in the result.
    """
    done = Extraction({name: [] for name in backbones})
    keep = keep or (lambda name, features: done.streams[name].append(features))
    for sample, found in iter_features(samples, backbones, cache, engine):
        if isinstance(found, AqakitError):
            done.failures[sample.id] = str(found)
            continue
        for name, clips in found.items():
            keep(name, clips.features)
        done.add(sample, next(iter(found.values())).length, list(found.values()))
    return done


def iter_features(
    samples: Sequence[Sample], backbones: Mapping[str, Backbone], cache: Path | None, engine: Engine | None = None
) -> Iterator[tuple[Sample, dict[str, Clips] | AqakitError]]:
    """Yield each sample with its features by backbone, or with the error; features are not kept in memory.

    While the network processes one recording, the next ones are read. The arguments are those of :func:`extract`.
    """
    engine = engine or engines.make()
    reads = [partial(_read, s, name, b, cache, engine) for s in samples for name, b in backbones.items()]
    clock = ThroughputLogger(len(samples))
    with closing(read_ahead(reads, threads=_AHEAD, depth=_CLIPS_AT_ONCE)) as opened:
        for sample in track(samples, f"features ({', '.join(backbones)})"):
            found: dict[str, Clips] = {}
            wrong: AqakitError | None = None
            for name, backbone in backbones.items():
                try:
                    found[name] = _finish(next(opened), backbone, engine)
                except OptionError:
                    raise  # raised by the engine; it would fail for every recording
                except AqakitError as error:
                    wrong = wrong or error
            clock.update(sum(len(c.features) for c in found.values() if c.fresh))
            yield sample, wrong or found
    clock.close()


def clips_of(sample: Sample, name: str, backbone: Backbone, cache: Path | None, engine: Engine | None = None) -> Clips:
    """Return the features of one sample, from the cache if available."""
    engine = engine or engines.make()
    return _finish(_read(sample, name, backbone, cache, engine), backbone, engine)


def _read(
    sample: Sample, name: str, backbone: Backbone, cache: Path | None, engine: Engine
) -> Iterator[_Opened | np.ndarray]:
    """Yield the opened recording, then, if its features are not cached, its clips."""
    backbone = backbone.reader(sample)
    path, content = source(sample, name, backbone), content_of(sample, name, backbone)
    files: dict[str, Path] = {}
    if cache is not None:
        options = {**backbone.fingerprint(), **backbone.fingerprint_of(path)}
        for one in engine.choices(backbone):
            files[one.name] = cache_file(cache, content, sample, name, options | one.fingerprint())
    stored = next((found for file in files.values() if (found := load(file)) is not None), None)
    if stored is not None:
        report = Report(*stored["report"].tolist())
        yield _Opened(path, content, files, int(stored["length"]), report, stored["features"])
        return
    opened = _Opened(path, content, files, length(path, backbone, sample.window, sample.rate), Report())
    yield opened
    yield from _clips(backbone, path, sample.window, sample.rate, opened.report)


def _clips(
    backbone: Backbone, path: Path, window: tuple[int, int] | None, rate: video.Rate, report: Report
) -> Iterator[np.ndarray]:
    if backbone.reads == "video":
        return cast(VideoBackbone, backbone).read(path, window, rate=rate, report=report)
    return backbone.read(path, window)


def _finish(items: Iterator[_Opened | np.ndarray], backbone: Backbone, engine: Engine) -> Clips:
    """Compute the features of what :func:`_read` yields, and cache them if they are new."""
    opened = cast(_Opened, next(items))
    report = opened.report
    if opened.stored is not None:
        return Clips(opened.stored.float(), opened.length, fresh=False, content=opened.content, report=report)
    computed, used = _embed(opened.path, cast(Iterator[np.ndarray], items), backbone, engine)
    if not bool(computed.isfinite().all()):
        raise DataError(f"{opened.path}: the backbone gives features that are not finite; check recording and weights")
    features = compact(computed, backbone)
    if opened.files and _is_whole(opened.path, report):
        save(
            opened.files[used.name],
            {"features": features, "length": torch.tensor(opened.length), "report": _tensor(report)},
        )
    return Clips(features.float(), opened.length, fresh=True, content=opened.content, report=report)


def pixels_of(
    sample: Sample, name: str, backbone: VideoBackbone, cache: Path, *, shift: Shift, storage: Storage = "raw"
) -> Pixels:
    """Return the decoded frames of one sample, from the cache if available.

    They are shared by all backbones that read the same frames, whatever their weights.
    """
    backbone = backbone.reader(sample)
    path, content = source(sample, name, backbone), content_of(sample, name, backbone, shift)
    kept = {} if storage == "raw" else {"storage": storage}
    file = cache_file(cache, content, sample, "pixels", {**backbone.reading(path), "shift": shift, **kept})
    stored = load(file)
    mapped = stored is not None
    if stored is None:
        report = Report()
        frames, numbers, total = backbone.frames(path, sample.window, shift=shift, rate=sample.rate, report=report)
        stored = {
            **frame_storage.stored(frames, storage),
            "numbers": torch.from_numpy(numbers),
            "length": torch.tensor(total),
            "report": _tensor(report),
        }
        if _is_whole(path, report):
            stored, mapped = saved(file, stored), True
    report = Report(*stored["report"].tolist())
    held = frame_storage.restored(stored)
    return Pixels(held, stored["numbers"].numpy(), int(stored["length"]), content, report, mapped)


def worst(reports: Sequence[Report]) -> Report:
    """Return the report of several backbones that read one recording that has most to say."""
    return max(reports, key=lambda one: (one.missing, one.corrupt, one.absent, one.gaps, one.uneven, one.searched))


def _tensor(report: Report) -> Tensor:
    return torch.tensor(astuple(report))


def _is_whole(path: Path, report: Report) -> bool:
    """Whether features depend on nothing but what is hashed: pictures that replace others are not."""
    return not (report.missing and path.is_dir())


def embed(
    backbone: Backbone, sample: Sample, name: str, engine: Engine | None = None, *, report: Report | None = None
) -> Tensor:
    """Compute (N, *F) features of one sample with the backbone ``name``, a bounded number of clips at a time."""
    path = source(sample, name, backbone)
    clips = _clips(backbone.reader(sample), path, sample.window, sample.rate, report or Report())
    return _embed(path, clips, backbone, engine or engines.make())[0]


def _embed(path: Path, clips: Iterator[np.ndarray], backbone: Backbone, engine: Engine) -> tuple[Tensor, Engine]:
    """Compute the features of one recording, all by the engine that is returned beside them."""
    parts: list[Tensor] = []
    while chunk := list(islice(clips, _CLIPS_AT_ONCE)):
        stacked = np.stack(chunk)
        engine = engine if parts else engine.choose(backbone, stacked)
        parts.append(engine.embed(backbone, stacked))
    if not parts:
        raise DataError(f"{path}: no clip could be read from it")
    return torch.cat(parts), engine


def compact(features: Tensor, backbone: Backbone) -> Tensor:
    """Convert to half precision, except for channels with their own units, user features, and what would overflow."""
    exact = backbone.standardise or backbone.reads == "features"
    return features if exact or not bool(features.half().isfinite().all()) else features.half()
