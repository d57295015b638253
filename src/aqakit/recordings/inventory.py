"""What a folder of recordings holds: which files, of which kind, and which cannot be read and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from aqakit.errors import AqakitError, DataError
from aqakit.recordings import signals, skeletons, video
from aqakit.recordings.listing import kinds, natural, walk
from aqakit.recordings.skeletons import Layout
from aqakit.system.progress import track

READS = ("video", "signal", "skeleton", "features")
"""The kinds of recording; the first of several that are equally frequent is taken."""


@dataclass(frozen=True)
class Entry:
    """One recording.

    Attributes:
        path: a file or a folder.
        kind: one of :data:`READS`.
        length: frames of a video, or rows of anything else.
        shape: shape of a row: joints and dimensions, columns of a signal, width of features; () for pixels.
        layout: which joint is which, if that is known.
        rate: rows per second, if the file tells.
    """

    path: Path
    kind: str
    length: int
    shape: tuple[int, ...] = ()
    layout: Layout | None = None
    rate: float | None = None


@dataclass(frozen=True)
class Inventory:
    """The recordings of a folder.

    Attributes:
        folder: the folder.
        entries: those of the kind that is taken, all of one shape, in natural order of their names.
        kind: the kind that is taken.
        counts: how many readable recordings there are of each kind.
        problems: the other files, with the sentence that says why they are not taken.
    """

    folder: Path
    entries: tuple[Entry, ...]
    kind: str
    counts: dict[str, int]
    problems: tuple[tuple[Path, str], ...]


def take(folder: Path, reads: str | None = None, leave: Collection[Path] = ()) -> Inventory:
    """Open every recording of a folder and of those below it.

    Args:
        folder: the folder.
        reads: the kind to take; None for the most frequent.
        leave: paths that are known already.

    Raises:
        DataError: there is no such folder, it is one recording itself, or it holds nothing that can be read.
    """
    if not folder.is_dir():
        raise DataError(
            f"{folder} is {'not a folder' if folder.exists() else 'not there'}; give a folder of recordings"
        )
    if kinds(folder):
        raise DataError(f"{folder} is one recording, a folder of its frames; give the folder in which it lies")
    left = set(leave)
    found, problems = _open([path for path in walk(folder) if path not in left], reads)
    counts = {kind: sum(one.kind == kind for one in found) for kind in READS}
    kind = reads or max(READS, key=counts.__getitem__)
    chosen, odd = _of_one_shape([one for one in found if one.kind == kind])
    problems = sorted([*problems, *odd], key=lambda one: natural(one[0]))
    return Inventory(folder, tuple(chosen), kind, {k: n for k, n in counts.items() if n}, tuple(problems))


def _open(paths: Sequence[Path], reads: str | None) -> tuple[list[Entry], list[tuple[Path, str]]]:
    found, problems = [], []
    for path in track(paths, "looking at recordings"):
        try:
            found.append(_entry(path, _kind(path, reads)))
        except (AqakitError, OSError) as error:
            problems.append((path, str(error)))
    return found, problems


def _kind(path: Path, reads: str | None) -> str:
    """The kind of a recording: by its name, else by its content, else as it is wanted."""
    possible = kinds(path)
    if reads is not None and reads in possible:
        return reads
    if len(possible) == 1:
        return possible[0]
    return "signal" if _is_signal(path) else "skeleton"


def _is_signal(path: Path) -> bool:
    """Whether a table is one of time × columns that cannot be told, or read, as joints."""
    try:
        joints = skeletons.format_of(path) != "arrays" and len(skeletons.read(path).joints) > 0
    except DataError:
        joints = False
    try:
        return not joints and len(signals.kinematics(path)) > 0
    except DataError:
        return False


def _entry(path: Path, kind: str) -> Entry:
    if kind == "video":
        info = video.probe(path)
        return Entry(path, kind, info.frames, rate=info.rate or None)
    if kind == "skeleton":
        body = skeletons.read(path)
        return Entry(path, kind, len(body.joints), body.joints.shape[1:], body.layout, body.rate)
    rows = signals.READERS[kind](path)
    return Entry(path, kind, len(rows), rows.shape[1:])


def _of_one_shape(entries: Sequence[Entry]) -> tuple[list[Entry], list[tuple[Path, str]]]:
    """Divide into those of the most frequent shape and layout, and the others with what is different about them.

    All videos are of one: backbones resize them.
    """
    if not entries:
        return [], []
    usual = Counter(map(_form, entries)).most_common(1)[0][0]
    odd = [one for one in entries if _form(one) != usual]
    told = [(one.path, f"{one.path}: it has {_words(_form(one))}; most others have {_words(usual)}") for one in odd]
    return [one for one in entries if _form(one) == usual], told


def _form(entry: Entry) -> tuple[tuple[int, ...], str]:
    return entry.shape, entry.layout.name if entry.layout else ""


def _words(form: tuple[tuple[int, ...], str]) -> str:
    shape, layout = form
    if len(shape) < 2:
        return f"{sum(shape)} columns"
    return f"{shape[0]} joints{f' ({layout})' if layout else ''} in {shape[1]} dimensions"
