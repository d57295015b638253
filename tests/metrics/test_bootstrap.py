"""Resamples against scipy, plain loops and simulations whose true value is known."""

import numpy as np
import pytest
import scipy.stats

from aqakit.metrics import accuracy, comparison
from aqakit.metrics.bootstrap import bootstrap, bootstrap_interval, in_groups


def _bias(true, predicted):
    return (predicted - true).mean(-1)


def _pairs_of_two(signs):
    """Ten folds of two test samples; ``signs`` (seeds, 10) say whether a seed ranks a fold correctly."""
    true = np.tile([1.0, 2.0], 10)
    return true, np.repeat(signs, 2, axis=1) * true, np.repeat(np.arange(10), 2)


def _signs(wrong, seeds=6):
    """(seeds, 10) of 1 and −1, with the wrong ones spread over folds and seeds."""
    signs = np.ones(seeds * 10)
    signs[np.random.default_rng(0).permutation(seeds * 10)[:wrong]] = -1
    return signs.reshape(seeds, 10)


def test_leaving_out_users_of_two_samples_separates_a_good_method_from_a_poor_one():
    good, poor = _signs(1), _signs(25)  # means 58 / 60 and 10 / 60
    true, first, folds = _pairs_of_two(good)
    _, second, _ = _pairs_of_two(poor)
    found = comparison.over_samples(accuracy.spearman, true, first, second, folds, draws=3000)
    assert found.estimate == pytest.approx(0.8)
    assert found.p < 0.01
    assert found.low < found.estimate < found.high
    draws = [comparison.resampled(accuracy.spearman, true, one, folds, draws=3000) for one in (first, second)]
    assert comparison.group(dict(zip(("good", "poor"), draws))).letters == {"good": "a", "poor": "b"}


def test_folds_of_two_lose_hardly_a_draw_and_keep_mean_and_spread_of_the_folds():
    signs = np.array([[1, 1, 1, -1, 1, 1, -1, 1, 1, 1.0]])
    true, predicted, folds = _pairs_of_two(signs)
    draws = bootstrap(accuracy.spearman, true, predicted[0], folds, draws=20_000)
    assert np.isnan(draws).mean() == pytest.approx(0.5**10, abs=0.001)  # each fold repeats one sample half of the time
    assert np.nanmean(draws) == pytest.approx(signs.mean(), abs=0.01)
    assert np.nanstd(draws) == pytest.approx(signs.std() / np.sqrt(10), rel=0.25)


def test_equal_predictions_count_as_zero_in_every_draw_as_in_the_estimate():
    true, folds = np.tile(np.arange(5.0), 2), np.repeat([0, 1], 5)
    half = np.where(folds == 0, true, 3.0)  # right in one fold, constant in the other
    draws = bootstrap(accuracy.spearman, true, half, folds)
    assert np.nanmean(draws) == pytest.approx(0.5, abs=0.01)
    same = np.where(folds == 0, true, 3.0)  # a fold whose true scores are equal counts as 0 too
    assert np.nanmean(bootstrap(accuracy.spearman, same, true, folds)) == pytest.approx(0.5, abs=0.01)


def test_without_shared_groups_each_fold_resamples_its_samples_as_a_plain_loop_does():
    random = np.random.default_rng(1)
    true, predicted = random.normal(size=(2, 60))
    folds = np.arange(60) % 4
    drawing, expected = np.random.default_rng(5), np.zeros(300)
    for fold in range(4):
        (rows,) = np.nonzero(folds == fold)
        drawn = rows[drawing.integers(len(rows), size=(300, len(rows)))]
        expected += accuracy.spearman(true[drawn], predicted[drawn]) / 4
    for groups in (None, [None] * 60, [f"g{i}" for i in range(60)]):
        found = bootstrap(accuracy.spearman, true, predicted, folds, groups, draws=300, seed=5)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    one = bootstrap(accuracy.spearman, true, predicted, None, ["all"] * 60, draws=300)  # a single group tells nothing
    np.testing.assert_array_equal(one, bootstrap(accuracy.spearman, true, predicted, draws=300))


def test_folds_of_one_group_each_are_scipys_bootstrap_of_the_folds():
    random = np.random.default_rng(2)
    folds = np.repeat(np.arange(9), 7)
    true = random.normal(size=63)
    predicted = true + random.normal(size=63) * (1 + folds)
    groups = [f"surgeon {fold}" for fold in folds]
    ours = bootstrap_interval(accuracy.spearman, true, predicted, folds, groups, draws=9999)
    each = [scipy.stats.spearmanr(true[folds == f], predicted[folds == f]).statistic for f in range(9)]
    theirs = scipy.stats.bootstrap((each,), np.mean, method="percentile", rng=0).confidence_interval
    assert ours == pytest.approx(tuple(theirs), abs=0.02)


def test_groups_of_unequal_size_are_drawn_whole():
    groups = ["a", "b", "b", "c", "c", "c"]
    value = np.array([1.0, 2, 2, 4, 4, 4])
    draws = bootstrap(_bias, np.zeros(6), value, None, groups, draws=5000)
    possible = {(i + 2 * 2 * j + 3 * 4 * k) / (i + 2 * j + 3 * k) for i in range(4) for j in range(4 - i)
                for k in [3 - i - j]}  # fmt: skip
    assert {round(v, 9) for v in draws} == {round(v, 9) for v in possible}
    assert np.mean(draws == 1.0) == pytest.approx(1 / 27, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("crossed", [True, False])
def test_intervals_hold_what_they_promise_where_groups_share_their_errors(crossed):
    """Each group in all folds, as surgeons in the published folds of JIGSAWS, or in one fold only."""
    random, covered = np.random.default_rng(3), {"samples": [], "groups": []}
    group = np.repeat(np.arange(24), 4)
    folds = np.arange(96) % 4 if crossed else group % 4
    names = [f"g{g}" for g in group]
    for trial in range(150):
        error = random.normal(size=24)[group] + random.normal(size=96)
        for kind, known in (("samples", None), ("groups", names)):
            low, high = bootstrap_interval(_bias, np.zeros(96), error, folds, known, draws=300, seed=trial)
            covered[kind].append(low <= 0 <= high)
    assert np.mean(covered["samples"]) < 0.82
    assert np.mean(covered["groups"]) > 0.88


def test_whether_groups_are_shared():
    assert not in_groups([0, 0, 1], [None, None, None])
    assert not in_groups([0, 1, 1], ["a", "b", "c"])
    assert in_groups([0, 1, 2], ["a", "a", "c"])
    assert in_groups([0, 0, 1, 1], ["a", "a", "b", "b"])
    assert not in_groups([0, 0], ["a", "a"])  # a single group
