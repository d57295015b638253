"""Sample × backbone → features of its clips, computed once and kept on disk under a fingerprint.

The cache holds one safetensors file per video and backbone, written to a temporary name and renamed: a killed
extraction loses the video in hand and nothing else. The fingerprint covers file content, window, backbone, its options
and weights, and the decoder's version, so that features made otherwise are never used by mistake.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path

import av
import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from aqakit import signals, video
from aqakit.backbones import Backbone
from aqakit.backbones._video import VideoBackbone
from aqakit.errors import AqakitError, DataError
from aqakit.files import replacing
from aqakit.progress import console, track
from aqakit.types import Sample

_LAYOUT = 1
"""Raised when the meaning of a cache file changes."""

_CLIPS_AT_ONCE = 32


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


def extract(samples: Sequence[Sample], backbones: Mapping[str, Backbone], cache: Path | None) -> Extraction:
    """Features of every sample by every backbone; what cannot be read is left out and named.

    Args:
        samples: in the order in which the features are wanted.
        backbones: by the name under which their stream is known.
        cache: a folder, or None to keep nothing.
    """
    done = Extraction({name: [] for name in backbones})
    clock = _Clock()
    for sample in track(samples, f"features ({', '.join(backbones)})"):
        try:
            found = {name: clips_of(sample, name, backbone, cache) for name, backbone in backbones.items()}
        except AqakitError as error:
            done.failures[sample.id] = str(error)
            continue
        for name, clips in found.items():
            done.streams[name].append(clips.features)
            clock.count(clips)
        done.add(sample, next(iter(found.values())).length)
    clock.tell()
    return done


class _Clock:
    """How fast features were computed; silent where all of them came from the cache."""

    def __init__(self) -> None:
        self.started, self.recordings, self.clips = time.monotonic(), 0, 0

    def count(self, clips: Clips) -> None:
        self.recordings += clips.fresh
        self.clips += clips.fresh * len(clips.features)

    def tell(self) -> None:
        if self.recordings:
            seconds = time.monotonic() - self.started
            console.print(
                f"features of {self.recordings} recordings, {self.clips} clips, in {seconds:.1f} s: "
                f"{self.clips / seconds:.0f} clips/s",
                highlight=False,
            )


def clips_of(sample: Sample, name: str, backbone: Backbone, cache: Path | None) -> Clips:
    """Features of one sample, from the cache if they are there."""
    path = source(sample, name, backbone)
    file = cache_file(cache, path, sample.window, name, backbone) if cache else None
    stored = load(file) if file else None
    fresh = stored is None
    if stored is None:
        found = compact(embed(backbone, path, sample.window), backbone)
        stored = {"features": found, "length": torch.tensor(length(path, backbone, sample.window))}
        if file:
            save(file, stored)
    return Clips(stored["features"].float(), int(stored["length"]), fresh)


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
        raise DataError(f"{sample.id}: backbone {name} reads a {backbone.reads}, and the sample has {there}")
    return sample.sources[backbone.reads]


@torch.inference_mode()
def embed(backbone: Backbone, path: Path, window: tuple[int, int] | None) -> Tensor:
    """(N, *F) features of one recording, a bounded number of clips at a time."""
    clips = backbone.eval().read(path, window)
    parts = []
    while chunk := list(islice(clips, _CLIPS_AT_ONCE)):
        parts.append(backbone(torch.from_numpy(np.stack(chunk))).float())
    if not parts:
        raise DataError(f"{path}: no clip could be read from it")
    return torch.cat(parts)


def compact(features: Tensor, backbone: Backbone) -> Tensor:
    """Half precision, except for channels in units of their own, which may not fit in its range."""
    return features if backbone.standardise else features.half()


def length(path: Path, backbone: Backbone, window: tuple[int, int] | None) -> int:
    """Frames of a video, or rows of a signal, within the window."""
    if window is not None:
        return window[1] - window[0] + 1
    if backbone.reads == "video":
        return video.probe(path).frames
    read = signals.kinematics if backbone.reads == "signal" else signals.skeleton
    return len(read(path))


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
        "decoder": [av.__version__, *sorted(map(str, av.library_versions.items()))],
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


def load(file: Path) -> dict[str, Tensor] | None:
    """What is cached in a file; None where it is missing or damaged, so that it is made again."""
    try:
        with safe_open(file, framework="pt") as stored:
            return {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118  not a mapping
    except (OSError, SafetensorError):
        return None


def save(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write atomically."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)
