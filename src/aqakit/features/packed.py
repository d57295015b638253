"""Features of many videos as one stream: in memory while they fit, and else in one file that is read a batch at a time.

Rows are read, not mapped: pages of a mapped file count as memory of the process for as long as the system leaves them.
Numbers that half precision holds exactly take half the space, which is how features are cached.
"""

from __future__ import annotations

import hashlib
import math
import os
import weakref
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from torch import Tensor

from aqakit.errors import DataError, OptionError
from aqakit.system.files import sweep, temporary_path
from aqakit.system.memory import installed
from aqakit.system.wording import option
from aqakit.types import Stream

LIMIT = "AQAKIT_FEATURE_MEMORY"
"""Environment variable with the memory for features, see :func:`limit`."""

FOLDER = "packed"
"""Folder of the files in the cache."""

_CHUNK = 2**24


def limit() -> int:
    """Return the number of bytes that features may take in memory: $AQAKIT_FEATURE_MEMORY MiB, or a quarter of it.

    Raises:
        OptionError: the environment variable is not a whole number.
    """
    text = os.environ.get(LIMIT)
    if text is None:
        return installed() // 4
    if not (text.isascii() and text.isdigit()):
        raise OptionError(f"{LIMIT}={text}: give the memory for features as a whole number of MiB, such as 1024")
    return int(text) * 2**20


class Videos:
    """Features (N_i, *F) of many videos, which become one stream.

    Args:
        folder: where a file is written once they do not fit in memory; None to keep them there whatever their size.
        most: bytes that they may take in memory, padded to the longest video.
        change: what is done to the features of each video first.
    """

    def __init__(self, folder: Path | None, most: int, change: Callable[[Tensor], Tensor] = lambda one: one) -> None:
        self.folder, self.most, self.change = folder, most, change
        self._held: list[Tensor] = []
        self._file: _Writer | None = None
        self._longest = 0

    def append(self, features: Tensor) -> None:
        """Add the features of the next video."""
        features = self.change(features)
        self._longest = max(self._longest, len(features))
        size = 4 * self._longest * math.prod(features.shape[1:]) * (len(self._held) + 1)
        if self.folder is not None and self._file is None and size > self.most:
            self._file = _Writer(self.folder)
            for one in self._held:
                self._file.append(one)
            self._held = []
        (self._file or self._held).append(features)

    def stream(self) -> Stream:
        """Return all of them as one stream, once."""
        if self._file is not None:
            found = self._file.finish()
            return PackedStream(found, torch.arange(len(found.counts)), self.most)
        held, self._held = self._held, []
        return Stream.stack(held)


class _Writer:
    """Writes videos one after another to a file, which has the name of its content in the end.

    Raises:
        OSError: it cannot be written, for example because the disk is full; the error names the file.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        self._path = temporary_path(folder / "features")
        self._out = self._path.open("wb")
        self._digest = hashlib.blake2b(digest_size=16)
        self._counts: list[int] = []
        self._halves: list[bool] = []
        self._shape: tuple[int, ...] = ()
        weakref.finalize(self, self._path.unlink, missing_ok=True)

    def append(self, features: Tensor) -> None:
        half = features.half()
        exact = torch.equal(half.float(), features)
        values = (half if exact else features).contiguous().numpy()
        self._counts.append(len(features))
        self._halves.append(exact)
        self._shape = tuple(features.shape[1:])
        self._digest.update(values.data)
        with _named(self._path):
            self._out.write(values.data)

    def finish(self) -> PackedFile:
        with _named(self._path):
            self._out.close()
            target = self._path.with_name(self._digest.hexdigest())
            if not _is_whole(target):  # another process may read it: one file for all
                self._path.replace(target)
            self._path.unlink(missing_ok=True)
            return PackedFile(target, np.array(self._counts), np.array(self._halves), self._shape)


class PackedFile:
    """Features of many videos in a file, which stays open.

    Args:
        path: the file, of nothing but numbers.
        counts: (n,) clips of each video.
        halves: (n,) whether its numbers are in half precision; else in single precision.
        shape: of the features of a clip.
    """

    def __init__(self, path: Path, counts: np.ndarray, halves: np.ndarray, shape: tuple[int, ...]) -> None:
        self.path, self.counts, self.shape = path, torch.from_numpy(counts), shape
        self._halves = halves
        sizes = counts * math.prod(shape) * np.where(halves, 2, 4)
        self._starts = np.concatenate([[0], np.cumsum(sizes)])
        self._file, self._lock = path.open("rb", buffering=0), Lock()

    def read(self, rows: Tensor) -> Tensor:
        """Return the features (b, N, *F) float32 of some videos, padded with zeros.

        Raises:
            DataError: the file has been changed.
        """
        counts = self.counts[rows].tolist()
        kinds = [torch.float16 if half else torch.float32 for half in self._halves[rows.numpy()]]
        kind = torch.float16 if torch.float32 not in kinds else torch.float32
        found = torch.zeros(len(counts), max([1, *counts]), *self.shape, dtype=kind)
        for video, count, own, row in zip(found, counts, kinds, rows.tolist(), strict=True):
            values = video[:count] if own == kind else torch.empty(count, *self.shape, dtype=own)
            self._read_into(values, int(self._starts[row]))
            if own != kind:
                video[:count] = values
        return found.float()

    def _read_into(self, values: Tensor, start: int) -> None:
        wanted = values.numpy().data.cast("B")
        with self._lock:
            self._file.seek(start)
            while wanted:
                if not (count := self._file.readinto(wanted)):
                    raise DataError(f"{self.path}: was changed while it was in use; repeat the command")
                wanted = wanted[count:]


class PackedStream(Stream):
    """A stream of videos in a file; what is asked of all of them at once is refused if it does not fit in memory.

    Args:
        file: the videos.
        rows: (B,) which of them.
        most: bytes that features may take in memory.
        device: where the features are asked for.
    """

    def __init__(self, file: PackedFile, rows: Tensor, most: int, device: torch.device | str = "cpu") -> None:
        for name, value in (("file", file), ("rows", rows), ("most", most), ("device", device)):
            object.__setattr__(self, name, value)  # a stream does not change

    file: PackedFile
    rows: Tensor
    most: int
    device: torch.device | str

    @property
    def counts(self) -> Tensor:
        """(B,) clips of each video."""
        return self.file.counts[self.rows]

    @property
    def shape(self) -> torch.Size:
        """Shape (B, N, *F) of the features."""
        longest = int(self.counts.max()) if len(self.rows) else 0
        return torch.Size((len(self.rows), max(1, longest), *self.file.shape))

    @property
    def clips(self) -> Tensor:
        """Mask (B, N) bool."""
        return (torch.arange(self.shape[1]) < self.counts[:, None]).to(self.device)

    @property
    def features(self) -> Tensor:
        """Features (B, N, *F).

        Raises:
            OptionError: they do not fit in memory.
        """
        size = 4 * math.prod(self.shape)
        if size > self.most:
            raise OptionError(
                f"the features of {len(self.rows):,} videos take {math.ceil(size / 2**20):,} MiB, the limit is "
                f"{self.most >> 20:,} MiB, and something needs all of them at once, such as a method with a memory; "
                f"give more with {LIMIT}, or {option('summarise', 5)}, or a method that is trained batch by batch"
            )
        return self.read().features

    def select(self, index: Tensor) -> PackedStream:
        """Return the rows of ``index`` (b,); nothing is read."""
        return PackedStream(self.file, self.rows[index.to(self.rows.device)], self.most, self.device)

    def to(self, device: torch.device | str) -> PackedStream:
        """Return the stream on a device; nothing is read."""
        return PackedStream(self.file, self.rows, self.most, device)

    def read(self) -> Stream:
        """Return the stream in memory, whatever its size."""
        return Stream(self.file.read(self.rows).to(self.device), self.clips)

    def pinned(self) -> Stream:
        """Return the stream in memory from which a GPU can copy in the background."""
        return self.read().pinned()

    def videos(self) -> Iterator[Tensor]:
        """Yield the features (N_i, *F) of each video."""
        for row, count in zip(self.rows.split(1), self.counts.tolist(), strict=True):
            yield self.file.read(row)[0, :count]

    def like(self, change: Callable[[Tensor], Tensor]) -> Videos:
        """Return what collects videos made from these, in the same folder and memory."""
        return Videos(self.file.path.parent, self.most, change)


def collected(names: Collection[str], cache: Path, change: Callable[[Tensor], Tensor]) -> dict[str, Videos]:
    """Return what collects the videos of each stream; streams share the memory for features."""
    return {name: Videos(cache / FOLDER, limit() // len(names), change) for name in names}


def _is_whole(file: Path) -> bool:
    """Whether a file has the content that its name says."""
    found = hashlib.blake2b(digest_size=16)
    try:
        with file.open("rb") as content:
            while part := content.read(_CHUNK):
                found.update(part)
    except OSError:
        return False
    return found.hexdigest() == file.name


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(error.filename or path)) from error
