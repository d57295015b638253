"""World size and rank of this process, as set by ``torchrun``; without it, a single process."""

import os


def size() -> int:
    """Return the number of processes that train together."""
    return int(os.environ.get("WORLD_SIZE", 1))


def rank() -> int:
    """Return the rank of this process, from 0."""
    return int(os.environ.get("RANK", 0))


def is_first() -> bool:
    """Whether this is the process that writes files and prints."""
    return rank() == 0
