"""Feature cache: one file of tensors per recording, named by fingerprint, and packs of many such files.

A feature folder has 256 subfolders by the first two letters of the fingerprint. Packing turns each of them into a file
``<letters>.safetensors`` beside it, whose header is the index. Features computed later are separate files again until
the next packing. A million recordings then take 256 files, and reading one costs a seek.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from aqakit.system.files import atomic_path
from aqakit.system.progress import track

PACK_ABOVE = 100_000
"""Number of unpacked files in a feature folder above which most file systems become slow."""


def load(file: Path) -> dict[str, Tensor] | None:
    """Load cached tensors, loose or packed; None if they are missing or damaged and must be computed again."""
    return _loose(file) or _packed(_pack_of(file.parent), file.stem)


def save(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors to a cache file atomically."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(file) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)


def too_many(folder: Path) -> bool:
    """Return whether the features in a folder should be packed."""
    return sum(1 for _ in folder.glob("??/*.safetensors")) > PACK_ABOVE


def pack(folder: Path) -> int:
    """Pack all loose files in a feature folder, and return their number.

    If interrupted, every recording is still loose, packed, or both. Damaged files are deleted, to be computed again.
    """
    count = 0
    for letters in track(sorted(p for p in folder.glob("??") if p.is_dir()), f"packing {folder.name}"):
        loose = sorted(letters.glob("*.safetensors"))
        if loose:
            _merge(letters, loose)
            count += len(loose)
    return count


def _merge(letters: Path, loose: list[Path]) -> None:
    """Merge loose files into the pack of a folder; they are deleted only after the new pack is in place."""
    target = _pack_of(letters)
    tensors: dict[str, Tensor] = {}
    with _opened(target) as pack:
        if pack:
            tensors |= {name: pack.get_tensor(name) for name in pack.keys()}  # noqa: SIM118  not a mapping
    for file in loose:
        tensors |= {f"{file.stem}/{name}": tensor for name, tensor in (_loose(file) or {}).items()}
    with atomic_path(target) as temporary:
        save_file(tensors, temporary)
    for file in loose:
        file.unlink(missing_ok=True)


def _pack_of(letters: Path) -> Path:
    return letters.with_name(f"{letters.name}.safetensors")


def _loose(file: Path) -> dict[str, Tensor] | None:
    try:
        with safe_open(file, framework="pt") as stored:
            return {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118  not a mapping
    except (OSError, SafetensorError):
        return None


def _packed(file: Path, key: str) -> dict[str, Tensor] | None:
    try:
        pack, names = _index(file, file.stat().st_mtime_ns)
        return {name.partition("/")[2]: pack.get_tensor(name) for name in names[key]} if key in names else None
    except (OSError, SafetensorError):
        return None


@lru_cache(maxsize=256)
def _index(file: Path, modified: int) -> tuple[Any, dict[str, list[str]]]:
    """Return an open pack, and the names of its tensors by fingerprint; reopened when the pack changes."""
    pack = safe_open(file, framework="pt")
    found: dict[str, list[str]] = {}
    for name in pack.keys():  # type: ignore[no-untyped-call]  # noqa: SIM118  not a mapping
        found.setdefault(name.partition("/")[0], []).append(name)
    return pack, found


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """Open a pack; None if it is missing or damaged, in which case its features are computed again."""
    try:
        pack = safe_open(file, framework="pt")
    except (OSError, SafetensorError):
        yield None
        return
    with pack:
        yield pack
