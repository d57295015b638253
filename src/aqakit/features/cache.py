"""Files of tensors under a fingerprint, one for each recording; and packs of them, where they would be too many.

A folder of features holds 256 folders by the first two letters of the fingerprint. Packing turns each of them into one
file ``<letters>.safetensors`` beside it, whose header is the index; what is computed later lies loose again until the
next packing. A million recordings are 256 files then, and a look into one costs a seek.
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

from aqakit.system.files import replacing
from aqakit.system.progress import track

PACK_ABOVE = 100_000
"""Loose files in a folder of features that are too many for most file systems to be quick with."""


def load(file: Path) -> dict[str, Tensor] | None:
    """What is cached under a name, loose or packed; None where it is missing or damaged, so that it is made again."""
    return _loose(file) or _packed(_pack_of(file.parent), file.stem)


def save(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write atomically."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)


def too_many(folder: Path) -> bool:
    """Whether the features in a folder had better be packed."""
    return sum(1 for _ in folder.glob("??/*.safetensors")) > PACK_ABOVE


def pack(folder: Path) -> int:
    """Pack all loose files in a folder of features; how many there were.

    Stopped in mid-run, it leaves every recording loose or packed, or both. Damaged files go, to be made again.
    """
    count = 0
    for letters in track(sorted(p for p in folder.glob("??") if p.is_dir()), f"packing {folder.name}"):
        loose = sorted(letters.glob("*.safetensors"))
        if loose:
            _merge(letters, loose)
            count += len(loose)
    return count


def _merge(letters: Path, loose: list[Path]) -> None:
    """Into the pack of a folder; a loose file goes only once the pack that holds it is in its place."""
    target = _pack_of(letters)
    tensors: dict[str, Tensor] = {}
    with _opened(target) as pack:
        if pack:
            tensors |= {name: pack.get_tensor(name) for name in pack.keys()}  # noqa: SIM118  not a mapping
    for file in loose:
        tensors |= {f"{file.stem}/{name}": tensor for name, tensor in (_loose(file) or {}).items()}
    with replacing(target) as temporary:
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
    """An open pack, and the names of its tensors by fingerprint; opened anew when the pack changes."""
    pack = safe_open(file, framework="pt")
    found: dict[str, list[str]] = {}
    for name in pack.keys():  # type: ignore[no-untyped-call]  # noqa: SIM118  not a mapping
        found.setdefault(name.partition("/")[0], []).append(name)
    return pack, found


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """An existing pack; None where there is none, or a damaged one, whose recordings will be made again."""
    try:
        pack = safe_open(file, framework="pt")
    except (OSError, SafetensorError):
        yield None
        return
    with pack:
        yield pack
