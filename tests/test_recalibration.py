import json
import math

import numpy as np
import pytest
import torch
from crepes import ConformalRegressor
from scipy.stats import norm
from sklearn.isotonic import IsotonicRegression

from aqakit.distributions import Binned, Mixture, Normal, Point
from aqakit.errors import DataError
from aqakit.metrics import calibration, scoring
from aqakit.recalibration import LEVELS, Conformal, Isotonic, from_json

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
@pytest.mark.parametrize("wrong", WRONG)
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


def _wrong(name):
    truth, score = _truth(N if name in FAST else 4000)
    return WRONG[name](truth), score


def test_a_point_gets_intervals():
    truth, score = _truth()
    predicted, known, later, later_score = _halves(Point(truth.mean), score)
    calibrated = Conformal.fit(predicted, known).apply(later)
    assert calibration.coverage(later, later_score.numpy()) == 0
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


@pytest.mark.parametrize("kind", [Conformal, Isotonic])
def test_stored_as_json_and_back_is_the_same(kind):
    truth, score = _truth(50)
    fitted = kind.fit(truth, score)
    again = from_json(json.loads(json.dumps(fitted.to_json())))
    assert again == fitted
    assert torch.equal(again.apply(truth).quantile(0.9), fitted.apply(truth).quantile(0.9))


@pytest.mark.parametrize("n", [1, 2, 6])
def test_few_samples_give_finite_increasing_intervals(n):
    truth, score = _truth(n)
    calibrated = Conformal.fit(truth, score).apply(truth)
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
    with pytest.raises(TypeError, match="use conformal"):
        Isotonic.fit(Point(torch.zeros(3)), torch.ones(3))
    with pytest.raises(ValueError, match="no recalibration 'platt'"):
        from_json({"kind": "platt", "observed": [], "calibrated": []})
