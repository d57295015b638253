"""Text that is read line by line, each of which says what follows."""

from __future__ import annotations

from pathlib import Path

from aqakit.errors import DataError
from aqakit.recordings.skeletons.parts import tables


class Lines:
    """The lines of a file that are not blank, one after another.

    Attributes:
        path: of the file, for messages.
        at: number, from 1, of the last line that was taken.
    """

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.at = path, 0
        self._lines = [(at, line.strip()) for at, line in enumerate(text.splitlines(), 1) if line.strip()]
        self._next = 0

    def left(self) -> int:
        """Return how many lines are left."""
        return len(self._lines) - self._next

    def take(self, wanted: str) -> str:
        """Return the next line.

        Raises:
            DataError: there is none.
        """
        if not self.left():
            raise DataError(f"{self.path}, line {self.at}: it ends where {wanted} should follow; copy it again, whole")
        self.at, line = self._lines[self._next]
        self._next += 1
        return line

    def whole(self, wanted: str) -> int:
        """Return the next line as a whole number of at most a million.

        Raises:
            DataError: it is none.
        """
        line = self.take(wanted)
        if not (line.isascii() and line.isdigit() and len(line) < 8):
            raise DataError(f"{self.path}, line {self.at}: {line[:20]!r} is not {wanted}; copy the file again")
        return int(line)

    def values(self, wanted: str, count: int, *, read: bool = True) -> list[str]:
        """Return the cells of the next line; ``read`` checks that they are numbers, NaN if missing.

        Raises:
            DataError: there are not ``count`` of them, or one is no number.
        """
        row = self.take(wanted).split()
        if len(row) != count:
            raise DataError(
                f"{self.path}, line {self.at}: {wanted} has {len(row)} values, not {count}; copy the file again"
            )
        return [str(tables.value(self.path, self.at, k, cell)) for k, cell in enumerate(row, 1)] if read else row
