"""Feature cache: one file of tensors per recording, named by fingerprint, and packs of many such files.

A feature folder has 256 subfolders by the first two letters of the fingerprint. Packing turns each of them into a file
``<letters>.safetensors`` beside it, whose header is the index. Features computed later are separate files again until
the next packing. A million recordings then take 256 files, and reading one costs a seek.

The header of a file holds a digest of tensors and fingerprint; that of a pack, the digest of each recording. What does
not have its digest is as good as missing: it is computed again, and written over the damaged file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from aqakit.system import tensors as storage
from aqakit.system.files import sweep
from aqakit.system.progress import console, track
from aqakit.system.tensors import FORMAT, DamagedError, Tensors

PACK_ABOVE = 100_000
"""Number of unpacked files in a feature folder above which most file systems become slow."""


def load(file: Path) -> Tensors | None:
    """Load cached tensors, loose or packed; None if they are missing or damaged and must be computed again."""
    try:
        return _loose(file)
    except (OSError, DamagedError) as error:
        packed = _packed(_pack_of(file.parent), file.stem)
        if packed is None and not isinstance(error, FileNotFoundError):
            _say(f"{file}: is damaged and is made again ({error})")
        return packed


def save(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors to a cache file atomically.

    Raises:
        OSError: it cannot be written, for example because the disk is full; the error names the file.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    _tidy(file.parents[1])
    storage.save(file, tensors, {"key": file.stem})


def saved(file: Path, tensors: Mapping[str, Tensor]) -> Tensors:
    """Write tensors as :func:`save`, and return them as mapped from the file, where they need no memory of their own.

    Raises:
        OSError: as :func:`save`.
    """
    save(file, tensors)
    with safe_open(file, framework="pt") as stored:
        return {name: stored.get_tensor(name) for name in tensors}


@lru_cache
def _tidy(folder: Path) -> None:
    """Once per process: delete what killed processes have left in a feature folder."""
    for pattern in (".*", "??/.*"):
        sweep(folder, pattern)


def too_many(folder: Path) -> bool:
    """Return whether the features in a folder should be packed."""
    return sum(1 for _ in folder.glob("??/*.safetensors")) > PACK_ABOVE


def pack(folder: Path) -> int:
    """Pack all loose files in a feature folder, and return their number.

    If interrupted, every recording is still loose, packed, or both. Damaged files are deleted, to be computed again.
    """
    count = 0
    _tidy(folder)
    for letters in track(sorted(p for p in folder.glob("??") if p.is_dir()), f"packing {folder.name}"):
        loose = sorted(letters.glob("*.safetensors"))
        if loose:
            _merge(letters, loose)
            count += len(loose)
    return count


def _merge(letters: Path, loose: list[Path]) -> None:
    """Merge loose files into the pack of a folder; they are deleted only after the new pack is in place.

    Raises:
        OSError: the pack is there but cannot be read now, and must not be replaced by one that lacks its features.
    """
    target = _pack_of(letters)
    tensors: Tensors = {}
    digests: dict[str, str] = {}
    with _opened(target) as pack:
        names, header = (_names(pack), dict(pack.metadata() or {})) if pack else ({}, {})
        found = {key: _entry(pack, key, names[key], header.get(key)) for key in names}
    found |= {file.stem: _intact(file) for file in loose}
    for key, one in found.items():
        if one is not None:
            tensors |= {f"{key}/{name}": tensor for name, tensor in one.items()}
            digests[key] = _digest(key, one)
    storage.write(target, tensors, digests)
    for file in loose:
        file.unlink(missing_ok=True)


def _pack_of(letters: Path) -> Path:
    return letters.with_name(f"{letters.name}.safetensors")


def _digest(key: str, tensors: Mapping[str, Tensor]) -> str:
    """The digest that :func:`save` gives the file of a fingerprint."""
    return storage.digest(tensors, {"key": key, "format": FORMAT})


def _loose(file: Path) -> Tensors:
    tensors, header = storage.load(file, required=True)
    if header.get("key") != file.stem:
        raise DamagedError("it holds the features of another recording")
    return tensors


def _intact(file: Path) -> Tensors | None:
    try:
        return _loose(file)
    except (OSError, DamagedError):
        return None


def _packed(file: Path, key: str) -> Tensors | None:
    try:
        pack, names, header = _index(file, file.stat().st_mtime_ns)
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError) as error:
        _say_once(f"{file}: cannot be read, so the features in it are made again ({error})")
        return None
    if key not in names:
        return None
    found = _entry(pack, key, names[key], header.get(key))
    if found is None:
        _say(f"{file}: features of {key} are damaged and are made again")
    return found


def _say(sentence: str) -> None:
    console.print(sentence, markup=False, highlight=False, soft_wrap=True)


_say_once = lru_cache(_say)


def _entry(pack: Any, key: str, names: list[str], digest: str | None) -> Tensors | None:
    """Return the named tensors of one recording in a pack; None if they do not have their digest."""
    try:
        tensors = {name.partition("/")[2]: pack.get_tensor(name) for name in names}
    except (OSError, SafetensorError, ValueError):
        return None
    return tensors if digest == _digest(key, tensors) else None


def _names(pack: Any) -> dict[str, list[str]]:
    """The names of the tensors in a pack, by fingerprint."""
    found: dict[str, list[str]] = {}
    for name in pack.keys():  # noqa: SIM118  not a mapping
        found.setdefault(name.partition("/")[0], []).append(name)
    return found


@lru_cache(maxsize=256)
def _index(file: Path, modified: int) -> tuple[Any, dict[str, list[str]], dict[str, str]]:
    """Return an open pack, its names and digests by fingerprint; reopened when the pack changes."""
    pack = safe_open(file, framework="pt")
    return pack, _names(pack), dict(pack.metadata() or {})  # type: ignore[no-untyped-call]


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """Open a pack; None if it is missing or damaged, in which case its features are computed again."""
    try:
        pack = safe_open(file, framework="pt")
    except (FileNotFoundError, SafetensorError):
        yield None
        return
    with pack:
        yield pack
