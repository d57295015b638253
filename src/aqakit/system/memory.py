"""How much memory there is."""

from __future__ import annotations

import os
from pathlib import Path

_GROUP = Path("/sys/fs/cgroup/memory.max")
_UNKNOWN = 8 * 2**30


def installed() -> int:
    """Return the bytes of memory of this machine, or of the container if that has less."""
    try:
        found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not a Unix
        found = _UNKNOWN
    try:
        return min(found, int(_GROUP.read_text()))
    except (OSError, ValueError):  # no container, or one without a limit
        return found
