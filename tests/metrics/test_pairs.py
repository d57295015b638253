"""Pairs in order, beside Kendall's τ and the area under a ROC curve."""

import numpy as np
import pytest
from scipy.stats import kendalltau
from sklearn.metrics import roc_auc_score

from aqakit.metrics.pairs import in_order


def test_of_all_pairs_it_is_kendalls_tau():
    rng = np.random.default_rng(0)
    truth, score = rng.normal(size=(2, 30)) + rng.normal(size=30)
    i, j = np.triu_indices(30, 1)
    better, worse = np.where(truth[i] > truth[j], [i, j], [j, i])
    found = in_order(score, better, worse)
    assert 2 * found.share - 1 == pytest.approx(kendalltau(truth, score).statistic)
    assert (found.pairs, found.ties) == (435, 0)
    assert found.low < found.share < found.high


def test_ties_count_half_as_in_an_area_under_the_curve():
    rng = np.random.default_rng(1)
    label, score = rng.integers(0, 2, 40), rng.integers(0, 4, 40)
    better, worse = (side.ravel() for side in np.meshgrid(np.flatnonzero(label == 1), np.flatnonzero(label == 0)))
    found = in_order(score, better, worse)
    assert found.share == pytest.approx(roc_auc_score(label, score))
    assert found.ties > 0


def test_weights_count():
    assert in_order(np.array([1.0, 2, 3]), [2, 0], [0, 1], [3, 1]).share == 0.75


def test_intervals_hold_the_true_share():
    held = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        truth = rng.normal(size=40)
        score = truth + rng.normal(size=40)
        i, j = rng.integers(0, 40, (2, 120))
        i, j = i[i != j], j[i != j]
        better, worse = np.where(truth[i] > truth[j], [i, j], [j, i])
        found = in_order(score, better, worse)
        held.append(found.low <= 0.75 <= found.high)  # P(order kept) = 1/2 + arctan(1)/π
    assert np.mean(held) >= 0.9


def test_no_pairs_is_an_error():
    with pytest.raises(ValueError, match="no pairs"):
        in_order(np.zeros(3), [], [])
