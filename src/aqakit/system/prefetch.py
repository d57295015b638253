"""Reading ahead: threads read what is needed next while the caller works on what is there."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from queue import Empty, Queue
from threading import Thread
from typing import Generic, TypeVar

T = TypeVar("T")
Read = Callable[[], Iterator[T]]

_PATIENCE = 1.0
"""Seconds to wait for a thread to notice that it is no longer wanted."""


def ahead(reads: Iterable[Read[T]], *, threads: int, depth: int) -> Generator[Iterator[T], None, None]:
    """What each of ``reads`` gives, one after another in order, while the next ``threads`` of them are being read.

    What a read raises is raised where its items are taken. Closing this generator stops all threads.

    Args:
        reads: each is called and iterated in a thread of its own.
        threads: so many are read ahead of the one in hand.
        depth: so many items of each may wait, so that memory is bounded.
    """
    running: deque[_Reader[T]] = deque()
    try:
        for read in reads:
            running.append(_Reader(read, depth))
            if len(running) > threads:
                yield running[0].items()
                running.popleft().close()
        while running:
            yield running[0].items()
            running.popleft().close()
    finally:
        for reader in running:
            reader.tell()
        for reader in running:
            reader.close()


class _End:
    """Comes after the last item, with what went wrong if anything did."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class _Reader(Generic[T]):
    """A thread that fills a bounded queue."""

    def __init__(self, read: Read[T], depth: int) -> None:
        self._queue: Queue[T | _End] = Queue(depth)
        self._wanted = True
        self._thread = Thread(target=self._fill, args=(read,), daemon=True)
        self._thread.start()

    def _fill(self, read: Read[T]) -> None:
        error: BaseException | None = None
        try:
            for item in read():
                self._queue.put(item)
                if not self._wanted:
                    return
        except BaseException as raised:  # whatever it is, it belongs to the thread that asked
            error = raised
        self._queue.put(_End(error))

    def items(self) -> Iterator[T]:
        """All that is read, as it comes."""
        while not isinstance(item := self._queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error

    def tell(self) -> None:
        """No more is wanted; a thread that waits for room gets it, and sees that."""
        self._wanted = False
        try:
            while True:
                self._queue.get_nowait()
        except Empty:
            return

    def close(self) -> None:
        """Stop the thread, unless it is so busy that leaving it behind is better than waiting."""
        self.tell()
        self._thread.join(_PATIENCE)
