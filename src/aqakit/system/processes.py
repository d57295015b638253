"""Which of several processes this is, as ``torchrun`` says; one alone where it did not start them."""

import os


def size() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", 1))


def rank() -> int:
    """The number of this one, from 0."""
    return int(os.environ.get("RANK", 0))


def is_first() -> bool:
    """Whether this is the process that writes and speaks."""
    return rank() == 0
