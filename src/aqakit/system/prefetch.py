"""Prefetching: threads read the next items while the caller processes the current ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, Queue
from threading import Thread
from typing import Generic, TypeVar

T = TypeVar("T")
Read = Callable[[], Iterator[T]]

_PATIENCE = 1.0
"""Seconds to wait for a thread to stop."""


def read_ahead(reads: Iterable[Read[T]], *, threads: int, depth: int) -> Generator[Iterator[T], None, None]:
    """Yield the items of each of ``reads``, in order, while the next ``threads`` of them are being read.

    An exception in a read is raised where its items are consumed. Closing this generator stops all threads.

    Args:
        reads: each is called and iterated in a thread of its own.
        threads: number of reads to prefetch beyond the current one.
        depth: maximum number of waiting items of each read, which bounds the memory.
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


def call_ahead(calls: Iterable[Callable[[], T]], *, threads: int) -> Generator[T, None, None]:
    """Yield what each of ``calls`` returns, in order, while ``threads`` threads run the next ones.

    An exception in a call is raised where its result is due. Closing this generator drops calls that have not begun.
    """
    pool, waiting = ThreadPoolExecutor(threads), deque[Future[T]]()
    try:
        for call in calls:
            waiting.append(pool.submit(call))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class _End:
    """Marks the end of the items, with the exception of the read if it raised one."""

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
        except BaseException as raised:  # raised again in the thread that consumes the items
            error = raised
        self._queue.put(_End(error))

    def items(self) -> Iterator[T]:
        """Yield the items as they are read."""
        while not isinstance(item := self._queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error

    def tell(self) -> None:
        """Tell the thread to stop, and empty the queue in case it waits for room."""
        self._wanted = False
        try:
            while True:
                self._queue.get_nowait()
        except Empty:
            return

    def close(self) -> None:
        """Stop the thread; leave it running if it takes longer than :data:`_PATIENCE`."""
        self.tell()
        self._thread.join(_PATIENCE)
