"""Atomic file writing, folder names and the location of the cache."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(file: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``file``; it replaces ``file`` on success and is deleted on an error."""
    # random part: two machines that share a folder may have processes of the same id
    temporary = file.with_name(f".{file.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        yield temporary
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(file: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def folder_name(text: str) -> str:
    """Return a folder name for a method with its options, or for a share of labels.

    >>> folder_name("vat:base=usdl/bins=11")
    'vat,base=usdl+bins=11'
    """
    return text.replace(":", ",").replace("/", "+")


def default_cache() -> Path:
    """Return ``$AQAKIT_CACHE`` or ``~/.cache/aqakit``: features, decoded frames and rendered dives."""
    return Path(os.environ.get("AQAKIT_CACHE", Path.home() / ".cache" / "aqakit"))
