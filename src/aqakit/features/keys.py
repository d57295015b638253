"""Keys of the feature cache: hashes of everything that changes what a cache file holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from av import __version__ as decoder_version
from av import library_versions

from aqakit.backbones.parts.base import Backbone
from aqakit.backbones.parts.video import VideoBackbone
from aqakit.errors import DataError
from aqakit.recordings import signals, video
from aqakit.recordings.hashing import content_hash
from aqakit.recordings.transforms import Shift
from aqakit.types import Sample

FEATURE_VERSION = 1
"""Version of the computed features; increased when a change in aqakit gives other features from the same input."""

_LAYOUT = 2
"""Version of the cache format; increased when the meaning of a cache file, or what is read of a recording, changes."""


def source(sample: Sample, name: str, backbone: Backbone) -> Path:
    """Return the recording of a sample that a backbone reads."""
    if backbone.reads not in sample.sources:
        there = " and ".join(sample.sources) or "nothing"
        raise DataError(f"{sample.id}: backbone {name} reads {backbone.reads}, and the sample has {there}")
    return sample.sources[backbone.reads]


def length(path: Path, backbone: Backbone, window: tuple[int, int] | None, rate: video.Rate = "stored") -> int:
    """Return the number of frames of a video, or rows of any other recording, within the window."""
    if window is not None:
        return window[1] - window[0] + 1
    if backbone.reads == "video":
        return video.probe(path, rate).frames
    return len(signals.READERS[backbone.reads](path))


def content_of(sample: Sample, name: str, backbone: Backbone, shift: Shift = 0) -> str:
    """Hash what a backbone reads of a sample: of a folder, only the pictures of its clips."""
    path = source(sample, name, backbone)
    if not isinstance(backbone, VideoBackbone) or not path.is_dir():
        return content_hash(path, kind=backbone.reads)
    whole = "" if sample.window else f"{video.probe(path).frames} "
    return whole + content_hash(path, backbone.numbers(path, sample.window, shift=shift).tolist())


def cache_file(cache: Path, content: str, sample: Sample, name: str, options: Mapping[str, object]) -> Path:
    """Return the cache file in the folder ``name`` for a sample that is processed with ``options``.

    Args:
        cache: folder of the cache.
        content: hash of what is read of the sample.
        sample: its window and rate count.
        name: of the backbone, or of what else is stored.
        options: everything else that changes what the file holds, as JSON values.
    """
    recipe = {
        "layout": _LAYOUT,
        "features": FEATURE_VERSION,
        "kind": name,
        "content": content,
        "window": sample.window,
        "rate": sample.rate,
        "options": options,
        "decoder": [decoder_version, *sorted(map(str, library_versions.items()))],
    }
    key = digest(recipe)
    return cache / "features" / name / key[:2] / f"{key}.safetensors"


def digest(recipe: object) -> str:
    """Return a short hash of a JSON value."""
    return hashlib.blake2b(json.dumps(recipe, sort_keys=True).encode(), digest_size=16).hexdigest()
