"""Which pretrained networks are on this machine already, so that they can be used without the internet."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterator
from pathlib import Path

from aqakit.backbones.weights.bundles import Network
from aqakit.backbones.weights.download import default_folder
from aqakit.backbones.weights.published import CATALOGUE
from aqakit.errors import OptionError

POSE: tuple[Network, ...] = ("full", "heavy", "lite")
"""Networks for joints, in the order in which they are taken."""

_FOR_VIDEO = ("i3d", "c3d", "p3d")
"""Backbones with published weights, the strongest on action quality first."""
_TENSORS = ("*.safetensors", "pytorch_model*.bin")
_PICTURES = {
    "convnext", "convnextv2", "dinov2", "mobilenet_v1", "mobilenet_v2", "resnet", "swin", "timesformer", "videomae",
    "vit", "vivit", "vjepa2",
}  # fmt: skip
"""Types of models in Hugging Face layout that take pixels alone."""


def pose_networks(given: Path | None) -> list[tuple[Network, Path]]:
    """Return the networks of BlazePose that a folder or file may hold; those of ``aqakit weights get`` for None."""
    if given is not None and given.is_file():
        return [(network, given) for network in POSE if given.name.endswith(f"{network}.task")]
    folder = default_folder() if given is None else given
    names = ("pose_landmarker_{}.task",) if given is None else ("pose_landmarker_{}.task", "pose_landmark_{}.tflite")
    files = [(one, folder / name.format(one)) for one in POSE for name in names]
    return [(network, file if given is None else given) for network, file in files if file.is_file()]


def pretrained(given: Path | None) -> str | None:
    """Return a backbone with its weights, as ``name:weights=path``, for video; None if there are none.

    Args:
        given: a file that ``aqakit weights`` lists, or a folder in Hugging Face layout; None to look where they are
            downloaded to.

    Raises:
        OptionError: a file was given that is none of these.
    """
    if given is None:
        return next(chain_of_downloads(), None)
    if is_model(given):
        return f"huggingface:weights={given}"
    entry = next((one for one in CATALOGUE if given.name in (one.name, *one.also) and one.form == "tensors"), None)
    if entry is not None and given.is_file():
        return f"{entry.backbone}:weights={given}"
    if pose_networks(given):
        return None
    raise OptionError(f"{given} holds no weights that are known by their names; `aqakit weights` lists those that are")


def chain_of_downloads() -> Iterator[str]:
    """Yield backbones whose weights were downloaded before, the best first."""
    for backbone in _FOR_VIDEO:
        for one in CATALOGUE:
            if one.backbone == backbone and one.channels == 3 and (default_folder() / one.name).is_file():
                yield f"{backbone}:weights={one.name}"
    stored = os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME", "~/.cache/huggingface")) / "hub"
    found = [*default_folder().glob("*/"), *Path(stored).expanduser().glob("models--*/snapshots/*/")]
    yield from (f"huggingface:weights={folder}" for folder in sorted(found) if is_model(folder))


def is_model(folder: Path) -> bool:
    """Whether a folder holds a model of pictures or clips in Hugging Face layout, and it can be used here."""
    if importlib.util.find_spec("transformers") is None or not any(any(folder.glob(one)) for one in _TENSORS):
        return False
    try:
        return json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type") in _PICTURES
    except (OSError, ValueError, AttributeError):
        return False
