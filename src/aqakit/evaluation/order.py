"""How many pairs a run orders rightly, by where their two samples are.

A pair of which one sample is a test sample and the other one was trained on is no test by itself: it stands in a row of
its own, ``across``, where the training sample has the answer of the member that did not see it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqakit.datasets.parts.pairs import Pair, among
from aqakit.metrics.pairs import PairsInOrder, in_order
from aqakit.training.run import Run

COLUMNS = ("pairs", "in_order", "in_order_low", "in_order_high", "ties")
ACROSS = "across"

NOTE = (
    "in order: share of pairs whose better sample has the higher score, ties count half; its ends: 95 % bootstrap over "
    "samples."
)
ACROSS_NOTE = "across: pairs of a test and a training sample, which other members were trained on."


def of_run(run: Run, pairs: Sequence[Pair]) -> dict[str, PairsInOrder]:
    """Judge a run by pairs of its watched samples; by split, and ``across`` two of them."""
    where = {name: split for split in run.splits() for name in run.ids(split)}
    score = {
        name: value for s in run.splits() for name, value in zip(run.ids(s), run.prediction(s).mean.double().tolist())
    }
    parts: dict[str, list[Pair]] = {}
    for pair in pairs:
        if pair.better in where and pair.worse in where:
            same = where[pair.better] == where[pair.worse]
            parts.setdefault(where[pair.better] if same else ACROSS, []).append(pair)
    order = [*run.splits(), ACROSS]
    return {name: judge(score, parts[name]) for name in order if name in parts}


def judge(score: Mapping[str, float], pairs: Sequence[Pair]) -> PairsInOrder:
    """Judge scores, by id, of the samples of pairs."""
    names = sorted({name for pair in pairs for name in (pair.better, pair.worse)})
    number = {name: k for k, name in enumerate(names)}
    better, worse = [number[p.better] for p in pairs], [number[p.worse] for p in pairs]
    values: NDArray[np.float64] = np.array([score[name] for name in names])
    return in_order(values, better, worse, [p.weight for p in pairs])


def of_folds(folds: Sequence[Mapping[str, float]], pairs: Sequence[Pair]) -> PairsInOrder | None:
    """Judge scores, by id, of the test samples of several folds, each by its own pairs; None if there are none."""
    score = {f"{k} {name}": value for k, fold in enumerate(folds) for name, value in fold.items()}
    named = [(k, pair) for k, fold in enumerate(folds) for pair in among(pairs, fold)]
    own = [replace(pair, better=f"{k} {pair.better}", worse=f"{k} {pair.worse}") for k, pair in named]
    return judge(score, own) if own else None


def mean(found: Sequence[PairsInOrder]) -> PairsInOrder:
    """The mean over seeds, on the same pairs and resamples."""
    share, low, high = (float(np.mean([getattr(one, name) for one in found])) for name in ("share", "low", "high"))
    return PairsInOrder(share, low, high, round(float(np.mean([one.ties for one in found]))), found[0].pairs)


def cells(found: PairsInOrder) -> dict[str, Any]:
    """The columns of a table."""
    values = (found.pairs, found.share, found.low, found.high, found.ties)
    return dict(zip(COLUMNS, values, strict=True))
