"""Named segments of a recording, such as the gestures of surgery, as people write them down.

A file has one line for each segment: its first and last frame, counted from 1, and its name, as in the transcriptions
of JIGSAWS. Segments are in order of time and do not overlap; frames between them belong to none.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from pathlib import Path

from aqakit.errors import DataError
from aqakit.recordings import csv_text
from aqakit.system.numbers import whole
from aqakit.types import Segment


def read(path: Path, names: Collection[str] | None = None) -> tuple[Segment, ...]:
    """Read a file of segments.

    Args:
        path: the file.
        names: the names that there are; None for any.

    Raises:
        DataError: it is missing, cannot be read, or has a bad line; the message names the line.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such file; it should hold lines such as `80 219 G1`")
    found: list[Segment] = []
    for line, text in enumerate(csv_text.read(path).splitlines(), 1):
        if not text.strip():
            continue
        try:
            segment = _segment(text, names)
            check([*found[-1:], segment])
        except ValueError as error:
            raise DataError(f"{path}, line {line}: {error}") from None
        found.append(segment)
    return tuple(found)


def parse(text: str) -> tuple[Segment, ...]:
    """Parse the segments of a cell, joined by ``>``: each a name, and its first and last frame counted from 0.

    Raises:
        ValueError: the text has another form, or segments are not in order.

    >>> parse("run-up 0-31 > take off 32-40")
    (Segment(name='run-up', first=0, last=31), Segment(name='take off', first=32, last=40))
    """
    found = []
    for part in text.split(">"):
        name, _, frames = part.strip().rpartition(" ")
        first, dash, last = frames.partition("-")
        try:
            segment = Segment(name.strip(), whole(first), whole(last))
        except ValueError:
            segment = Segment("", 0, 0)
        if not (segment.name and dash):
            raise ValueError("should be names with first and last frame, such as run-up 0-31 > take-off 32-40")
        found.append(segment)
    check(found)
    return tuple(found)


def check(segments: Sequence[Segment]) -> None:
    """Check that segments are in order of time and do not overlap.

    Raises:
        ValueError: they are not.
    """
    for name, first, last in segments:
        if last < first:
            raise ValueError(f"has the segment {name}, which ends before it begins")
    for before, after in pairwise(segments):
        if after.first <= before.last:
            raise ValueError(f"has the segment {after.name}, which begins before {before.name} has ended")


def _segment(text: str, names: Collection[str] | None) -> Segment:
    try:
        first, last, name = text.split(maxsplit=2)
        segment = Segment(name.strip(), whole(first) - 1, whole(last) - 1)
    except ValueError:
        raise ValueError(f"should be first frame, last frame and a name; is {text[:60]!r}") from None
    if segment.first < 0:
        raise ValueError(f"frames are counted from 1; is {text[:60]!r}")
    if names is not None and segment.name not in names:
        raise ValueError(f"{segment.name[:60]!r} is not one of {', '.join(names)}")
    return segment
