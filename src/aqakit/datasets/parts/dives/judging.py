"""Model of the judging: from the execution of a dive to seven marks, the score, their true moments and a commentary.

The model, with execution components e in 0…1 (1 is flawless) and unusualness u in 0…1 of the dive:

    merit  = 10 − Σ w (1 − e)                              w = DEDUCTIONS
    σ      = 0.3 + 0.6 u                                   judges disagree more on rare dives
    mark_j = merit + σ (√½ z₀ + √½ z_j),  z ~ N(0, 1)      to the nearest half point, 0…10
    score  = sum of the three middle marks × difficulty

z₀ is the error shared by the panel (one side of the pool, one replay), z_j the error of judge j.
"""

from __future__ import annotations

from dataclasses import astuple, fields
from functools import cache

import numpy as np

from aqakit.datasets.parts.dives.catalogue import Element, unusualness
from aqakit.datasets.parts.dives.execution import Execution
from aqakit.scores.rules import diving
from aqakit.types import Floats

COMPONENTS = tuple(field.name for field in fields(Execution))
DEDUCTIONS = np.array([1.4, 2.2, 1.8, 2.4, 2.2, 2.0, 2.0])
"""Points deducted if a component is 0, in the order of :data:`COMPONENTS`."""
_DRAWS = 4096


def merit(execution: Execution) -> float:
    """Return the mark without noise or rounding, 0 to 10."""
    return float(10 - DEDUCTIONS @ (1 - np.array(astuple(execution))))


def disagreement(dive: Element) -> float:
    """Return the standard deviation σ of one judge's mark, 0.3 to 0.9 points; it grows with unusualness."""
    return 0.3 + 0.6 * unusualness(dive)


def marks(dive: Element, execution: Execution, noise: Floats) -> Floats:
    """Return seven marks in half points, (…, 7), from standard normal ``noise`` (…, 8); the first is the panel's."""
    shared = np.sqrt(0.5) * (noise[..., :1] + noise[..., 1:])
    raw = merit(execution) + disagreement(dive) * shared
    return np.asarray(np.clip(np.round(2 * raw) / 2, 0, 10))


@cache
def _noise() -> Floats:
    half = np.random.default_rng(0).normal(size=(_DRAWS // 2, 8))
    return np.concatenate([half, -half])  # antithetic: an exact mean of zero


def total_moments(dive: Element, execution: Execution) -> tuple[float, float]:
    """Return the mean and standard deviation of the judges' total over 4096 simulated panels.

    Monte Carlo with the same antithetic draws for every dive: deterministic, standard errors about 0.01 and 0.02.
    """
    totals = diving(marks(dive, execution, _noise())).numpy()
    return float(totals.mean()), float(totals.std())


_WHOLE = ("", "one", "two", "three", "four")
_REMARKS = {
    "height": ("little height", "fair height", "great height off the platform"),
    "form": ("legs apart and knees bent", "a slight break in form", "beautiful lines"),
    "tightness": ("very loose in the air", "a bit open in the air", "tight in the air"),
    "entry": ("far from vertical", "slightly off vertical", "vertical entry"),
    "splash": ("a big splash", "some splash", "hardly a splash"),
}


def commentary(dive: Element, execution: Execution) -> str:
    """Return a commentary: the dive, then a remark on each component of its execution."""
    start = "from an armstand " if dive.armstand else ""
    turns = _counted(dive.somersaults, "somersault") if dive.somersaults else "jump"
    twists = f" with {_counted(dive.twists, 'twist')}" if dive.twists else ""
    position = "free position" if dive.position == "free" else f"{dive.position} position"
    levels = {name: int(np.digitize(getattr(execution, name), (0.5, 0.75))) for name in _REMARKS}
    remarks = ", ".join(_REMARKS[name][level] for name, level in levels.items())
    return f"{start}{dive.rotation} {turns}{twists} in {position}, {remarks}."


def _counted(halves: int, noun: str) -> str:
    number = " and ".join(part for part in (_WHOLE[halves // 2], "a half" if halves % 2 else "") if part)
    return f"{number} {noun}{'s' if halves > 2 else ''}"
