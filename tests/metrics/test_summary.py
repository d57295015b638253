import time
import warnings

import numpy as np
import pytest
import scipy.stats
import scoringrules
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from aqakit.metrics import accuracy, bootstrap_interval, calibration, evaluate, scoring
from aqakit.metrics.summary import average
from aqakit.scores.distributions import Normal, Point, mixture

RANDOM = np.random.default_rng(0)


def _pairs(n=200):
    true = RANDOM.integers(6, 31, n).astype(float)
    return true, true + RANDOM.normal(0, 4, n).round()


def test_correlations_agree_with_scipy_ties_included():
    true, predicted = _pairs()
    assert accuracy.spearman(true, predicted) == pytest.approx(scipy.stats.spearmanr(true, predicted)[0])
    assert accuracy.pearson(true, predicted) == pytest.approx(scipy.stats.pearsonr(true, predicted)[0])
    assert accuracy.kendall(true, predicted) == pytest.approx(scipy.stats.kendalltau(true, predicted)[0])


@given(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=20, unique=True))
def test_spearman_only_sees_ranks(values):
    true = np.arange(len(values))
    ranks = np.argsort(np.argsort(values))
    assert accuracy.spearman(true, values) == pytest.approx(accuracy.spearman(true, ranks**3 - 7))


def test_rows_are_independent():
    true, predicted = RANDOM.normal(size=(2, 5, 30))
    for name in ("spearman", "pearson", "kendall", "mae", "rmse"):
        function = getattr(accuracy, name)
        assert function(true, predicted).shape == (5,)
        assert function(true, predicted)[3] == pytest.approx(function(true[3], predicted[3]))


@pytest.mark.parametrize("name", ["spearman", "pearson", "kendall"])
def test_a_constant_prediction_has_no_correlation_and_no_warning(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(getattr(accuracy, name)([1.0, 2.0, 3.0], [0.1, 0.1, 0.1]))


def test_fisher_mean_reproduces_published_averages():
    jrg = [0.7630, 0.7358, 0.6006, 0.5405, 0.9013, 0.9254]
    st_gcn = [0.3286, 0.5770, 0.1681, 0.1234, 0.6600, 0.6483]
    assert accuracy.fisher_mean(jrg) == pytest.approx(0.7849, abs=5e-5)
    assert accuracy.fisher_mean(st_gcn) == pytest.approx(0.4433, abs=5e-5)
    assert accuracy.fisher_mean([1.0, 0.5]) == 1
    assert np.isnan(accuracy.fisher_mean([0.3, np.nan]))


def test_errors_agree_with_sklearn_and_a_hand_computation():
    true, predicted = _pairs()
    assert accuracy.mae(true, predicted) == pytest.approx(sklearn_metrics.mean_absolute_error(true, predicted))
    assert accuracy.rmse(true, predicted) == pytest.approx(sklearn_metrics.root_mean_squared_error(true, predicted))
    # (5² + 10²) / 2 / 100² × 100
    assert accuracy.relative_l2([50.0, 80.0], [55.0, 70.0], span=100) == pytest.approx(0.625)


def _calibrated(n=20_000):
    random = torch.Generator().manual_seed(0)
    truth = Normal(torch.randn(n, generator=random) * 10 + 60, torch.rand(n, generator=random) * 5 + 0.5)
    return truth, truth.sample(generator=random)[0].numpy()


def test_scores_agree_with_scipy_scoringrules_and_sklearn():
    truth, score = _calibrated(500)
    mean, std = truth.mean.numpy(), truth.std.numpy()
    assert scoring.nll(truth, score) == pytest.approx(-scipy.stats.norm(mean, std).logpdf(score).mean(), rel=1e-5)
    assert scoring.crps(truth, score) == pytest.approx(scoringrules.crps_normal(score, mean, std).mean(), rel=1e-5)
    levels = np.array([0.1, 0.5, 0.8])
    reference = [
        sklearn_metrics.mean_pinball_loss(score, scipy.stats.norm(mean, std).ppf(level), alpha=level)
        for level in levels
    ]
    assert scoring.pinball(truth, score, levels) == pytest.approx(reference, rel=1e-5)


def test_a_true_model_is_calibrated_and_an_overconfident_one_is_not():
    truth, score = _calibrated()
    for level in (0.5, 0.8, 0.9):
        assert calibration.coverage(truth, score, level) == pytest.approx(level, abs=0.01)
    assert calibration.expected_calibration_error(truth, score) < 0.01
    assert scipy.stats.kstest(calibration.pit(truth, score), "uniform").pvalue > 0.01
    assert calibration.width(truth, 0.9) == pytest.approx(2 * 1.6449 * float(truth.std.mean()), rel=1e-3)
    narrow = Normal(truth.mean, truth.std / 3)
    # a 90 % interval a third as wide holds what lies within 0.548 true standard deviations
    expected = 1 - 2 * scipy.stats.norm.cdf(-scipy.stats.norm.ppf(0.95) / 3)
    assert calibration.coverage(narrow, score, 0.9) == pytest.approx(expected, abs=0.01)
    assert calibration.expected_calibration_error(narrow, score) > 0.1


def test_error_and_spread_rank_alike_only_where_the_spread_is_known():
    truth, score = _calibrated(2000)
    known = calibration.error_spread_correlation(truth, score)
    error = np.abs(truth.mean.numpy() - score)
    assert known.spearman == pytest.approx(scipy.stats.spearmanr(error, truth.std.numpy())[0])
    assert known.kendall == pytest.approx(scipy.stats.kendalltau(error, truth.std.numpy())[0])
    assert known.spearman > 0.3
    assert np.isnan(calibration.error_spread_correlation(Normal(truth.mean, torch.ones(2000)), score)).all()


def test_binned_error_spread_is_kendalls_tau_over_bins():
    truth, score = _calibrated(2000)
    error, spread = np.abs(truth.mean.numpy() - score), truth.std.numpy()
    bins = np.digitize(spread, np.quantile(spread, np.linspace(0, 1, 11)[1:-1]))
    means = [[values[bins == b].mean() for b in range(10)] for values in (error, spread)]
    assert calibration.binned_error_spread(truth, score) == pytest.approx(scipy.stats.kendalltau(*means).statistic)
    assert calibration.binned_error_spread(truth, score) > 0.7
    assert np.isnan(calibration.binned_error_spread(Normal(truth.mean, torch.full((2000,), 0.3)), score))


def test_risk_coverage_is_the_error_of_the_surest():
    truth, score = _calibrated(500)
    curve = calibration.risk_coverage(truth, score)
    order = np.argsort(truth.std.numpy())
    mean = truth.mean.numpy()
    for kept in (1, 100, 500):
        surest = order[:kept]
        assert curve.coverage[kept - 1] == kept / 500
        expected = sklearn_metrics.mean_absolute_error(score[surest], mean[surest])
        assert curve.risk[kept - 1] == pytest.approx(expected, rel=1e-5)
    assert curve.area < 0.8 * accuracy.mae(score, mean)
    shuffled = Normal(truth.mean, truth.std[torch.randperm(500)])
    assert calibration.risk_coverage(shuffled, score).area == pytest.approx(accuracy.mae(score, mean), rel=0.1)


def test_risk_of_equally_sure_predictions_is_the_mean_error_whatever_their_order():
    flat = calibration.risk_coverage(Point(torch.zeros(4)), [1.0, 2.0, 3.0, 10.0])
    assert flat.risk == pytest.approx([4.0] * 4)
    two = calibration.risk_coverage(Normal(torch.zeros(4), torch.tensor([2.0, 1.0, 2.0, 1.0])), [4.0, 1.0, 6.0, 3.0])
    assert two.risk == pytest.approx([2, 2, 9 / 3, 14 / 4])  # pairs of mean error 2, then 5


def test_evaluate_is_one_row_of_all():
    truth, score = _calibrated(300)
    row = evaluate(truth, score, span=100)
    accuracies = ["spearman", "kendall", "pearson", "mae", "rmse", "relative_l2", "relative_l2_papers"]
    coverages = [f"coverage_{level}" for level in (50, 80, 90, 95)]
    widths = [f"width_{level}" for level in (50, 80, 90, 95)]
    ends = ["ece", "error_spread", "error_spread_bins", "risk_area"]
    assert list(row) == [*accuracies, "nll", "crps", *coverages, *widths, *ends]
    assert sorted(row[name] for name in coverages) == [row[name] for name in coverages]
    assert row["relative_l2"] == pytest.approx(row["rmse"] ** 2 / 100)
    assert row["relative_l2_papers"] == pytest.approx(100 * row["rmse"] ** 2 / (score.max() - score.min()) ** 2)
    assert row["crps"] < row["mae"]
    point = evaluate(Point(truth.mean), score, span=100)
    assert point["crps"] == pytest.approx(point["mae"], rel=1e-5)
    assert np.isnan([point["coverage_90"], point["width_90"], point["nll"]]).all()
    assert np.isnan(point["error_spread"])


def test_bootstrap_agrees_with_scipy_on_one_fold():
    true, predicted = _pairs(60)
    ours = bootstrap_interval(accuracy.spearman, true, predicted, draws=4000)
    theirs = scipy.stats.bootstrap(
        (true, predicted),
        lambda a, b, axis=-1: accuracy.spearman(a, b),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=4000,
        rng=1,
    ).confidence_interval
    assert ours == pytest.approx(tuple(theirs), abs=0.02)


def test_bootstrap_of_four_folds_is_fast_repeatable_and_stays_within_folds():
    true, predicted = _pairs(40)
    folds = np.repeat(["A", "B", "C", "D"], 10)
    start = time.perf_counter()
    low, high = bootstrap_interval(accuracy.spearman, true, predicted, folds, seed=1)
    assert time.perf_counter() - start < 0.5
    assert (low, high) == bootstrap_interval(accuracy.spearman, true, predicted, folds, seed=1)
    estimate = np.mean([accuracy.spearman(true[folds == f], predicted[folds == f]) for f in "ABCD"])
    assert low < estimate < high
    # An offset between folds would change ranks across them; within folds it changes nothing.
    moved = predicted + 1000 * (folds == "B")
    assert bootstrap_interval(accuracy.spearman, true, moved, folds, seed=1) == (low, high)


def test_bootstrap_of_constant_predictions_is_zero_and_of_constant_scores_too():
    assert bootstrap_interval(accuracy.spearman, np.arange(9.0), np.ones(9)) == (0, 0)
    assert bootstrap_interval(accuracy.spearman, np.ones(9), np.arange(9.0)) == (0, 0)


def test_a_mixture_of_points_has_no_density_but_intervals():
    both = mixture([Point(torch.tensor([1.0, 5.0])), Point(torch.tensor([3.0, 6.0]))])
    row = evaluate(both, [2.0, 9.0], span=10)
    assert np.isnan(row["nll"])
    assert row["coverage_90"] == 0.5
    assert row["width_90"] == pytest.approx(1.5, abs=1e-5)
    assert row["crps"] == pytest.approx(scoringrules.crps_ensemble([2.0, 9.0], [[1.0, 3.0], [5.0, 6.0]]).mean())


def test_accuracy_and_auc_of_two_values_are_sklearns():
    high = RANDOM.integers(0, 2, 80)
    mean = np.round(high + RANDOM.normal(0, 0.6, 80), 1)  # with ties
    row = evaluate(Point(torch.from_numpy(mean)), 2.0 + 3 * high, span=3, values=(2.0, 5.0))
    assert row["auc"] == pytest.approx(sklearn_metrics.roc_auc_score(high, mean))
    assert row["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(high, mean >= 3.5))
    assert np.isnan(accuracy.auc([5.0, 5.0], [1.0, 2.0], (2.0, 5.0)))  # a fold with one value
    assert "auc" not in evaluate(Point(torch.from_numpy(mean)), high, span=1)
    folds = [{"spearman": np.nan, "auc": np.nan, "mae": 1.0}, {"spearman": 0.8, "auc": 0.6, "mae": 2.0}]
    assert average(folds) == {"spearman": 0.4, "auc": 0.6, "mae": 1.5}
