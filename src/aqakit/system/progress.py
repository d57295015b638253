"""Progress bars on standard error: shown on a terminal and in a notebook, silent elsewhere."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
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
    with _bar(BarColumn(), MofNCompleteColumn(), *_times()) as bar:
        yield from bar.track(items, description=description, total=total)


@contextmanager
def epochs(total: int) -> Iterator[Callable[[int, dict[str, float]], None]]:
    """Show a bar over epochs, from the first that is told to the last; the yielded report takes number and losses."""
    bar = _bar(BarColumn(), MofNCompleteColumn(), *_times(), TextColumn("{task.fields[losses]}", markup=False))
    task = bar.add_task("epochs", total=total, losses="")

    def report(epoch: int, losses: dict[str, float]) -> None:
        bar.start()  # again and again does nothing
        said = "  ".join(f"{name} {value:.4g}" for name, value in losses.items())
        bar.update(task, completed=epoch + 1, losses=said)
        if epoch + 1 == total:
            bar.stop()  # what follows may have a bar of its own

    try:
        yield report
    finally:
        bar.stop()


@contextmanager
def counting(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar with the share done and the remaining time; the yielded callback takes how much more is done."""
    with _bar(BarColumn(), TaskProgressColumn(), *_times()) as bar:
        task = bar.add_task(description, total=total)
        yield lambda more: bar.advance(task, more)


@contextmanager
def downloading(name: str) -> Iterator[Downloaded]:
    """Show a bar for a download; the yielded callback takes the bytes received and the total."""
    with _bar(BarColumn(), DownloadColumn(), TimeRemainingColumn()) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _times() -> tuple[ProgressColumn, ...]:
    return TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn()


def _bar(*columns: ProgressColumn) -> Progress:
    """A bar behind its description. It disappears when it is finished, to make room for the result."""
    described = TextColumn("{task.description}", markup=False)
    return Progress(described, *columns, console=console, transient=True, disable=not _shown())


def _shown() -> bool:
    """Whether bars can be drawn: on a terminal, and in a notebook where widgets are installed."""
    if not console.is_jupyter:
        return console.is_terminal
    if importlib.util.find_spec("ipywidgets") is None:
        terminal.say_once("pip install 'aqakit[notebook]' shows progress bars in notebooks")
        return False
    return True


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
        if not _shown() and time.monotonic() - self.told > self.every:
            self.told = time.monotonic()
            console.print(f"{self.seen} of {self.total} recordings; {self._rate()}")

    def close(self) -> None:
        """Print the final line."""
        if self.fresh:
            console.print(f"features of {self.fresh} recordings, {self._rate()}")

    def _rate(self) -> str:
        seconds = time.monotonic() - self.started
        return f"{self.clips} clips in {seconds:.1f} s: {self.clips / seconds:.1f} clips/s"
