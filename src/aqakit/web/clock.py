"""A clock for expiry that a jump of the system's clock does not move."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

LONGEST_REST = 24 * 3600.0
"""Seconds that count at most while the machine was off: whether the system's clock jumped meanwhile is unknown."""

_UP = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # counts while the machine sleeps, where there is one


@dataclass(frozen=True)
class Reading:
    """What is remembered of the clock across restarts.

    Attributes:
        seconds: its time; first that of the system, in seconds since 1970.
        system: the system's time at that moment.
        boot: identifies the start of the machine; empty if unknown.
        up: seconds since that start.
    """

    seconds: float
    system: float
    boot: str
    up: float


class Clock:
    """Goes on where it was, by the seconds that passed since the start of the machine.

    Args:
        last: the last reading; None to begin with the time of the system.
    """

    def __init__(self, last: Reading | None) -> None:
        self._up, self._seconds = _up(), time.time()
        if last is None:
            return
        if last.boot and last.boot == _boot():
            passed = self._up - last.up
        else:
            passed = min(self._seconds - last.system, LONGEST_REST)
        self._seconds = last.seconds + max(0.0, passed)

    def now(self) -> float:
        """Return the time, in seconds."""
        return self._seconds + _up() - self._up

    def read(self) -> Reading:
        """Return what a later clock goes on from."""
        return Reading(self.now(), time.time(), _boot(), _up())


def _up() -> float:
    return time.clock_gettime(_UP)


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # not Linux
        return ""
