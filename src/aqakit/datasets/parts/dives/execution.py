"""How well a dive is executed, which is what its pictures show and its judges mark.

This file and those that draw a dive load no torch: rendering is done in processes of its own, which must start at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aqakit.datasets.parts.dives.catalogue import Element, difficulty


@dataclass(frozen=True)
class Execution:
    """How well a dive is executed; each component is from 0 (worst) to 1 (flawless).

    Attributes:
        height: height of the jump above the platform.
        form: no form break: knees straight, legs together, toes pointed.
        tightness: tightness of the tuck, the pike, or the straight body and the arms in a twist.
        entry: vertical body at the entry, neither short nor over.
        splash: no splash.
        opening: the body opens in time for the entry.
        knees: knees straight, whatever the rest of the form.

    Dives that are drawn at random have no fault in the last two; they are for dives with a single, known fault.
    """

    height: float
    form: float
    tightness: float
    entry: float
    splash: float
    opening: float = 1.0
    knees: float = 1.0


def draw_execution(rng: np.random.Generator, dive: Element) -> Execution:
    """Draw a random execution, without a fault in opening and knees.

    All components share the diver's form of the day; splash also depends on the entry.
    """
    own = rng.normal(size=5)
    day = 0.8 + 0.9 * rng.normal() - 0.5 * (difficulty(dive) - 2.8)
    own[4] = 0.7 * own[3] + 0.7 * own[4]
    return Execution(*(1 / (1 + np.exp(-day - 0.9 * own))).round(3).tolist())
