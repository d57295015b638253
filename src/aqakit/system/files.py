"""Atomic file writing, folder names and the location of the cache."""

from __future__ import annotations

import errno
import os
import platform
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aqakit.errors import DataError, OptionError

_LEFTOVER = re.compile(r"\..+\.(?P<host>[^.]*)\.(?P<process>\d+)-[0-9a-f]{8}")
_A_DAY = 86_400.0


@contextmanager
def atomic_path(file: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``file``; it replaces ``file`` on success and is deleted on an error.

    Raises:
        OSError: the file cannot be written, for example because the disk is full; the error names ``file``.
    """
    temporary = temporary_path(file)
    try:
        temporary.touch()
        mode = temporary.stat().st_mode & 0o777  # as the umask wants it; some libraries make files for their owner only
        yield temporary
        temporary.chmod(mode)
        temporary.replace(file)
    except OSError as error:
        if error.errno not in errno.errorcode or error.filename not in (None, str(temporary), os.fsencode(temporary)):
            raise  # not of the system, or about another file
        raise OSError(error.errno, error.strerror, str(file)) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def temporary_path(file: Path) -> Path:
    """Return a new name beside ``file``, which :func:`sweep` knows."""
    return file.with_name(f".{file.name}.{_host()}.{os.getpid()}-{secrets.token_hex(4)}")


def sweep(folder: Path, pattern: str = ".*") -> None:
    """Delete the temporary files of :func:`atomic_path` whose process was killed, or that are older than a day."""
    for file in folder.glob(pattern):
        found = _LEFTOVER.fullmatch(file.name)
        with suppress(OSError):
            if found and (
                _is_dead(found["host"], int(found["process"])) or time.time() - file.stat().st_mtime > _A_DAY
            ):
                file.unlink()


def _host() -> str:
    """The name of this machine, since processes of two machines that share a folder may have the same id."""
    return re.sub(r"[^\w-]", "-", platform.node())


def _is_dead(host: str, process: int) -> bool:
    if host != _host() or os.name != "posix":  # elsewhere, signal 0 is not a question
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


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


LIMIT = "AQAKIT_LARGEST"
"""Environment variable with the size of the largest recording, see :func:`largest`."""


def largest() -> int:
    """Return the number of bytes that a recording other than a video may take in memory: $AQAKIT_LARGEST MiB, or 256.

    A small file may describe a large array. Every reader checks what it is about to allocate against this limit.

    Raises:
        OptionError: the environment variable is not a number above 0.
    """
    text = os.environ.get(LIMIT, "256")
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise OptionError(f"{LIMIT}={text}: give the largest recording as a whole number of MiB, such as 1024")
    return int(text) * 2**20


def check_size(path: Path, size: int, share: float = 1.0, what: str = "bytes") -> None:
    """Refuse what takes more memory than is allowed.

    Args:
        path: the file, for the message.
        size: how large it is, in bytes or something else.
        share: how much of :func:`largest` is allowed, for what grows when it is read.
        what: what is counted.

    Raises:
        DataError: it is too large; the message says how to raise the limit.
    """
    limit = int(largest() * share)
    if size > limit:
        raise DataError(
            f"{path} holds {size:,} {what} or more, and the limit is {limit:,}; if that is meant, set {LIMIT} to more "
            f"than {largest() >> 20} (MiB)"
        )


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


def output_folder(path: Path | str) -> Path:
    """Make the folder that a user gave for what will be written, before any work is done for it.

    Raises:
        OptionError: it cannot be made, or nothing can be written to it.
    """
    folder = user_path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(f"{folder}: no folder can be made here ({error.strerror or error}); give another") from None
    if not os.access(folder, os.W_OK):
        raise OptionError(f"{folder}: nothing can be written to this folder; give another")
    return folder


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
