"""Measures with names: what backbones without learning give, so that a score can be explained in words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class Measure:
    """One number of a recording, or of a part of it.

    Attributes:
        name: unique in its backbone: ``left knee angle, lowest, against the start``.
        unit: ``degrees``, ``s``, …; empty for a number without unit.
        group: what it belongs to, together with the measures that should be explained as one: ``left knee angle``,
            ``smoothness``, ``symmetry``, ``tempo``.
        more: what a larger number means: ``straighter``.
        channel: name of the quantity over time that it is taken from; None if there is not one.
        statistic: what is taken of the channel: ``lowest``.
    """

    name: str
    unit: str
    group: str
    more: str
    channel: str | None = None
    statistic: str = ""


@runtime_checkable
class Named(Protocol):
    """A backbone whose D features are measures.

    Attributes:
        measures: in the order of the features.
    """

    measures: tuple[Measure, ...]

    def second(self, path: Path, measure: Measure, window: tuple[int, int] | None = None) -> float | None:
        """Time in a recording of the extreme that a measure tells, in seconds; None if it tells none."""

    def sides(self, path: Path, window: tuple[int, int] | None = None) -> dict[str, str]:
        """Which side of the body the names of sides mean in a recording, if they are not left and right."""
