"""The text of a file that people made: its encoding, and the mark that separates its columns."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator

DELIMITERS = (",", ";", "\t", "|")
_LINES = 100
"""Lines by which the delimiter is chosen."""

_STATED = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_UTF16 = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_LETTER = rb"[A-Za-z\xc0-\xff]"
_CYRILLIC_WORD = re.compile(rb"(?<![A-Za-z\x80-\xff])[\xa8\xb8\xc0-\xff]{3,}(?![A-Za-z\x80-\xff])")
_SIGN_IN_WORD = re.compile(
    rb"%b[\xa3\xa5\xaa\xaf\xb3\xb9\xba\xbc\xbe\xbf]%b|(?<![!-\xff])[\xa3\xa5\xaf][a-z\xe0-\xff]{2}|[\x8d\x8f\x9d]"
    % (_LETTER, _LETTER)
)


def decode(data: bytes, encoding: str | None = None) -> tuple[str, str | None]:
    """Decode a file: UTF-8 or UTF-16, and else a Windows code page.

    Args:
        data: content of the file.
        encoding: the encoding if it is known.

    Returns:
        The text, and the name of the code page if one was guessed.

    Raises:
        ValueError: the text is not in the encoding; ``UnicodeDecodeError`` tells where.
        LookupError: there is no such encoding.
    """
    found = encoding or next((name for mark, name in _UTF16 if data.startswith(mark)), None) or _bare_utf16(data)
    if found:
        return data.decode(found).removeprefix("\ufeff"), None
    try:
        return data.decode("utf-8-sig"), None
    except UnicodeDecodeError:
        if b"\0" in data:  # no text in any code page
            raise
        return _code_page(data)


def _bare_utf16(data: bytes) -> str | None:
    """Return the kind of UTF-16 without a mark, in which every other byte of plain text is 0."""
    start = data[:512]
    for name, zeros, letters in (("utf-16-le", start[1::2], start[::2]), ("utf-16-be", start[::2], start[1::2])):
        if len(zeros) > 3 and zeros.count(0) > 0.7 * len(zeros) and not letters.count(0):
            return name
    return None


def _code_page(data: bytes) -> tuple[str, str]:
    """Decode as Western European, but as Cyrillic if words have no ASCII letter, or as Central European.

    Western words have accented letters between plain ones, and no signs such as ``³`` and ``¹`` inside.
    """
    name = "cp1251" if _CYRILLIC_WORD.search(data) else "cp1250" if _SIGN_IN_WORD.search(data) else "cp1252"
    return data.decode(name), name


def stated_delimiter(line: str) -> str | None:
    """Return the mark that a first line such as ``sep=;`` states, as spreadsheets write it; None for another line."""
    found = _STATED.fullmatch(line)
    return found[1] if found else None


def delimiter(text: str) -> str:
    r"""Return the mark that divides the first lines into most columns, of equally many cells in each line.

    One that divides all lines alike is taken before a comma, which may be the decimal mark.

    >>> delimiter("id;score, final;remark\n1;7,5;good, but late\n"), delimiter("0,5\t1,5\n"), delimiter("id\n7\n")
    (';', '\t', ',')
    """
    start = "".join(io.StringIO(text, newline="").readlines(16 * _LINES)[:_LINES])
    return max(DELIMITERS, key=lambda mark: _fit(start, mark))


def _fit(text: str, mark: str) -> tuple[bool, float]:
    """Return whether a mark but the comma divides all lines alike, and its columns times the share of such lines."""
    sizes = [len(cells) for cells in _lenient(text, mark) if any(cell.strip() for cell in cells)]
    if not sizes or sizes[0] == 1:
        return False, 0.0
    alike = sizes.count(sizes[0]) / len(sizes)
    return mark != "," and alike == 1, sizes[0] * alike


def _lenient(text: str, mark: str) -> Iterator[list[str]]:
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=mark)
    except csv.Error:  # the file is read once more, and the fault is named then
        return
