"""DAE: families against scipy, and the terms of each variant of its ablation against closed forms."""

import math

import pytest
import scipy.stats
import torch

from aqakit.errors import OptionError
from aqakit.methods import dae, dae_judges, regression
from aqakit.methods.parts import losses
from aqakit.scores.distributions import Laplace, Logistic, Normal, Point, Student
from tests.synthetic import FEATURES, LABELS, batch

STANDARD = {
    "normal": (Normal, scipy.stats.norm()),
    "laplace": (Laplace, scipy.stats.laplace()),
    "logistic": (Logistic, scipy.stats.logistic()),
    "student": (Student, scipy.stats.t(4)),
}
families = pytest.mark.parametrize(("family", "kind", "standard"), [(n, *v) for n, v in STANDARD.items()], ids=STANDARD)


@families
def test_equal_weights_give_the_negative_log_likelihood(family, kind, standard):
    method, train = dae.build(FEATURES, LABELS, family=family, alpha=0.5, beta=0.5).eval(), batch(videos=6)
    found = method.predict(train)
    assert type(found) is kind
    z = ((train.score - found.loc) / found.scale).detach().double().numpy()
    expected = -standard.logpdf(z) + found.scale.detach().double().log().numpy() + standard.logpdf(0)
    assert method.losses(train)["likelihood"].item() == pytest.approx(expected.mean(), rel=1e-5)


@families
def test_the_weights_are_those_of_the_docstring(family, kind, standard):
    score, loc, scale = (torch.tensor([value]).double() for value in (7.0, 4.0, 2.0))
    error = standard.logpdf(0) - standard.logpdf(1.5)
    loss = losses.location_scale_nll(kind(loc, scale), score, alpha=0.6, beta=0.4)
    assert loss.item() == pytest.approx(2 * 0.6 * error + 2 * 0.4 * math.log(2))


@families
def test_a_reconstruction_has_mean_error_and_variance_of_the_family(family, kind, standard):
    torch.manual_seed(0)
    method, train = dae.build(FEATURES, LABELS, family=family, loss="reconstruction").eval(), batch(videos=4)
    found = method.predict(train)
    often = train.select(torch.arange(4).repeat(4000))
    expected = (found.mean - train.score).square().mean() + found.std.square().mean()
    assert method.losses(often)["reconstruction"].item() == pytest.approx(expected.item(), rel=0.1)


@families
def test_gradients_reach_location_and_spread(family, kind, standard):
    for loss in ("likelihood", "reconstruction"):
        method = dae.build(FEATURES, LABELS, family=family, loss=loss).eval()
        method.losses(batch())[loss].backward()
        assert all(layer.weight.grad.any() for layer in (method.head.mean, method.head.log_variance))


@families
def test_a_head_starts_with_mean_and_spread_of_the_scores(family, kind, standard):
    method, train = dae.build(FEATURES, LABELS, family=family).eval(), batch()
    method.start(train)
    found = method.predict(train)
    assert found.mean.mean().item() == pytest.approx(train.score.mean().item(), rel=0.1)
    assert found.std.mean().item() == pytest.approx(train.score.std(correction=0).item(), rel=0.1)


@pytest.mark.parametrize(
    ("variant", "every", "tenth"),
    [
        ("regression = support", {"support"}, {"support"}),
        ("reconstruction", {"reconstruction"}, {"reconstruction"}),
        ("support + reconstruction", {"reconstruction"}, {"reconstruction", "support"}),
        ("likelihood", {"likelihood"}, {"likelihood"}),
    ],
)
def test_each_variant_of_the_ablation_has_its_terms(variant, every, tenth):
    method, train = dae.build(FEATURES, LABELS, **dae.ABLATION[variant]).eval(), batch(videos=5)
    for epoch in range(20):
        method.epoch = epoch
        terms = method.losses(train)
        assert set(terms) == (tenth if epoch in (9, 19) else every)
    if "support" in terms:
        squared = (method.predict(train).mean - train.score).square().mean()
        assert terms["support"].item() == pytest.approx(squared.item(), rel=1e-5)


def test_the_ablation_is_plainest_first_and_complete():
    assert list(dae.ABLATION) == ["regression = support", "reconstruction", "support + reconstruction", "likelihood"]


def test_without_reconstruction_it_is_plain_regression():
    """The gradients of the regression baseline with the same weights, up to its unit."""
    method, train = dae.build(FEATURES, LABELS, **dae.ABLATION["regression = support"]).eval(), batch()
    baseline = regression.build(FEATURES, LABELS).eval()
    baseline.load_state_dict(method.state_dict())
    assert isinstance(method.predict(train), Point)
    assert torch.equal(method.predict(train).value, baseline.predict(train).value)
    method.losses(train)["support"].backward()
    baseline.losses(train)["squared_error"].backward()
    for mine, other in zip(method.parameters(), baseline.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad * baseline.head.units.size**2)


def test_judges_without_reconstruction_are_points():
    test, method = batch(), dae_judges.build(FEATURES, LABELS, loss="reconstruction", alpha=0).eval()
    marks = torch.stack([mark.value for mark in method.marks(test)], 1)
    middle = marks.sort(1).values[:, 2:5].sum(1)
    torch.testing.assert_close(method.predict(test).value, middle * test.difficulty)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"alpha": 0.0}, "needs both its terms"),
        ({"beta": 0.0}, "needs both its terms"),
        ({"noise": "variance"}, "apply only to loss=reconstruction"),
        ({"loss": "reconstruction", "alpha": 0.0, "beta": 0.0}, "nothing to train"),
        ({"loss": "reconstruction", "alpha": 0.0, "family": "laplace"}, "predicts points"),
        ({"loss": "reconstruction", "alpha": 0.0, "support_every": 5}, "predicts points"),
        ({"loss": "reconstruction", "beta": 0.0, "support_every": 5}, "removes the support term"),
    ],
)
def test_options_that_would_be_ignored_are_refused(options, words):
    with pytest.raises(OptionError, match=words):
        dae.build(FEATURES, LABELS, **options).eval()
