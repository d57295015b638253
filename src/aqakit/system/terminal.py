"""Print to a terminal or a pipe. Names and texts of users are printed as they are, never read as markup."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

from rich.console import Console

from aqakit.system import processes


def console(stderr: bool = False, **options: Any) -> Console:
    """Return a console that changes nothing in a text: no markup in brackets, no emoji codes, no colours of its own."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False, **options)


def line(text: object, **options: Any) -> None:
    """Print one line to standard output, however long."""
    console().print(str(text), soft_wrap=True, **options)


@cache
def say_once(sentence: str) -> None:
    """Print a sentence to standard error, unless this process did so before; of several processes, the first does."""
    if processes.is_first():
        console(stderr=True).print(sentence, style="dim", soft_wrap=True)


def print_anything() -> None:
    """Let standard output and error take every text: what their encoding lacks is printed as its number.

    Output that is piped may have a narrow encoding, and a file name may be in no encoding at all.
    """
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")
