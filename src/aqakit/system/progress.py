"""Progress bars on standard error: shown on a terminal, silent elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from aqakit.system import processes, terminal

T = TypeVar("T")
Downloaded = Callable[[int, int | None], None]
"""Callback that takes the bytes received so far, and the total if it is known."""

console = terminal.console(stderr=True, quiet=not processes.is_first())


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield ``items`` and show a bar with the number done and the remaining time; ``total`` is their number."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    # transient: a finished bar disappears, to make room for the result
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield from bar.track(items, description=description, total=total)


@contextmanager
def counting(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar with the share done and the remaining time; the yielded callback takes how much more is done."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=total)
        yield lambda more: bar.advance(task, more)


@contextmanager
def downloading(name: str) -> Iterator[Downloaded]:
    """Show a bar for a download; the yielded callback takes the bytes received and the total."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class ThroughputLogger:
    """Print how fast clips are computed: regularly if there is no bar, and at the end if any were computed.

    Args:
        total: number of recordings.
        every: seconds between two lines.
    """

    def __init__(self, total: int, every: float = 30.0) -> None:
        self.total, self.every = total, every
        self.started = self.told = time.monotonic()
        self.seen, self.fresh, self.clips = 0, 0, 0

    def update(self, clips: int) -> None:
        """Count a finished recording, of which ``clips`` clips were computed and not read from the cache."""
        self.seen, self.fresh, self.clips = self.seen + 1, self.fresh + (clips > 0), self.clips + clips
        if not console.is_terminal and time.monotonic() - self.told > self.every:
            self.told = time.monotonic()
            console.print(f"{self.seen} of {self.total} recordings; {self._rate()}")

    def close(self) -> None:
        """Print the final line."""
        if self.fresh:
            console.print(f"features of {self.fresh} recordings, {self._rate()}")

    def _rate(self) -> str:
        seconds = time.monotonic() - self.started
        return f"{self.clips} clips in {seconds:.1f} s: {self.clips / seconds:.1f} clips/s"
