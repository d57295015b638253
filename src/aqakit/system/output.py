"""Write what a command was asked for to the file, the device or the pipe that the user named."""

from __future__ import annotations

import glob
import os
import stat
import sys
from pathlib import Path

from aqakit.system.files import sweep, write_text

STANDARD_OUTPUT = "-"
_STREAMS = ("/dev/std", "/dev/fd/", "/proc/")


def is_standard_output(file: Path | str | None) -> bool:
    """Whether a file is ``-``, or the same thing that standard output goes to, such as ``/dev/stdout``."""
    if file is None or str(file) == STANDARD_OUTPUT:
        return file is not None
    try:
        return os.path.samestat(Path(file).stat(), os.fstat(sys.stdout.fileno()))
    except (OSError, ValueError):  # no such file yet; or standard output is no file, as in a notebook
        return False


def write_output(file: Path, text: str) -> None:
    """Write UTF-8 text. A regular file is replaced atomically; anything else is written through, never replaced.

    A link stays a link, and the file that it leads to is replaced. ``-`` is standard output. Letters that are in no
    encoding, of a file name, are written as their number.

    Raises:
        OSError: the file cannot be written; the error names it.
    """
    try:
        if is_standard_output(file):
            _to_standard_output(text)
        elif is_replaceable(file):
            whole = Path(os.path.realpath(file))
            sweep(whole.parent, f".{glob.escape(whole.name)}.*")  # what a killed process left
            write_text(whole, _valid(text))
        else:
            with file.open("w", encoding="utf-8", errors="backslashreplace") as stream:
                stream.write(text)
    except BrokenPipeError:
        raise  # the reader has had enough
    except OSError as error:
        name = "standard output" if str(file) == STANDARD_OUTPUT else str(file)
        raise OSError(error.errno, error.strerror, error.filename or name) from error


def is_replaceable(file: Path) -> bool:
    """Whether a file is regular, or not there yet: no device, pipe or stream of this process."""
    if str(file.absolute()).startswith(_STREAMS):
        return False
    try:
        return stat.S_ISREG(file.stat().st_mode)
    except FileNotFoundError:
        return True


def _to_standard_output(text: str) -> None:
    """Write UTF-8 whatever the encoding of the terminal is: data must not change with it."""
    raw = getattr(sys.stdout, "buffer", None)
    if raw is None:
        sys.stdout.write(text)
        return
    sys.stdout.flush()
    raw.write(_valid(text).encode())
    raw.flush()


def _valid(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
