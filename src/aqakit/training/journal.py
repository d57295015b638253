"""Rows of a long piece of work, kept in a file as they are made, so that a killed command loses none.

The file lies beside the output, and goes when the output is whole. Each line is one row in JSON, with the hash of all
that it follows from; a line that was cut off, or that follows from something else, is made again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from aqakit.errors import DataError
from aqakit.features.keys import digest
from aqakit.types import Sample

Row = dict[str, Any]


class Journal:
    """Rows by sample, of one piece of work.

    Args:
        file: where they are kept; None to keep none.
        work: everything but the sample that a row follows from, as JSON values.
    """

    def __init__(self, file: Path | None, work: Any) -> None:
        self.file, self._work = file, work
        self._rows = dict(self._read())

    @classmethod
    def beside(cls, output: Path | None, work: Any) -> Self:
        """The journal of an output file that is to be written."""
        return cls(None if output is None else output.with_name(f"{output.name}.part"), work)

    def get(self, sample: Sample) -> Row | None:
        """Return the row of a sample; None if there is none."""
        return self._rows.get(self._key(sample))

    def add(self, sample: Sample, row: Row) -> None:
        """Keep the row of a sample."""
        if self.file is None:
            return
        with self._writing(), self.file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps([self._key(sample), row]) + "\n")

    def remove(self) -> None:
        """Remove the file: the output is whole."""
        if self.file is not None:
            self.file.unlink(missing_ok=True)

    def _key(self, sample: Sample) -> str:
        """Hash of the work and of the sample; its recordings are known by size and time of change."""
        states = {}
        for kind, path in sample.sources.items():
            try:
                found = path.stat()
            except OSError:  # what cannot be read is said when it is scored
                continue
            states[kind] = [found.st_size, found.st_mtime_ns]
        return digest([self._work, {n: str(v) for n, v in asdict(sample).items()}, states])

    def _read(self) -> Iterator[tuple[str, Row]]:
        if self.file is None or not self.file.exists():
            return
        with self._writing():
            lines = self.file.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        for line in lines:
            try:
                key, row = json.loads(line)
            except ValueError:
                continue  # cut off
            if line.endswith("\n") and isinstance(key, str) and isinstance(row, dict):
                yield key, row

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataError(f"{self.file}: {error.strerror}; give another output file") from None
