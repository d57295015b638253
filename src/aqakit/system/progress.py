"""Progress bars on standard error: shown on a terminal, silent elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from aqakit.system import processes

T = TypeVar("T")
Downloaded = Callable[[int, int | None], None]
"""Is told how many bytes have come, and how many there are if that is known."""

console = Console(stderr=True, quiet=not processes.is_first())


def track(items: Sequence[T], description: str) -> Iterator[T]:
    """Yield ``items``, with a bar that says how many are done and how long the rest will take."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    # transient: a finished bar makes room for the result it led to
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield from bar.track(items, description=description)


@contextmanager
def downloading(name: str) -> Iterator[Downloaded]:
    """A bar for a download; call what it gives with the bytes so far and in all."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class Clock:
    """How fast clips are computed: told now and then where there is no bar, and at the end; silent if none are.

    Args:
        total: recordings there are.
        every: seconds from one line to the next.
    """

    def __init__(self, total: int, every: float = 30.0) -> None:
        self.total, self.every = total, every
        self.started = self.told = time.monotonic()
        self.seen, self.fresh, self.clips = 0, 0, 0

    def count(self, clips: int) -> None:
        """One more recording is done, of which so many clips were computed just now."""
        self.seen, self.fresh, self.clips = self.seen + 1, self.fresh + (clips > 0), self.clips + clips
        if not console.is_terminal and time.monotonic() - self.told > self.every:
            self.told = time.monotonic()
            console.print(f"{self.seen} of {self.total} recordings; {self._rate()}", highlight=False)

    def tell(self) -> None:
        """The line at the end."""
        if self.fresh:
            console.print(f"features of {self.fresh} recordings, {self._rate()}", highlight=False)

    def _rate(self) -> str:
        seconds = time.monotonic() - self.started
        return f"{self.clips} clips in {seconds:.1f} s: {self.clips / seconds:.1f} clips/s"
