"""Atomic file writing, folder names and the location of the cache."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aqakit.errors import OptionError


@contextmanager
def atomic_path(file: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``file``; it replaces ``file`` on success and is deleted on an error."""
    # random part: two machines that share a folder may have processes of the same id
    temporary = file.with_name(f".{file.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode & 0o777  # as the umask wants it; some libraries make files for their owner only
        yield temporary
        temporary.chmod(mode)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(file: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(file) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")  # a file name may be in no encoding


def check_readable(folder: Path) -> None:
    """Open each file of a folder, if there is such a folder; libraries call a file that may not be read missing.

    Raises:
        PermissionError: only others may read one of the files.
    """
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        if file.is_file():
            file.open("rb").close()


def folder_name(text: str) -> str:
    """Return a folder name for a method with its options, or for a share of labels.

    >>> folder_name("vat:base=usdl/bins=11")
    'vat,base=usdl+bins=11'
    """
    return text.replace(":", ",").replace("/", "+")


def in_utf8(folder: Path) -> Path:
    """Return a folder for files of tensors, whose library takes no other names.

    Raises:
        OptionError: the name of the folder is not UTF-8.
    """
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise OptionError(f"{folder}: this name is not UTF-8; give a folder with another name") from None
    return folder


def at_home(path: str) -> str:
    """Return a path with ``~`` and ``~name`` replaced by the home folder, or as it is if there is no such folder."""
    return os.path.expanduser(path)  # noqa: PTH111  pathlib raises an error, and takes "" for "."


def user_path(path: Path | str) -> Path:
    """Return a path that a user gave, with ``~`` and ``~name`` replaced by the home folder.

    Raises:
        OptionError: there is no such home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise OptionError(f"{path}: there is no such home folder; give the path in full") from None


def default_cache() -> Path:
    """Return ``$AQAKIT_CACHE`` or ``~/.cache/aqakit``: features, decoded frames and rendered dives.

    Raises:
        OptionError: neither is known.
    """
    if stated := os.environ.get("AQAKIT_CACHE"):
        return in_utf8(user_path(stated))
    try:
        return in_utf8(Path.home() / ".cache" / "aqakit")
    except RuntimeError:
        raise OptionError("this user has no home folder; set AQAKIT_CACHE to a folder for the cache") from None
