"""Where files are kept, and how one is written so that nobody ever sees half of it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A temporary name beside ``file`` that takes its place when the block ends well, and goes when it does not."""
    # a random part, since two machines that share a folder may have processes of one number
    temporary = file.with_name(f".{file.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        yield temporary
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(file: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with replacing(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def folder_name(text: str) -> str:
    """One folder's name for a method with its options, or a share of labels.

    >>> folder_name("vat:base=usdl/bins=11")
    'vat,base=usdl+bins=11'
    """
    return text.replace(":", ",").replace("/", "+")


def default_cache() -> Path:
    """``$AQAKIT_CACHE``, or ``~/.cache/aqakit``: features, decoded frames and rendered dives."""
    return Path(os.environ.get("AQAKIT_CACHE", Path.home() / ".cache" / "aqakit"))
