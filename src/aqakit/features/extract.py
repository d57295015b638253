"""Sample × backbone → features of its clips, computed once and kept on disk under a fingerprint.

The cache holds one safetensors file per video and backbone (:mod:`aqakit.features.cache`), written to a temporary name
and renamed: a killed extraction loses the video in hand and nothing else. The fingerprint covers file content, window,
backbone and options, weights, the decoder's version and the engine, so that features made otherwise are never used by
mistake.
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
from aqakit.system.prefetch import ahead
from aqakit.system.progress import Clock, track
from aqakit.types import Sample

_LAYOUT = 1
"""Raised when the meaning of a cache file changes."""

_CLIPS_AT_ONCE = 16
"""Given to the network together, and read ahead of it at most, of each recording."""

_AHEAD = 2
"""Recordings that are read while the network works on one."""


@dataclass(frozen=True)
class Clips:
    """Features (N, *F) of one recording.

    Attributes:
        features: (N, *F) float32.
        length: frames of the recording, or rows of a signal.
        fresh: whether they were computed just now, and not found in the cache.
    """

    features: Tensor
    length: int
    fresh: bool


@dataclass(frozen=True)
class _Opened:
    """A recording, the file of its features, how long it is, and its features if they were in that file."""

    path: Path
    file: Path | None
    length: int
    stored: Tensor | None


@dataclass(frozen=True)
class Pixels:
    """Decoded frames (K, H, W, 3) uint8 of one recording, their numbers (K,), and how many it has in all."""

    frames: Tensor
    numbers: np.ndarray
    length: int


@dataclass
class Extraction:
    """Features of many samples.

    Attributes:
        streams: for each backbone, features (N_i, *F) of every sample that could be read by all of them.
        samples: those samples, in the same order.
        lengths: frames of each recording, as the first backbone reads it.
        contents: hash of each recording, of all its kinds.
        failures: id → sentence, of the samples that could not be read.
    """

    streams: dict[str, list[Tensor]]
    samples: list[Sample] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    contents: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, sample: Sample, length: int) -> None:
        """Count a sample that could be read."""
        self.samples.append(sample)
        self.lengths.append(length)
        self.contents.append(" ".join(content_hash(path) for path in sample.sources.values()))


def extract(
    samples: Sequence[Sample], backbones: Mapping[str, Backbone], cache: Path | None, engine: Engine | None = None
) -> Extraction:
    """Features of every sample by every backbone; what cannot be read is left out and named.

    Args:
        samples: in the order in which the features are wanted.
        backbones: by the name under which their stream is known.
        cache: a folder, or None to keep nothing.
        engine: runs the networks; PyTorch in float32 where None.
    """
    done = Extraction({name: [] for name in backbones})
    for sample, found in each(samples, backbones, cache, engine):
        if isinstance(found, AqakitError):
            done.failures[sample.id] = str(found)
            continue
        for name, clips in found.items():
            done.streams[name].append(clips.features)
        done.add(sample, next(iter(found.values())).length)
    return done


def each(
    samples: Sequence[Sample], backbones: Mapping[str, Backbone], cache: Path | None, engine: Engine | None = None
) -> Iterator[tuple[Sample, dict[str, Clips] | AqakitError]]:
    """Samples with their features by backbone, or with what is wrong, one after another; none is held.

    While the network works on one recording, the next ones are read. Arguments are those of :func:`extract`.
    """
    engine = engine or engines.make()
    reads = [partial(_read, s, name, b, cache, engine) for s in samples for name, b in backbones.items()]
    clock = Clock(len(samples))
    with closing(ahead(reads, threads=_AHEAD, depth=_CLIPS_AT_ONCE)) as opened:
        for sample in track(samples, f"features ({', '.join(backbones)})"):
            found: dict[str, Clips] = {}
            wrong: AqakitError | None = None
            for name, backbone in backbones.items():
                try:
                    found[name] = _finish(next(opened), backbone, engine)
                except OptionError:
                    raise  # of the engine: it would be the same for every recording
                except AqakitError as error:
                    wrong = wrong or error
            clock.count(sum(len(c.features) for c in found.values() if c.fresh))
            yield sample, wrong or found
    clock.tell()


def clips_of(sample: Sample, name: str, backbone: Backbone, cache: Path | None, engine: Engine | None = None) -> Clips:
    """Features of one sample, from the cache if they are there."""
    engine = engine or engines.make()
    return _finish(_read(sample, name, backbone, cache, engine), backbone, engine)


def _read(
    sample: Sample, name: str, backbone: Backbone, cache: Path | None, engine: Engine
) -> Iterator[_Opened | np.ndarray]:
    """What is known of a recording, then its clips, if its features are not in the cache."""
    path = source(sample, name, backbone)
    file = cache_file(cache, path, sample.window, name, backbone, **engine.fingerprint()) if cache else None
    stored = load(file) if file else None
    if stored is not None:
        yield _Opened(path, file, int(stored["length"]), stored["features"])
        return
    yield _Opened(path, file, length(path, backbone, sample.window), None)
    yield from backbone.read(path, sample.window)


def _finish(items: Iterator[_Opened | np.ndarray], backbone: Backbone, engine: Engine) -> Clips:
    """Features of what :func:`_read` gives, kept in the cache if they are new."""
    opened = cast(_Opened, next(items))
    if opened.stored is not None:
        return Clips(opened.stored.float(), opened.length, fresh=False)
    features = compact(_embed(opened.path, cast(Iterator[np.ndarray], items), backbone, engine), backbone)
    if opened.file:
        save(opened.file, {"features": features, "length": torch.tensor(opened.length)})
    return Clips(features.float(), opened.length, fresh=True)


def pixels_of(sample: Sample, name: str, backbone: VideoBackbone, cache: Path, *, shift: int) -> Pixels:
    """Decoded frames of one sample, from the cache if they are there."""
    path = source(sample, name, backbone)
    file = cache_file(cache, path, sample.window, name, backbone, pixels=True, shift=shift)
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
    """The recording of a sample that a backbone reads."""
    if backbone.reads not in sample.sources:
        there = " and ".join(sample.sources) or "nothing"
        raise DataError(f"{sample.id}: backbone {name} reads {backbone.reads}, and the sample has {there}")
    return sample.sources[backbone.reads]


def embed(backbone: Backbone, path: Path, window: tuple[int, int] | None, engine: Engine | None = None) -> Tensor:
    """(N, *F) features of one recording, a bounded number of clips at a time."""
    return _embed(path, backbone.read(path, window), backbone, engine or engines.make())


def _embed(path: Path, clips: Iterator[np.ndarray], backbone: Backbone, engine: Engine) -> Tensor:
    parts = []
    while chunk := list(islice(clips, _CLIPS_AT_ONCE)):
        parts.append(engine.embed(backbone, np.stack(chunk)))
    if not parts:
        raise DataError(f"{path}: no clip could be read from it")
    return torch.cat(parts)


def compact(features: Tensor, backbone: Backbone) -> Tensor:
    """Half precision, except for channels in units of their own and for a user's features, which may not fit it."""
    return features if backbone.standardise or backbone.reads == "features" else features.half()


def length(path: Path, backbone: Backbone, window: tuple[int, int] | None) -> int:
    """Frames of a video, or rows of any other recording, within the window."""
    if window is not None:
        return window[1] - window[0] + 1
    if backbone.reads == "video":
        return video.probe(path).frames
    return len(signals.READERS[backbone.reads](path))


def cache_file(
    cache: Path, path: Path, window: tuple[int, int] | None, name: str, backbone: Backbone, **more: object
) -> Path:
    """Where the features of this recording by this backbone belong."""
    recipe = {
        "layout": _LAYOUT,
        "content": content_hash(path),
        "window": window,
        "backbone": name,
        "options": backbone.fingerprint(),
        "decoder": [decoder_version, *sorted(map(str, library_versions.items()))],
        **more,
    }
    key = digest(recipe)
    return cache / "features" / name / key[:2] / f"{key}.safetensors"


def digest(recipe: object) -> str:
    """A short name for a JSON value."""
    return hashlib.blake2b(json.dumps(recipe, sort_keys=True).encode(), digest_size=16).hexdigest()


def content_hash(path: Path) -> str:
    """Of a file, or of all files of a folder of frames; remembered while size and time stay the same."""
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
