"""Extract the clip features of samples with backbones, and cache them on disk under a fingerprint.

The cache holds one safetensors file per video and backbone (:mod:`aqakit.features.cache`), written to a temporary name
and renamed: a killed extraction loses only the current video. The fingerprint covers file content, window, backbone and
options, weights, the decoder's version and the engine, so that features computed differently are never used by mistake.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np
import torch
from av import __version__ as decoder_version
from av import library_versions
from torch import Tensor

from aqakit.backbones.parts.base import Backbone
from aqakit.backbones.parts.video import VideoBackbone
from aqakit.errors import AqakitError, DataError, OptionError
from aqakit.features import engines
from aqakit.features.cache import load, save
from aqakit.features.engines import Engine
from aqakit.recordings import signals, video
from aqakit.system.prefetch import read_ahead
from aqakit.system.progress import ThroughputLogger, track
from aqakit.types import Sample

FEATURE_VERSION = 1
"""Version of the computed features; increased when a change in aqakit gives other features from the same input."""

_LAYOUT = 2
"""Version of the cache format; increased when the meaning of a cache file changes."""

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
    """

    features: Tensor
    length: int
    fresh: bool


@dataclass(frozen=True)
class _Opened:
    """A recording, the cache file of its features, its length, and its features if they were cached."""

    path: Path
    file: Path | None
    length: int
    stored: Tensor | None


@dataclass(frozen=True)
class Pixels:
    """Decoded frames (K, H, W, 3) uint8 of one recording, their numbers (K,), and the length of the recording."""

    frames: Tensor
    numbers: np.ndarray
    length: int


@dataclass
class Extraction:
    """Features of many samples.

    Attributes:
        streams: for each backbone, features (N_i, *F) of every sample that could be read by all of them.
        samples: those samples, in the same order.
        lengths: number of frames of each recording, as the first backbone reads it.
        contents: content hashes of all recordings of each sample.
        failures: id → error message, for samples that could not be read.
    """

    streams: dict[str, list[Tensor]]
    samples: list[Sample] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    contents: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, sample: Sample, length: int) -> None:
        """Add a sample that could be read."""
        self.samples.append(sample)
        self.lengths.append(length)
        self.contents.append(" ".join(content_hash(path) for path in sample.sources.values()))


def extract(
    samples: Sequence[Sample], backbones: Mapping[str, Backbone], cache: Path | None, engine: Engine | None = None
) -> Extraction:
    """Extract features of every sample with every backbone; unreadable samples are listed in ``failures``.

    Args:
        samples: the samples, in the order of the result.
        backbones: backbones by stream name.
        cache: folder of the cache, or None for no caching.
        engine: runs the networks; if None, PyTorch in float32.
    """
    done = Extraction({name: [] for name in backbones})
    for sample, found in iter_features(samples, backbones, cache, engine):
        if isinstance(found, AqakitError):
            done.failures[sample.id] = str(found)
            continue
        for name, clips in found.items():
            done.streams[name].append(clips.features)
        done.add(sample, next(iter(found.values())).length)
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
    path = source(sample, name, backbone)
    file = None
    if cache is not None:
        options = {**backbone.fingerprint(), **backbone.fingerprint_of(path), **engine.fingerprint()}
        file = cache_file(cache, path, sample.window, name, options)
    stored = load(file) if file else None
    if stored is not None:
        yield _Opened(path, file, int(stored["length"]), stored["features"])
        return
    yield _Opened(path, file, length(path, backbone, sample.window), None)
    yield from backbone.read(path, sample.window)


def _finish(items: Iterator[_Opened | np.ndarray], backbone: Backbone, engine: Engine) -> Clips:
    """Compute the features of what :func:`_read` yields, and cache them if they are new."""
    opened = cast(_Opened, next(items))
    if opened.stored is not None:
        return Clips(opened.stored.float(), opened.length, fresh=False)
    computed = _embed(opened.path, cast(Iterator[np.ndarray], items), backbone, engine)
    if not bool(computed.isfinite().all()):
        raise DataError(f"{opened.path}: the backbone gives features that are not finite; check recording and weights")
    features = compact(computed, backbone)
    if opened.file:
        save(opened.file, {"features": features, "length": torch.tensor(opened.length)})
    return Clips(features.float(), opened.length, fresh=True)


def pixels_of(sample: Sample, name: str, backbone: VideoBackbone, cache: Path, *, shift: int) -> Pixels:
    """Return the decoded frames of one sample, from the cache if available.

    They are shared by all backbones that read the same frames, whatever their weights.
    """
    path = source(sample, name, backbone)
    file = cache_file(cache, path, sample.window, "pixels", {**backbone.reading(path), "shift": shift})
    stored = load(file)
    if stored is None:
        frames, numbers, total = backbone.frames(path, sample.window, shift=shift)
        stored = {
            "frames": torch.from_numpy(frames),
            "numbers": torch.from_numpy(numbers),
            "length": torch.tensor(total),
        }
        save(file, stored)
    return Pixels(stored["frames"], stored["numbers"].numpy(), int(stored["length"]))


def source(sample: Sample, name: str, backbone: Backbone) -> Path:
    """Return the recording of a sample that a backbone reads."""
    if backbone.reads not in sample.sources:
        there = " and ".join(sample.sources) or "nothing"
        raise DataError(f"{sample.id}: backbone {name} reads {backbone.reads}, and the sample has {there}")
    return sample.sources[backbone.reads]


def embed(backbone: Backbone, path: Path, window: tuple[int, int] | None, engine: Engine | None = None) -> Tensor:
    """Compute (N, *F) features of one recording, a bounded number of clips at a time."""
    return _embed(path, backbone.read(path, window), backbone, engine or engines.make())


def _embed(path: Path, clips: Iterator[np.ndarray], backbone: Backbone, engine: Engine) -> Tensor:
    parts = []
    while chunk := list(islice(clips, _CLIPS_AT_ONCE)):
        parts.append(engine.embed(backbone, np.stack(chunk)))
    if not parts:
        raise DataError(f"{path}: no clip could be read from it")
    return torch.cat(parts)


def compact(features: Tensor, backbone: Backbone) -> Tensor:
    """Convert to half precision, except for channels with their own units, user features, and what would overflow."""
    exact = backbone.standardise or backbone.reads == "features"
    return features if exact or not bool(features.half().isfinite().all()) else features.half()


def length(path: Path, backbone: Backbone, window: tuple[int, int] | None) -> int:
    """Return the number of frames of a video, or rows of any other recording, within the window."""
    if window is not None:
        return window[1] - window[0] + 1
    if backbone.reads == "video":
        return video.probe(path).frames
    return len(signals.READERS[backbone.reads](path))


def cache_file(
    cache: Path, path: Path, window: tuple[int, int] | None, name: str, options: Mapping[str, object]
) -> Path:
    """Return the cache file in the folder ``name`` for a recording that is processed with ``options``."""
    recipe = {
        "layout": _LAYOUT,
        "features": FEATURE_VERSION,
        "kind": name,
        "content": content_hash(path),
        "window": window,
        "options": options,
        "decoder": [decoder_version, *sorted(map(str, library_versions.items()))],
    }
    key = digest(recipe)
    return cache / "features" / name / key[:2] / f"{key}.safetensors"


def digest(recipe: object) -> str:
    """Return a short hash of a JSON value."""
    return hashlib.blake2b(json.dumps(recipe, sort_keys=True).encode(), digest_size=16).hexdigest()


def content_hash(path: Path) -> str:
    """Hash a file, or all files of a folder of frames; memoised while size and modification time stay the same."""
    files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
    combined = hashlib.blake2b(digest_size=16)
    for file in files:
        try:
            status = file.stat()
        except OSError as error:
            raise DataError(f"{file}: {error.strerror or error}") from None
        combined.update(_hash_file(file, status.st_size, status.st_mtime_ns))
    return combined.hexdigest()


@lru_cache(maxsize=100_000)
def _hash_file(path: Path, size: int, modified: int) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
