"""World size and rank of this process, as set by ``torchrun``; without it, a single process."""

import os
from collections.abc import MutableMapping

from aqakit.errors import OptionError

_MEETING = ("MASTER_ADDR", "MASTER_PORT")
_OWN = ("RANK", "WORLD_SIZE", "LOCAL_RANK")


def size() -> int:
    """Return the number of processes that train together."""
    return max(_number("WORLD_SIZE", 1), 1)


def rank() -> int:
    """Return the rank of this process, from 0."""
    return _number("RANK", 0) if "WORLD_SIZE" in os.environ else 0


def local_rank() -> int:
    """Return the rank of this process on its machine, from 0."""
    return _number("LOCAL_RANK", 0) if "WORLD_SIZE" in os.environ else 0


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def is_first() -> bool:
    """Whether this is the process that writes files and prints."""
    return rank() == 0


def forget_leftovers(environment: MutableMapping[str, str] = os.environ) -> list[str]:
    """Remove ranks that an old session or a batch system left behind, and return their names.

    A process that belongs to others also knows the address at which they meet.
    """
    whole = all(environment.get(name) for name in ("RANK", "WORLD_SIZE", *_MEETING))
    return [] if whole else [name for name in _OWN if environment.pop(name, None) is not None]


def _number(name: str, alone: int) -> int:
    text = os.environ.get(name, str(alone))
    if not (text.isascii() and text.isdigit()):
        raise OptionError(f"{name}={text} is not a number; start with torchrun, or unset {', '.join(_OWN)}")
    return int(text)
