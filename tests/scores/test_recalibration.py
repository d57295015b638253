import json
import math

import numpy as np
import pytest
import torch
from crepes import ConformalRegressor
from scipy.stats import norm
from sklearn.isotonic import IsotonicRegression

from aqakit.errors import DataError, OptionError
from aqakit.metrics import calibration, scoring
from aqakit.scores.distributions import Binned, Mixture, Normal, Point
from aqakit.scores.recalibration import KINDS, LEVELS, Absolute, Conformal, Grouped, Isotonic, Quantile, from_json

N = 20_000


def _truth(n=N, seed=0):
    """Predictions that are true, and scores drawn from them."""
    random = torch.Generator().manual_seed(seed)
    truth = Normal(60 + 10 * torch.randn(n, generator=random), 1 + 4 * torch.rand(n, generator=random))
    return truth, truth.sample(generator=random)[0]


def _halves(distribution, score):
    half = len(score) // 2
    first, second = slice(None, half), slice(half, None)
    return distribution.select(first), score[first], distribution.select(second), score[second]


def _as_bins(normal):
    edges = torch.linspace(0, 120, 241)
    middle = (edges[1:] + edges[:-1]) / 2
    return Binned(normal.select(slice(None)).log_prob(middle[:, None]).T, edges)


WRONG = {
    "right": lambda d: d,
    "3 times too narrow": lambda d: Normal(d.mean, d.std / 3),
    "3 times too wide": lambda d: Normal(d.mean, d.std * 3),
    "two votes": lambda d: Mixture(
        torch.zeros(*d.batch_shape, 2),
        Normal(torch.stack([d.mean - d.std, d.mean + d.std], -1), d.std[:, None].expand(-1, 2)),
    ),
    "bins 3 times too wide": lambda d: _as_bins(Normal(d.mean, d.std * 3)),
}


FAST = ("right", "3 times too narrow", "3 times too wide")


@pytest.mark.parametrize("kind", [Conformal, Isotonic])
@pytest.mark.parametrize("wrong", [w if w in FAST else pytest.param(w, marks=pytest.mark.slow) for w in WRONG])
def test_intervals_cover_what_they_promise_however_wrong_the_spread(kind, wrong):
    predicted, score, later, later_score = _halves(*_wrong(wrong))
    calibrated = kind.fit(predicted, score).apply(later)
    for level in (0.5, 0.9, 0.95):
        assert calibration.coverage(calibrated, later_score.numpy(), level) == pytest.approx(level, abs=0.02)
    assert calibration.expected_calibration_error(calibrated, later_score.numpy()) < 0.03
    if wrong == "right":
        assert calibrated.std.numpy() == pytest.approx(later.std.numpy(), rel=0.05)
        return
    assert scoring.crps(calibrated, later_score.numpy()) < scoring.crps(later, later_score.numpy())
    assert scoring.nll(calibrated, later_score.numpy()) < scoring.nll(later, later_score.numpy())


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("wrong", FAST)
def test_ninety_percent_hold_ninety_also_when_the_spread_is_off_by_three(kind, wrong):
    predicted, score, later, later_score = _halves(*_wrong(wrong))
    calibrated = kind.fit(predicted, score).apply(later)
    assert 0.88 < calibration.coverage(calibrated, later_score.numpy(), 0.9) < 0.92
    assert torch.equal(calibrated.mean, later.mean)


def _wrong(name):
    truth, score = _truth(N if name in FAST else 4000)
    return WRONG[name](truth), score


def test_a_point_gets_intervals():
    truth, score = _truth()
    predicted, known, later, later_score = _halves(Point(truth.mean), score)
    calibrated = Conformal.fit(predicted, known).apply(later)
    assert math.isnan(calibration.coverage(later, later_score.numpy()))
    assert 0.88 < calibration.coverage(calibrated, later_score.numpy()) < 0.92
    assert math.isfinite(scoring.nll(calibrated, later_score.numpy()))


@pytest.mark.parametrize("n", [99, 399])
@pytest.mark.parametrize("normalised", [True, False])
def test_conformal_agrees_with_crepes(n, normalised):
    """Where (n + 1) p is whole both take the same order statistic."""
    predicted, score = _truth(n)
    predicted = Normal(predicted.mean.double(), predicted.std.double())
    later, _ = _truth(50, seed=1)
    later = Normal(later.mean.double(), later.std.double())
    if not normalised:
        predicted, later = Point(predicted.mean), Point(later.mean)
    sigmas = {"sigmas": predicted.std.numpy()} if normalised else {}
    oracle = ConformalRegressor().fit(score.numpy() - predicted.mean.numpy(), **sigmas)
    ours = Conformal.fit(predicted, score.double()).apply(later)
    # a hair below the level: crepes rounds (1 − p)(n + 1) down, and 1 − p is inexact
    for level in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99):
        later_sigmas = {"sigmas": later.std.numpy()} if normalised else {}
        expected = oracle.predict_int(later.mean.numpy(), confidence=level - 1e-9, **later_sigmas)
        assert torch.stack(ours.interval(level), -1).numpy() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("n", [99, 399])
def test_absolute_and_quantile_agree_with_crepes(n):
    """Both are conformal regressors of another residual; crepes takes its size, so it is moved above 0 and back."""
    predicted, score = _truth(n)
    predicted, score = predicted.to(torch.float64), score.double()
    later = _truth(50, seed=1)[0].to(torch.float64)
    oracle = ConformalRegressor().fit((score - predicted.mean).numpy())
    expected = oracle.predict_int(later.mean.numpy(), confidence=0.9 - 1e-9)
    assert torch.stack(Absolute.fit(predicted, score).apply(later).interval(0.9), -1).numpy() == pytest.approx(expected)
    low, high = predicted.interval(0.9)
    outside = torch.maximum(low - score, score - high).numpy() + 100
    later_low, later_high = (end.numpy() for end in later.interval(0.9))
    oracle = ConformalRegressor().fit(outside)
    ends = [oracle.predict_int(at, confidence=0.9 - 1e-9) for at in (later_low + 100, later_high - 100)]
    expected = np.stack([ends[0][:, 0], ends[1][:, 1]], -1)
    assert torch.stack(Quantile.fit(predicted, score).apply(later).interval(0.9), -1).numpy() == pytest.approx(expected)


def test_quantile_of_points_is_absolute():
    truth, score = _truth(200)
    points = Point(truth.mean.double())
    both = [kind.fit(points, score.double()).apply(points) for kind in (Absolute, Quantile)]
    for level in (0.2, 0.5, 0.9, 0.95):
        torch.testing.assert_close(both[0].interval(level), both[1].interval(level))


def test_quantile_keeps_a_lopsided_prediction_lopsided_and_its_intervals_nested():
    generator = torch.Generator().manual_seed(0)
    edges = torch.linspace(0, 100, 21).double()
    lopsided = Binned(4 * torch.randn(300, 20, generator=generator).double(), edges)
    score = lopsided.sample(generator=generator)[0]
    calibrated = Quantile.fit(lopsided, score).apply(lopsided)
    assert (calibrated.values.diff() >= 0).all()
    assert torch.allclose(calibrated.median, lopsided.median)
    low, high = calibrated.interval(0.9)
    before_low, before_high = lopsided.interval(0.9)
    assert torch.allclose(before_low - low, high - before_high, atol=1e-6)


def _two_groups(n, seed):
    """Scores that vary by 1 in one group and by 5 in the other, while the model states 2 everywhere."""
    generator = torch.Generator().manual_seed(seed)
    names = np.resize(["easy", "hard"], n)
    spread = torch.from_numpy(np.where(names == "easy", 1.0, 5.0))
    mean = 60 + 10 * torch.randn(n, generator=generator).double()
    return Normal(mean, torch.full_like(mean, 2)), mean + spread * torch.randn(n, generator=generator), names


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_groups_keep_the_promise_each(kind):
    later, later_score, later_names = _two_groups(N // 2, 1)
    predicted, score, names = _two_groups(N // 2, 0)
    everyone = kind.fit(predicted, score).apply(later)
    grouped = Grouped.fit(predicted, score, names, kind=kind).apply(later, later_names)
    assert torch.equal(grouped.mean, later.mean)
    for name in ("easy", "hard"):
        mask = torch.from_numpy(later_names == name)
        own = later_score[mask].numpy()
        assert 0.88 < calibration.coverage(grouped.select(mask), own, 0.9) < 0.92
        assert not 0.85 < calibration.coverage(everyone.select(mask), own, 0.9) < 0.95


def test_groups_agree_with_crepes_and_unknown_ones_get_what_everyone_gets():
    predicted, score, names = _two_groups(398, 0)
    later, _, later_names = _two_groups(50, 1)
    fitted = Grouped.fit(predicted, score, names)
    oracle = ConformalRegressor().fit((score - predicted.mean).numpy(), sigmas=predicted.std.numpy(), bins=names)
    for level in (0.5, 0.9):
        expected = oracle.predict_int(
            later.mean.numpy(), sigmas=later.std.numpy(), bins=later_names, confidence=level - 1e-9
        )
        ours = torch.stack(fitted.apply(later, later_names).interval(level), -1).numpy()
        assert ours == pytest.approx(expected)
    strange = fitted.apply(later, ["strange"] * 50).interval(0.9)
    torch.testing.assert_close(strange, Conformal.fit(predicted, score).apply(later).interval(0.9))
    assert not Grouped.fit(predicted, score, names, least=1000).groups


def test_isotonic_is_the_isotonic_regression_of_observed_on_stated_coverage():
    truth, score = _truth(999)
    narrow = Normal(truth.mean.double(), truth.std.double() / 2)
    fitted = Isotonic.fit(narrow, score.double())
    stated = np.sort(np.abs(2 * calibration.pit(narrow, score.numpy()) - 1))
    regression = IsotonicRegression(out_of_bounds="clip").fit(stated, np.arange(1, 1000) / 1000)
    knots = 2 * norm.cdf(np.array(fitted.observed[1:-1])) - 1
    assert regression.predict(knots) == pytest.approx(np.array(LEVELS), abs=1e-6)


@pytest.mark.parametrize("kind", [Conformal, Isotonic])
def test_the_prediction_stays(kind):
    truth, score = _truth(200)
    calibrated = kind.fit(truth, score + 3).apply(truth)
    assert torch.equal(calibrated.mean, truth.mean)
    assert torch.allclose(calibrated.median, truth.median, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_stored_as_json_and_back_is_the_same(kind):
    truth, score = _truth(50)
    fitted = kind.fit(truth, score)
    again = from_json(json.loads(json.dumps(fitted.to_json())))
    assert again == fitted
    assert torch.equal(again.apply(truth).quantile(0.9), fitted.apply(truth).quantile(0.9))


@pytest.mark.parametrize("kind", [Conformal, Absolute, Isotonic])
@pytest.mark.parametrize("n", [1, 2, 6])
def test_few_samples_give_finite_increasing_intervals(n, kind):
    truth, score = _truth(n)
    calibrated = kind.fit(truth, score).apply(truth)
    quantiles = calibrated.quantile(torch.tensor([0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99]))
    assert quantiles.isfinite().all()
    assert (quantiles.diff() > 0).all()


def test_small_samples_keep_the_promise_on_average():
    """With n = 19, 90 % is the 18th distance: over many fits the coverage is 90 %, not the naive 85 %."""
    covered = []
    for seed in range(300):
        truth, score = _truth(20, seed=seed)
        fitted = Conformal.fit(truth.select(slice(19)), score[:19])
        covered.append(calibration.coverage(fitted.apply(truth.select(slice(19, 20))), score[19:].numpy()))
    assert np.mean(covered) == pytest.approx(0.9, abs=0.05)


def test_perfect_and_repeated_residuals_are_no_special_case():
    mean = torch.arange(30.0)
    for error in (torch.zeros(30), torch.ones(30), torch.arange(30) % 3):
        calibrated = Conformal.fit(Point(mean), mean + error).apply(Point(mean))
        assert calibration.coverage(calibrated, (mean + error).numpy(), 0.9) >= 0.9
        assert calibrated.std.isfinite().all()


def test_rows_without_a_score_are_left_out_and_none_at_all_is_an_error():
    truth, score = _truth(40)
    some = score.clone()
    some[10:] = torch.nan
    assert Conformal.fit(truth, some) == Conformal.fit(truth.select(slice(10)), score[:10])
    with pytest.raises(DataError, match="needs validation samples with scores"):
        Conformal.fit(truth, torch.full((40,), torch.nan))


def test_mistakes_are_named():
    with pytest.raises(OptionError, match="use conformal"):
        Isotonic.fit(Point(torch.zeros(3)), torch.ones(3))
    with pytest.raises(ValueError, match="no recalibration 'platt'"):
        from_json({"kind": "platt", "observed": [], "calibrated": []})
