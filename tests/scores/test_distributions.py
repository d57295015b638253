import math

import numpy as np
import pytest
import scipy.stats
import scoringrules
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save

from aqakit.scores.distributions import (
    Affine,
    Binned,
    Laplace,
    LocationScale,
    Logistic,
    Mixture,
    Normal,
    Point,
    Quantiles,
    Recalibrated,
    ScoreDistribution,
    Student,
    mixture,
    restore,
)

B, K = 3, 6
EDGES = torch.tensor([0.0, 1.0, 2.5, 3.0, 4.0, 6.0, 10.0], dtype=torch.float64)
KNOTS = (torch.tensor([0.0, 0.8, 2.0, 4.0]), torch.tensor([0.0, 0.4, 1.3, 2.6]))


def _normals(*shape: int) -> Normal:
    return Normal(4 + torch.randn(shape).double(), 0.5 + torch.rand(shape).double())


def _located(kind: type[LocationScale], *shape: int) -> LocationScale:
    normal = _normals(*shape)
    return kind(normal.loc, normal.scale)


def _quantiles(values) -> Quantiles:
    """Whose stated mean is that of the quantiles."""
    levels = torch.tensor([0.05, 0.3, 0.6, 0.95]).double()
    fine = torch.linspace(0, 1, 1_000_001).double()[1:-1]
    mean = Quantiles(torch.zeros(B).double(), values.double(), levels).quantile(fine).mean(-1)
    return Quantiles(mean, values.double(), levels)


def _make() -> dict[str, ScoreDistribution]:
    torch.manual_seed(1)
    binned = Binned(torch.randn(B, K).double(), EDGES)
    spread = {
        "normal": _normals(B),
        "binned": binned,
        "mixture.normal": Mixture(torch.randn(B, 4).double(), _normals(B, 4)),
        "mixture.binned": Mixture(torch.randn(B, 2).double(), Binned(torch.randn(B, 2, K).double(), EDGES)),
        "affine.binned": binned.affine(torch.tensor([0.5, 2.0, 3.0]), -1.0),
        "recalibrated.normal": Recalibrated(_normals(B), *(k.double() for k in KNOTS)),
        "recalibrated.binned": Recalibrated(binned, *(k.double() for k in KNOTS)),
        "laplace": _located(Laplace, B),
        "logistic": _located(Logistic, B),
        "student": _located(Student, B),
        "mixture.student": Mixture(torch.randn(B, 4).double(), _located(Student, B, 4)),
        "recalibrated.laplace": Recalibrated(_located(Laplace, B), *(k.double() for k in KNOTS)),
        "quantiles": _quantiles(torch.tensor([[1.0, 2.0, 4.0, 4.5], [3.0, 3.1, 3.2, 9.0], [-2.0, 0.0, 5.0, 6.0]])),
        "mixture.mixture.normal": Mixture(
            torch.randn(B, 2).double(), Mixture(torch.randn(B, 2, 4).double(), _normals(B, 2, 4))
        ),
    }
    return spread | {"point": Point(torch.tensor([1.0, 2.0, 3.0]).double())}


ALL = _make()
SPREAD = {name: d for name, d in ALL.items() if name != "point"}
spread = pytest.mark.parametrize("distribution", SPREAD.values(), ids=SPREAD)
every = pytest.mark.parametrize("distribution", ALL.values(), ids=ALL)


FAMILIES = {
    "laplace": (Laplace, scipy.stats.laplace, scoringrules.crps_laplace),
    "logistic": (Logistic, scipy.stats.logistic, scoringrules.crps_logistic),
    "student": (Student, scipy.stats.t(4), lambda x, loc, scale: scoringrules.crps_t(x, 4, loc, scale)),
}
families = pytest.mark.parametrize(("kind", "standard", "crps"), FAMILIES.values(), ids=FAMILIES)


def _integral(distribution, row, function):
    """∫ function(x) density(x) dx by the midpoint rule on a grid that is fine where the probability is."""
    one = distribution.select(slice(row, row + 1))
    ends = one.quantile(torch.linspace(1e-9, 1 - 1e-9, 5001, dtype=torch.float64))[0]
    ends = torch.cat([ends, torch.linspace(float(ends[0]), float(ends[-1]), 5001, dtype=torch.float64)]).unique()
    x = (ends[1:] + ends[:-1]) / 2
    density = one.log_prob(x[:, None]).exp()[:, 0]
    return float((torch.as_tensor(function(x.numpy())) * density * ends.diff()).sum())


def test_the_fixture_names_are_the_kinds():
    assert [d.kind for d in ALL.values()] == list(ALL)


@spread
def test_density_integrates_to_one_mean_and_variance(distribution):
    for row in range(B):
        mean, std = float(distribution.mean[row]), float(distribution.std[row])
        assert _integral(distribution, row, np.ones_like) == pytest.approx(1, abs=2e-3)
        assert _integral(distribution, row, lambda x: x) == pytest.approx(mean, abs=5e-3 * std + 2e-3 * abs(mean))
        assert _integral(distribution, row, lambda x, m=mean: (x - m) ** 2) == pytest.approx(std**2, rel=1e-2)


@spread
def test_cdf_is_the_integral_of_the_density(distribution):
    for row in range(B):
        for x in distribution.quantile(torch.tensor([0.001, 0.1, 0.4, 0.8, 0.99]).double())[row]:
            mass = _integral(distribution, row, lambda y, x=float(x): (y <= x).astype(float))
            assert mass == pytest.approx(float(distribution.cdf(x)[row]), abs=2e-3)


@spread
@given(level=st.floats(1e-6, 1 - 1e-6))
@settings(max_examples=30, deadline=None)
def test_cdf_undoes_quantile(distribution, level):
    assert distribution.cdf(distribution.quantile(level)).numpy() == pytest.approx(level, abs=1e-9)


@every
def test_quantiles_are_ordered_and_shaped(distribution):
    levels = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95])
    quantiles = distribution.quantile(levels)
    assert quantiles.shape == (B, 5)
    assert (quantiles.diff() >= 0).all()
    assert torch.equal(distribution.quantile(0.5), distribution.median)
    assert torch.allclose(distribution.median, quantiles[:, 2])
    low, high = distribution.interval(0.9)
    assert torch.allclose(torch.stack([low, high], -1), quantiles[:, [0, 4]])


@every
def test_elementwise_functions_broadcast_leading_axes(distribution):
    score = torch.randn(5, 2, B).double() * 2 + 3
    for function in (distribution.cdf, distribution.log_prob, distribution.crps):
        answer = function(score)
        assert answer.shape == (5, 2, B)
        assert torch.allclose(answer[4, 1], function(score[4, 1]))
        assert torch.allclose(function(3.0), function(torch.full((B,), 3.0).double()))


@every
def test_samples_follow_the_cdf_and_the_seed(distribution):
    draws = distribution.sample(2000, generator=torch.Generator().manual_seed(3))
    assert draws.shape == (2000, B)
    assert torch.equal(draws, distribution.sample(2000, generator=torch.Generator().manual_seed(3)))
    if distribution.kind == "point":
        assert (draws == distribution.value).all()
        return
    levels = distribution.cdf(draws).numpy()
    assert min(scipy.stats.kstest(levels[:, row], "uniform").pvalue for row in range(B)) > 1e-3


@every
def test_affine_is_the_image(distribution):
    scale, shift = torch.tensor([0.3, 1.0, 4.0]).double(), torch.tensor([-5.0, 0.0, 7.0]).double()
    image = distribution.affine(scale, shift)
    assert torch.allclose(image.mean, scale * distribution.mean + shift)
    assert torch.allclose(image.std, scale * distribution.std)
    assert torch.allclose(image.quantile(0.2), scale * distribution.quantile(0.2) + shift)
    score = distribution.quantile(0.7)
    assert torch.allclose(image.cdf(scale * score + shift), distribution.cdf(score))
    assert torch.allclose(image.crps(scale * score + shift), scale * distribution.crps(score))
    if distribution.kind != "point":
        assert torch.allclose(image.log_prob(scale * score + shift), distribution.log_prob(score) - scale.log())
    twice = image.affine(1 / scale, -shift / scale)
    assert torch.allclose(twice.quantile(0.9), distribution.quantile(0.9))


def test_affine_refuses_a_mirror():
    with pytest.raises(ValueError, match="positive"):
        ALL["normal"].affine(torch.tensor([1.0, 0.0, 1.0]))


@every
def test_stores_selects_and_joins(distribution):
    again = restore(distribution.kind, load(save(distribution.tensors())))
    assert type(again) is type(distribution)
    assert again.kind == distribution.kind
    assert torch.equal(again.quantile(0.3), distribution.quantile(0.3))
    joined = ScoreDistribution.cat([distribution.select(torch.tensor([0, 2])), distribution.select(slice(1, 2))])
    assert torch.equal(joined.mean, distribution.mean[[0, 2, 1]])
    assert torch.allclose(joined.quantile(0.3), distribution.quantile(0.3)[[0, 2, 1]])
    assert distribution.select(1).batch_shape == ()
    assert torch.allclose(distribution.select(1).quantile(0.3), distribution.quantile(0.3)[1])


@every
def test_single_precision_agrees(distribution):
    single = distribution.to(torch.float32)
    assert single.dtype == single.mean.dtype == single.quantile(0.3).dtype == torch.float32
    for name in ("mean", "std", "median"):
        assert torch.allclose(getattr(single, name).double(), getattr(distribution, name), atol=1e-5, rtol=1e-4)
    if distribution.kind != "point":
        score = distribution.quantile(0.9)
        for function in ("cdf", "log_prob", "crps"):
            double, short = getattr(distribution, function)(score), getattr(single, function)(score.float())
            assert short.dtype == torch.float32
            assert torch.allclose(short.double(), double, atol=1e-4)


def _gradient_case(kind, *tensors):
    if kind == "normal":
        return Normal(tensors[0], tensors[1].exp())
    if kind in FAMILIES:
        return FAMILIES[kind][0](tensors[0], tensors[1].exp())
    if kind == "mixture":
        return Mixture(tensors[0], Normal(tensors[1], tensors[2].exp()))
    return Binned(tensors[0], EDGES).affine(tensors[1].exp())


@pytest.mark.parametrize(
    ("kind", "shapes"),
    [
        ("normal", [(B,)] * 2),
        ("laplace", [(B,)] * 2),
        ("logistic", [(B,)] * 2),
        ("student", [(B,)] * 2),
        ("mixture", [(B, 4)] * 3),
        ("affine", [(B, K), (B,)]),
    ],
)
@pytest.mark.parametrize("name", ["mean", "std", "cdf", "log_prob", "crps"])
def test_gradients_match_finite_differences(kind, shapes, name):
    parameters = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    score = torch.tensor([0.4, 1.3, 2.2], dtype=torch.float64)

    def answer(*tensors):
        value = getattr(_gradient_case(kind, *tensors), name)
        return value(score) if callable(value) else value

    assert torch.autograd.gradcheck(answer, parameters)


def test_normal_agrees_with_scipy_far_into_the_tails():
    normal = Normal(torch.tensor([5.0]).double(), torch.tensor([2.0]).double())
    x = torch.tensor([-60.0, -10.0, 4.0, 25.0, 80.0]).double()[:, None]
    reference = scipy.stats.norm(5, 2)
    assert normal.cdf(x).numpy() == pytest.approx(reference.cdf(x.numpy()), rel=1e-10)
    assert normal.log_prob(x).numpy() == pytest.approx(reference.logpdf(x.numpy()), rel=1e-12)
    assert normal.quantile(0.975).item() == pytest.approx(reference.ppf(0.975))


@families
def test_families_agree_with_scipy_and_scoringrules_far_into_the_tails(kind, standard, crps):
    one = kind(torch.tensor([5.0]).double(), torch.tensor([2.0]).double())
    x = torch.tensor([-600.0, -60.0, -10.0, 4.0, 5.0, 25.0, 80.0]).double()[:, None]
    z = (x.numpy() - 5) / 2
    assert one.cdf(x).numpy() == pytest.approx(standard.cdf(z), rel=1e-9)
    assert one.log_prob(x).numpy() == pytest.approx(standard.logpdf(z) - math.log(2), rel=1e-12)
    assert one.crps(x).numpy() == pytest.approx(crps(x.numpy(), 5.0, 2.0), rel=1e-9)
    levels = torch.tensor([0.0, 1e-12, 0.025, 0.3, 0.5, 0.975, 1.0]).double()
    assert one.quantile(levels)[0].numpy() == pytest.approx(5 + 2 * standard.ppf(levels.numpy()), rel=1e-8)
    assert one.std.item() == pytest.approx(2 * standard.std())
    assert torch.allclose(kind.from_mean_std(one.mean, one.std).scale, one.scale)


@families
def test_normal_scores_of_families_are_symmetric_and_invertible_in_the_tails(kind, standard, crps):
    one = kind(torch.tensor([5.0]).double(), torch.tensor([2.0]).double())
    z = torch.linspace(-12, 12, 49).double()[:, None]  # beyond the eight that 1 − p can tell from 0
    score = one.from_normal_score(z)
    assert score[z < 0].numpy() == pytest.approx(5 + 2 * standard.ppf(scipy.stats.norm.cdf(z[z < 0].numpy())), rel=1e-8)
    assert (score + score.flip(0)).numpy() == pytest.approx(10)
    assert one.normal_score(score).numpy() == pytest.approx(z.numpy(), abs=1e-7)
    assert one.normal_score(torch.tensor([-1e9, 1e9]).double()[:, None]).isfinite().all()


@families
def test_affine_images_stacks_and_mixtures_of_families_are_exact(kind, standard, crps):
    one, other = (_located(kind, B) for _ in range(2))
    image = one.affine(torch.tensor([0.5, 2.0, 3.0]), -1.0)
    assert type(image) is kind
    assert torch.allclose(image.scale, one.scale * torch.tensor([0.5, 2.0, 3.0]))
    both, score = mixture([one, other]), torch.tensor([1.0, 4.0, 9.0]).double()
    assert both.kind == f"mixture.{one.kind}"
    assert torch.allclose(both.cdf(score), (one.cdf(score) + other.cdf(score)) / 2)


def test_binned_agrees_with_a_scipy_histogram():
    logits = torch.tensor([[0.3, -1.0, 2.0, 0.0, 1.0, -3.0]]).double()
    binned = Binned(logits, EDGES)
    reference = scipy.stats.rv_histogram((torch.softmax(logits, -1)[0].numpy(), EDGES.numpy()), density=False)
    x = np.linspace(-1, 11, 50)
    assert binned.cdf(torch.from_numpy(x)[:, None])[:, 0].numpy() == pytest.approx(reference.cdf(x), abs=1e-12)
    levels = np.linspace(0, 1, 21)
    assert binned.quantile(torch.from_numpy(levels))[0].numpy() == pytest.approx(reference.ppf(levels))
    assert (binned.mean.item(), binned.std.item()) == pytest.approx((reference.mean(), reference.std()))
    assert binned.mode.item() == 2.75


def test_binned_survives_bins_of_no_probability():
    logits = torch.tensor([[-1e4, 0.0, -1e4, -1e4, 0.0, -1e4]], requires_grad=True)
    binned = Binned(logits, EDGES.float())
    assert binned.log_prob(0.5).item() == pytest.approx(-1e4 - math.log(2), rel=1e-6)
    assert binned.log_prob(-0.1).item() == -math.inf
    assert binned.quantile(torch.tensor([0.0, 0.25, 1.0])).tolist()[0][1] == pytest.approx(1.75)
    binned.log_prob(0.5).sum().backward()
    assert logits.grad.isfinite().all()


def test_mixture_of_one_is_its_component():
    inside = _normals(B, 1)
    mixture, score = Mixture(torch.zeros(B, 1).double(), inside), torch.tensor([1.0, 4.0, 9.0]).double()
    alone = inside.select((slice(None), 0))
    for name in ("cdf", "log_prob", "crps"):
        assert torch.allclose(getattr(mixture, name)(score), getattr(alone, name)(score))
    assert torch.allclose(mixture.quantile(0.01), alone.quantile(0.01))


def test_a_mixture_of_mixtures_is_one_mixture():
    outer, inner, score = torch.randn(B, 3).double(), torch.randn(B, 3, 4).double(), torch.tensor([1.0, 4.0, 9.0])
    nested = Mixture(outer, Mixture(inner, _normals(B, 3, 4)))
    flat = nested.flat()
    assert flat.kind == "mixture.normal"
    for name in ("mean", "std"):
        assert torch.allclose(getattr(flat, name), getattr(nested, name))
    assert torch.allclose(flat.log_prob(score), nested.log_prob(score))
    weights = (outer.softmax(-1)[..., None] * inner.softmax(-1)).reshape(B, 12)
    inside = nested.components.components
    parts = (score, inside.loc.reshape(B, 12), inside.scale.reshape(B, 12), weights)
    expected = scoringrules.crps_mixnorm(*(part.numpy() for part in parts))
    assert nested.crps(score).numpy() == pytest.approx(expected, rel=1e-9)
    assert ScoreDistribution.crps(nested, score).numpy() == pytest.approx(expected, rel=1e-3)


def test_mixture_of_points_is_an_empirical_distribution():
    votes = torch.tensor([[3.0, 1.0, 2.0, 2.0]]).double()
    mixture = Mixture(torch.zeros(1, 4).double(), Point(votes))
    assert mixture.mean.item() == 2
    assert mixture.std.item() == pytest.approx(votes.numpy().std())
    assert mixture.cdf(2.0).item() == pytest.approx(0.75)
    assert mixture.quantile(0.9).item() == pytest.approx(3)
    assert mixture.quantile(0.5).item() == pytest.approx(2)


def test_point_says_what_it_knows():
    point = ALL["point"]
    assert point.log_prob(torch.tensor([1.0, 2.1, 3.0])).tolist() == [math.inf, -math.inf, math.inf]
    assert point.cdf(2.0).tolist() == [1, 1, 0]
    assert point.crps(2.5).tolist() == [1.5, 0.5, 0.5]


def test_mode_where_there_is_one():
    assert torch.equal(ALL["affine.binned"].mode, ALL["binned"].mode * torch.tensor([0.5, 2.0, 3.0]) - 1)
    assert torch.equal(ALL["normal"].mode, ALL["normal"].mean)
    with pytest.raises(NotImplementedError, match="mixture"):
        _ = ALL["mixture.normal"].mode


def test_two_quantiles_are_scipys_normal():
    reference = scipy.stats.norm(5, 2)
    levels = np.array([0.1, 0.75])
    two = Quantiles(torch.tensor([5.0]), torch.from_numpy(reference.ppf(levels))[None], torch.from_numpy(levels))
    x = np.linspace(-20, 40, 13)
    assert two.cdf(torch.from_numpy(x)[:, None])[:, 0].numpy() == pytest.approx(reference.cdf(x), abs=1e-7)
    assert two.std.item() == pytest.approx(2, rel=1e-4)


def test_quantiles_at_one_score_are_almost_a_point():
    same = Quantiles(torch.tensor([5.0]).double(), torch.full((1, 3), 5.0).double(), torch.tensor([0.1, 0.5, 0.9]))
    assert same.cdf(torch.tensor([4.999, 5.001]).double()[:, None])[:, 0].tolist() == [0, 1]
    assert same.quantile(0.99).item() == pytest.approx(5)
    with pytest.raises(ValueError, match="must not decrease"):
        Quantiles(torch.zeros(1), torch.tensor([[2.0, 1.0]]), torch.tensor([0.1, 0.9]))
    with pytest.raises(ValueError, match="two levels or more"):
        Quantiles(torch.zeros(1), torch.tensor([[2.0]]), torch.tensor([0.5]))


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"differ in shape: \(3,\) and \(3, 1\)"):
        Normal(torch.zeros(3), torch.ones(3, 1))
    with pytest.raises(ValueError, match="4 bins need 5 increasing edges"):
        Binned(torch.zeros(2, 4), torch.tensor([0.0, 1.0, 1.0, 2.0, 3.0]))
    with pytest.raises(ValueError, match="one weight for each component"):
        Mixture(torch.zeros(2, 4), _normals(2, 3))
    with pytest.raises(ValueError, match="between 0 and 1"):
        ALL["normal"].quantile(1.2)
    with pytest.raises(TypeError, match=r"affine\.binned, normal"):
        ScoreDistribution.cat([ALL["normal"], ALL["affine.binned"]])
    with pytest.raises(TypeError, match="different edges"):
        ScoreDistribution.cat([Binned(torch.zeros(1, K), EDGES), Binned(torch.zeros(1, K), EDGES * 2)])
    with pytest.raises(ValueError, match="no kind of distribution 'gamma'"):
        restore("gamma", {})
    with pytest.raises(ValueError, match="stored as"):
        restore("affine.binned", {"scale": torch.ones(1)})


def test_affine_is_only_made_where_needed():
    assert isinstance(ALL["affine.binned"], Affine)
    assert ALL["mixture.normal"].affine(2.0).kind == "mixture.normal"
    assert ALL["recalibrated.binned"].affine(2.0).kind == "recalibrated.affine.binned"
