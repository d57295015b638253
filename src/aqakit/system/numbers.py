"""The one reader of numbers in tables.

Python reads ``7_4`` as 74, digits of every alphabet, and ``1e400`` as infinity. A person who typed one of these meant
something else, so that all tables are read with these functions instead.
"""

from __future__ import annotations

import math
import re

from aqakit.errors import OptionError

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(?:inf|infinity|nan)", re.IGNORECASE)
_GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2}[.,][0-9]{3}")
_EXACT = 2**53
"""The largest whole number up to which a float tells all whole numbers apart."""


def is_number(text: str) -> bool:
    """Whether a text, without blanks around it, is written as a number, be it too large for one."""
    return _NUMBER.fullmatch(text.strip()) is not None


def may_be_grouped(text: str) -> bool:
    """Whether the only mark in a number may divide thousands.

    >>> [may_be_grouped(text) for text in ("12,000", "1.234", "0.125", "7,5", "1234.567")]
    [True, True, False, False, False]
    """
    return _GROUPED.fullmatch(text.strip()) is not None


def number(text: str) -> float:
    """Read a finite number in ASCII digits with a decimal point; ``-0`` is 0.

    >>> number(" -7.5e1 "), number("-0")
    (-75.0, 0.0)

    Raises:
        ValueError: the end of a sentence that begins with the text.
    """
    text = text.strip()
    if not _NUMBER.fullmatch(text) and not _NOT_FINITE.fullmatch(text):
        raise ValueError("is not a number")
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("is not a finite number; leave the cell empty if there is none")
    return value + 0.0  # -0.0 becomes 0.0


def positive(text: str) -> float:
    """Read a finite number greater than 0."""
    value = number(text)
    if value <= 0:
        raise ValueError("is not greater than 0")
    return value


def whole(text: str) -> int:
    """Read a whole number of 0 or more; spreadsheets may write it as 3.0.

    ``12.000`` is refused: where the comma is the decimal mark, it is twelve thousand.
    """
    value = number(text)
    if may_be_grouped(text):
        raise ValueError("may have a thousands sign; write the whole number in digits alone")
    if not 0 <= value <= _EXACT or not value.is_integer():
        raise ValueError("is not a whole number of 0 or more")
    return int(value)


def duration(value: float | str) -> float:
    """Return seconds: a number, or text such as ``45s``, ``90m`` or ``1.5h``.

    Raises:
        OptionError: it is no positive time.

    >>> duration("90m"), duration("1.5h"), duration(30)
    (5400.0, 5400.0, 30.0)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", str(value).strip(), re.ASCII)
    seconds = float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]] if found else 0.0
    seconds = float(value) if isinstance(value, int | float) else seconds
    if not seconds > 0:
        raise OptionError(f"{value!r} is no time; write 45s, 90m or 1.5h")
    return seconds
