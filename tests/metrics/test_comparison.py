"""Comparisons against scipy where it has the same test, and against what is worked out by hand."""

from itertools import combinations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from aqakit.metrics import accuracy, comparison

RANDOM = np.random.default_rng(0)


def _closeness(true, predicted):
    return -accuracy.mae(true, predicted)


def _rivals(n=80, gap=0.0, seeds=1):
    """Two methods whose errors have much in common; the first is better by ``gap``."""
    true = RANDOM.normal(60, 10, n)
    common = RANDOM.normal(0, 3, n)
    own = RANDOM.normal(0, 1, (2, seeds, n))
    return true, true + common + own[0], true + common + own[1] + gap * np.sign(common)


@pytest.mark.parametrize("gap", [0.0, 0.3, 0.6])
def test_p_and_interval_are_near_those_of_the_paired_t_test(gap):
    true, first, second = _rivals(gap=gap)
    ours = comparison.over_samples(_closeness, true, first[0], second[0])
    apart = np.abs(second[0] - true) - np.abs(first[0] - true)
    theirs = scipy.stats.ttest_1samp(apart, 0)
    interval = theirs.confidence_interval(0.95)
    assert ours.estimate == pytest.approx(apart.mean())
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high), abs=0.03)
    assert ours.p == pytest.approx(theirs.pvalue, abs=0.05)
    assert ours.within_noise == (ours.low <= 0 <= ours.high)


def test_pairing_finds_what_separate_intervals_miss():
    true, first, second = _rivals(gap=0.6)
    alone = [np.quantile(comparison.resampled(_closeness, true, m), [0.025, 0.975]) for m in (first, second)]
    assert alone[0][0] < alone[1][1]  # they overlap
    assert not comparison.over_samples(_closeness, true, first, second).within_noise


@pytest.mark.slow
def test_true_null_hypotheses_are_rejected_as_rarely_as_stated():
    rejected = []
    for _ in range(200):
        true, first, second = _rivals(n=60)
        rejected.append(not comparison.over_samples(_closeness, true, first[0], second[0], draws=400).within_noise)
    assert np.mean(rejected) < 0.1


def test_a_method_equals_itself_and_the_other_way_round_is_the_negative():
    true, first, second = _rivals(seeds=3)
    folds = np.arange(80) % 4
    same = comparison.over_samples(accuracy.spearman, true, first, first, folds, draws=200)
    assert (same.estimate, same.low, same.high, same.p) == (0, 0, 0, 1)
    there = comparison.over_samples(accuracy.spearman, true, first, second, folds, draws=200)
    back = comparison.over_samples(accuracy.spearman, true, second, first, folds, draws=200)
    assert (there.estimate, there.low, there.high) == pytest.approx((-back.estimate, -back.high, -back.low))
    by_fold = [accuracy.spearman(true[folds == f], p[:, folds == f][s]) for p in (first, second) for s in range(3)
               for f in range(4)]  # fmt: skip
    assert there.estimate == pytest.approx(np.mean(by_fold[:12]) - np.mean(by_fold[12:]))


def test_seeds_are_resampled_too():
    true = np.arange(50.0)
    lucky = np.stack([true, -true])  # right with one seed, wrong with the other
    draws = comparison.resampled(accuracy.spearman, true, lucky, draws=2000)
    assert {round(v) for v in draws.tolist()} == {-1, 0, 1}
    assert np.mean(draws == 0) == pytest.approx(0.5, abs=0.05)


def test_cells_of_one_seed_are_scipys_bootstrap_of_the_mean():
    first, second = RANDOM.normal(0.8, 0.1, (2, 1, 12))
    ours = comparison.over_cells(first, second)
    reference = scipy.stats.bootstrap((first[0] - second[0],), np.mean, method="percentile", n_resamples=10_000, rng=1)
    assert (ours.low, ours.high) == pytest.approx(tuple(reference.confidence_interval), abs=0.005)
    assert ours.p == pytest.approx(scipy.stats.ttest_rel(first[0], second[0]).pvalue, abs=0.1)
    assert comparison.over_cells([[0.9]], [[0.1]]).within_noise  # one number says nothing of noise


def test_holm_by_hand():
    # sorted 0.005 0.01 0.03 0.04, times 4 3 2 1: 0.02 0.03 0.06 0.04, and never falling
    assert comparison.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert comparison.holm([0.6, 0.7]) == pytest.approx([1, 1])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_between_the_raw_values_and_bonferroni(p):
    corrected = comparison.holm(p)
    assert (corrected >= np.array(p)).all()
    assert (corrected <= np.minimum(np.array(p) * len(p), 1) + 1e-12).all()
    assert corrected.min() == pytest.approx(min(1, min(p) * len(p)))


@given(st.integers(1, 7).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.sampled_from(range(n * n))))))
def test_methods_share_a_letter_exactly_if_they_do_not_differ(case):
    size, chosen = case
    different = np.zeros(size * size, dtype=bool)
    different[list(chosen)] = True
    different = np.triu(different.reshape(size, size), 1)
    different |= different.T
    found = comparison.letters(different)
    assert all(found)
    for i, j in combinations(range(size), 2):
        assert bool(set(found[i]) & set(found[j])) != different[i, j]


def test_letters_by_hand():
    apart = np.zeros((4, 4), dtype=bool)
    apart[0, 2:] = apart[1, 3] = True
    assert comparison.letters(apart | apart.T) == ["a", "ab", "bc", "c"]
    assert comparison.letters(np.zeros((3, 3), dtype=bool)) == ["a", "a", "a"]


def test_groups_put_the_best_first_and_name_its_ties():
    true = RANDOM.normal(size=200)
    noise = RANDOM.normal(size=(3, 200))
    methods = {"bad": true + 4 * noise[2], "good": true + 0.3 * noise[0], "alike": true + 0.31 * noise[1]}
    methods["constant"] = np.ones(200)
    draws = {n: comparison.resampled(accuracy.spearman, true, p, draws=2000) for n, p in methods.items()}
    found = comparison.group(draws)
    assert set(found.names[:2]) == {"good", "alike"}
    assert found.names[2:] == ["bad", "constant"]
    assert found.letters["good"] == found.letters["alike"] == "a"
    assert "a" not in found.letters["bad"] + found.letters["constant"]
    assert found.ties_of_the_best() == [found.names[1]]


def test_resampled_statistics_give_the_same_difference_as_the_samples_and_undefined_ones_count_as_zero():
    true, first, second = _rivals(gap=0.3, seeds=2)
    whole = comparison.over_samples(_closeness, true, first, second, draws=400)
    draws = [comparison.resampled(_closeness, true, m, draws=400) for m in (first, second)]
    assert comparison.over_draws(*draws, whole.estimate) == whole
    undefined = comparison.over_draws(np.array([0.5, 0.25]), np.array([np.nan, 0.25]), 0.25)
    assert (undefined.low, undefined.high) == pytest.approx((0.0125, 0.4875))
