"""The formats, found by their file names, and the one way to read a file of any of them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from aqakit import discovery
from aqakit.errors import DataError, OptionError
from aqakit.recordings.skeletons.parts.body import Body
from aqakit.recordings.skeletons.parts.found import body_of
from aqakit.recordings.skeletons.parts.layouts import LAYOUTS
from aqakit.recordings.skeletons.parts.source import Source

KIND = "recordings/skeletons"
"""Folder of the formats, for :mod:`aqakit.discovery`."""

GAP = 0.2
"""Seconds of the longest gap that is filled without a flag."""


def names() -> list[str]:
    """Return the names of all formats, without importing them."""
    return discovery.names(KIND)


def read(path: Path | str, *, layout: str | None = None, gap: float = GAP) -> Body:
    """Read the joints of one person from a file of any format, or from a folder of a file for each frame.

    Args:
        path: the file or folder; of UI-PRMD, the positions, whose angles are found beside them.
        layout: a name in :data:`LAYOUTS`, for joints that have no names, or to choose joints by their names.
        gap: seconds for which a joint may be missing and still counts as seen; where the file does not tell its frames
            per second, they are taken to be 30. Its position is interpolated, and so is that of longer gaps, which
            ``Body.seen`` flags.

    Raises:
        OptionError: there is no such layout, or the gap is negative.
        DataError: the file is in no format, damaged, or holds no body.
    """
    if layout is not None and layout not in LAYOUTS:
        raise OptionError(f"there is no layout {layout!r}{discovery.nearest(layout, LAYOUTS)}")
    if not 0 <= gap < float("inf"):
        raise OptionError(f"gap={gap:g}: give the longest gap in seconds, 0 or more")
    source = Source(Path(path), layout)
    found = _format_of(source).read(source)
    return body_of(source.path, found, LAYOUTS[layout] if layout else None, gap)


def format_of(path: Path | str) -> str:
    """Return the name of the format of a file.

    Raises:
        DataError: it is in none.
    """
    return _format_of(Source(Path(path))).__name__.rpartition(".")[2]


def _format_of(source: Source) -> ModuleType:
    formats = [discovery.find(KIND, name) for name in names()]
    for general in (False, True):
        fitting = [one for one in formats if getattr(one, "GENERAL", False) == general and one.fits(source)]
        if len(fitting) > 1:
            shown = " or ".join(one.__name__.rpartition(".")[2] for one in fitting)
            raise DataError(f"{source.path} may be {shown}; save it as CSV with the columns <joint>_x, <joint>_y, …")
        if fitting:
            return fitting[0]
    where = f"{source.path}, line {source.first + 1}" if source.kind == "text" else str(source.path)
    raise DataError(
        f"{where}: in none of the formats of skeletons ({', '.join(names())}); the columns of a skeleton must be named "
        "<joint>_x, <joint>_y[, <joint>_z], …"
    )
