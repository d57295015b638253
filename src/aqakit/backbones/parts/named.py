"""Measures with names: what backbones without learning give, so that a score can be explained in words."""

from __future__ import annotations

from dataclasses import dataclass


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
