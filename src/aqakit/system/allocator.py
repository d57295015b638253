"""Memory that is freed and soon needed again.

Every step of training frees as much as the next one asks for. The C library of Linux hands large blocks back to the
system each time, which clears their pages again before it returns them: a third of the time of a step of a small
network on a CPU.
"""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_KEPT = 2**30
"""Bytes at the top of the heap that are not handed back."""


def keep_freed_memory(largest: int = 2**30) -> bool:
    """Let this process keep up to 1 GiB that it has freed; return False where the C library has no such setting.

    Args:
        largest: bytes of the largest block that is kept. What is small and stays between large blocks that come and go
            leaves their memory in pieces: a stream of them is better handed back.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # of the GNU C library; others have none, or ignore it
    return mallopt is not None and bool(mallopt(_TRIM_THRESHOLD, _KEPT)) and bool(mallopt(_MMAP_THRESHOLD, largest))
