"""Epoch selection rules: the honest ones, those of the papers, and the published protocols that use them.

Every published headline result is a maximum over test epochs or a mean over a late window of them. Here the rules are
applied after training, to the stored predictions of every epoch, under unambiguous names:

- ``held-out``, ``last`` and ``best-validation`` are honest: the epoch is selected without test scores;
- ``best-test``, ``last-ten`` and ``best-ten-consecutive`` are the papers' rules. They are marked *optimistic*.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aqakit.types import Floats

Epochs = NDArray[np.int64]
"""Numbers of epochs."""


@dataclass(frozen=True)
class Rule:
    """A rule that selects the reported epochs of runs on several folds.

    Attributes:
        honest: whether it selects without test scores.
        choose: (folds, E) test Spearman after each evaluated epoch, and the numbers (E,) of these → the columns whose
            mean over folds is reported.
        meaning: one phrase for the notes of a table.
    """

    honest: bool
    choose: Callable[[Floats, Epochs], slice]
    meaning: str


def _last(curves: Floats, epochs: Epochs) -> slice:
    return slice(-1, None)


def _last_ten(curves: Floats, epochs: Epochs) -> slice:
    return slice(int(np.searchsorted(epochs, epochs[-1] - 9)), None)


def _best_window(width: int) -> Callable[[Floats, Epochs], slice]:
    """Of the evaluated epochs among ``width`` in a row, or among all if there are fewer."""

    def choose(curves: Floats, epochs: Epochs) -> slice:
        mean, size = curves.mean(0), min(width, int(epochs[-1] - epochs[0]) + 1)
        if len(epochs) == epochs[-1] - epochs[0] + 1:
            start = int(np.convolve(mean, np.ones(size) / size, mode="valid").argmax())
            return slice(start, start + size)
        starts = np.flatnonzero(epochs + size - 1 <= epochs[-1])
        ends = np.searchsorted(epochs, epochs[starts] + size)
        best = int(np.argmax([mean[start:end].mean() for start, end in zip(starts, ends)]))
        return slice(int(starts[best]), int(ends[best]))

    return choose


RULES: Mapping[str, Rule] = {
    "last": Rule(True, _last, "the last epoch"),
    "held-out": Rule(
        True,
        _last,
        "the epoch with the best answers on held-out training samples; for a single model the last",
    ),
    "best-validation": Rule(True, _last, "the epoch that ranks held-out training samples best"),
    "best-test": Rule(False, _best_window(1), "optimistic: the epoch that ranks the test samples best"),
    "last-ten": Rule(False, _last_ten, "optimistic: the mean of the last ten test epochs"),
    "best-ten-consecutive": Rule(False, _best_window(10), "optimistic: the best ten test epochs in a row"),
}


KEPT = ("held-out", "best-validation")
"""Rules by which a run keeps an epoch while it is trained."""


@dataclass(frozen=True)
class Published:
    """A published protocol: its splits, rule and number of seeds, and the papers that use it."""

    splits: str
    rule: str
    seeds: int
    source: str


PUBLISHED: Mapping[str, Published] = {
    "mtl-aqa": Published("official", "best-test", 1, "C3D-AVG, USDL, MUSDL, DAE, CoRe on MTL-AQA"),
    "aqa-7": Published("official", "best-test", 1, "USDL, CoRe on AQA-7; one model per action, Fisher-z mean"),
    "jigsaws-usdl": Published("four-fold", "last-ten", 3, "USDL, MUSDL on JIGSAWS; Fisher-z mean over tasks"),
    "jigsaws-dae": Published("four-fold", "best-ten-consecutive", 3, "DAE on JIGSAWS"),
    "rhythmic-gymnastics": Published("official", "best-test", 1, "ACTION-NET, GDLT; one model per apparatus"),
}
