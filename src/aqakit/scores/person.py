"""How a person's level differs from that of others, from a few recordings of that person known to be right.

Let x be the answer to a right recording by a model that has not seen the person. It differs from person to person and
from recording to recording:

    x_pi = μ + a_p + e_pi,   a_p with variance τ² (between people),   e_pi with variance σ² (within a person).

Held-out answers to right recordings of training people give μ, τ² and σ² (analysis of variance with one random factor
and groups of any size: Searle, Casella, McCulloch, "Variance Components", 1992). Of a new person n right recordings
have the mean answer x̄. The best linear prediction of that person's offset a_p is

    w (x̄ − μ),   w = n τ² / (n τ² + σ²) = n / (n + k),   k = σ² / τ²

(empirical Bayes, for the variances are estimates). All answers to recordings of that person are shifted by −w (x̄ − μ).
Where people differ no more than chance explains, τ² is 0 and nothing is shifted.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from aqakit.errors import DataError
from aqakit.types import Floats

FEWEST = 3
"""People without whom nothing can be said of how people differ."""


@dataclass(frozen=True)
class PersonLevel:
    """Answers to right recordings of people that the model has not seen.

    Attributes:
        level: μ, their mean over people, each weighted by how well that person is known; in score units.
        between: τ², variance between people.
        within: σ², variance within a person.
        people: number of people.
    """

    level: float
    between: float
    within: float
    people: int

    @classmethod
    def fit(cls, answer: Floats, person: Sequence[Hashable]) -> Self:
        """Estimate level and variances from answers (n,) to right recordings of people (n,).

        Raises:
            DataError: there are fewer than three people, or nobody has two recordings.
        """
        names = {name: number for number, name in enumerate(dict.fromkeys(person))}
        own = np.array([names[name] for name in person], dtype=np.int64)
        x, size = np.asarray(answer, dtype=np.float64), np.bincount(own, minlength=len(names))
        if len(size) < FEWEST or len(x) == len(size):
            raise DataError(
                f"a person's level needs right recordings of at least {FEWEST} held-out people, two or more of some; "
                f"there are {len(x)} of {len(size)}"
            )
        mean = np.bincount(own, weights=x) / size
        within = float(np.square(x - mean[own]).sum() / (len(x) - len(size)))
        among = float((size * np.square(mean - x.mean())).sum() / (len(size) - 1))
        typical = (len(x) - np.square(size).sum() / len(x)) / (len(size) - 1)  # recordings of a person
        between = max(0.0, (among - within) / typical)
        noise = between + within / size
        weight = 1 / noise if (noise > 0).all() else np.ones(len(size))
        return cls(float((weight * mean).sum() / weight.sum()), between, within, len(size))

    def trust(self, recordings: int) -> float:
        """w, between 0 and 1: how much of the difference of so many recordings is the person's own."""
        spread = recordings * self.between
        return spread / (spread + self.within) if spread > 0 else 0.0

    def shift(self, answer: Floats) -> float:
        """Points by which all answers to recordings of a person move; ``answer`` (n,) are those to n right ones."""
        x = np.asarray(answer, dtype=np.float64)
        return self.trust(len(x)) * (self.level - float(x.mean())) if len(x) else 0.0
