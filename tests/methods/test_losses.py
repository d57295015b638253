import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import scoringrules
import torch

from aqakit.methods.parts import losses
from aqakit.metrics import scoring
from aqakit.scores.distributions import Binned, Mixture, Normal, Point, Recalibrated

SCORE = torch.tensor([52.0, 61.0, 90.0]).double()
MEAN = torch.tensor([50.0, 65.0, 70.0]).double()
STD = torch.tensor([1.0, 4.0, 9.0]).double()
NORMAL = Normal(MEAN, STD)
EDGES = torch.tensor([40.0, 50.0, 52.5, 60.0, 61.0, 80.0]).double()


def test_errors_of_the_mean():
    assert losses.squared_error(NORMAL, SCORE).tolist() == [4, 16, 400]
    assert losses.absolute_error(Point(MEAN), SCORE).tolist() == [2, 4, 20]


def test_normal_nll_is_the_likelihood_but_for_its_constant():
    exact = -scipy.stats.norm(MEAN, STD).logpdf(SCORE.numpy())
    assert losses.normal_nll(NORMAL, SCORE).numpy() == pytest.approx(exact - math.log(2 * math.pi) / 2)
    weighted = 0.6 * (SCORE - MEAN) ** 2 / STD**2 + 0.4 * (STD**2).log()
    assert torch.allclose(losses.normal_nll(NORMAL, SCORE, alpha=0.6, beta=0.4), weighted)


def test_normal_nll_is_lowest_at_the_true_spread():
    spread = torch.linspace(0.5, 8, 751).double()
    loss = losses.normal_nll(Normal(torch.zeros_like(spread), spread), torch.full_like(spread, 3.0))
    assert spread[loss.argmin()].item() == pytest.approx(3, abs=0.01)


def test_reconstruction_in_both_readings():
    noise = torch.tensor([[1.0, -1.0, 0.0], [0.5, 0.0, 2.0]]).double()
    printed = losses.reconstruction(NORMAL, SCORE, noise, reading="variance")
    assert losses.reconstruction(NORMAL, SCORE, noise).tolist() == [[1, 0, 400], [2.25, 16, 4]]
    assert printed.tolist() == [[1, (65 - 16 - 61) ** 2, 400], [2.25, 16, (70 + 162 - 90) ** 2]]
    drawn = losses.reconstruction(NORMAL, SCORE, torch.randn(200_000, 3).double()).mean(0)
    assert drawn.numpy() == pytest.approx(((MEAN - SCORE) ** 2 + STD**2).numpy(), rel=0.01)


def test_soft_labels_of_usdl():
    centres = torch.arange(101).double()
    label = losses.soft_labels(torch.tensor([3.0, 57.3, 250.0]).double(), centres, 5.0)
    density = scipy.stats.norm.pdf(centres.numpy(), [[3.0], [57.3], [250.0]], 5.0)
    assert label[:2].numpy() == pytest.approx(density[:2] / density[:2].sum(-1, keepdims=True))
    assert label.sum(-1).tolist() == pytest.approx([1, 1, 1])
    assert label[2].argmax() == 100


def test_soft_label_kl_is_the_divergence():
    edges = torch.arange(22).double() * 2 + 30
    binned = Binned(torch.randn(3, 21).double(), edges)
    label = losses.soft_labels(SCORE, binned.centres, 1.5 * 2)
    divergence = scipy.stats.entropy(label.numpy(), binned.probabilities.numpy(), axis=-1)
    assert losses.soft_label_kl(binned, SCORE, sigma=1.5).numpy() == pytest.approx(divergence)
    mean = losses.soft_label_kl(binned, SCORE, sigma=1.5, reduction="mean")
    assert mean.numpy() == pytest.approx(divergence / 21)
    perfect = Binned(label.log().clamp_min(-700), edges)
    assert losses.soft_label_kl(perfect, SCORE, sigma=1.5).numpy() == pytest.approx(0, abs=1e-12)


def test_soft_label_kl_has_finite_gradients_in_single_precision():
    logits = torch.tensor([[200.0, 0.0, -200.0]], requires_grad=True)
    loss = losses.soft_label_kl(Binned(logits, torch.arange(4.0)), torch.tensor([2.5]), sigma=0.1)
    loss.sum().backward()
    assert loss.item() == pytest.approx(400, rel=1e-4)
    assert logits.grad.isfinite().all()


def test_crps_of_points_and_normals():
    reference = scoringrules.crps_normal(SCORE.numpy(), MEAN.numpy(), STD.numpy())
    assert losses.crps(NORMAL, SCORE).numpy() == pytest.approx(reference)
    assert losses.crps(Point(MEAN), SCORE).tolist() == [2, 4, 20]


def test_crps_of_mixtures():
    mean, std = MEAN + 3 * torch.randn(5, 3).double(), STD * torch.rand(5, 3).double()
    weights = torch.rand(3, 5).double()
    weights /= weights.sum(-1, keepdim=True)
    normals = Mixture(weights.log(), Normal(mean.T, std.T))
    reference = scoringrules.crps_mixnorm(SCORE.numpy(), mean.T.numpy(), std.T.numpy(), weights.numpy())
    assert losses.crps(normals, SCORE).numpy() == pytest.approx(reference)
    votes = Mixture(torch.zeros(3, 5).double(), Point(mean.T))
    assert losses.crps(votes, SCORE).numpy() == pytest.approx(
        scoringrules.crps_ensemble(SCORE.numpy(), mean.T.numpy(), estimator="nrg")
    )


def _crps_by_quadrature(distribution, row, score):
    low = min(score, float(distribution.quantile(1e-9)[row]))
    high = max(score, float(distribution.quantile(1 - 1e-9)[row]))
    total = 0.0
    for start, end, step in ((low, score, 0), (score, high, 1)):
        x = torch.linspace(start, end, 20_001).double()
        cdf = distribution.cdf(x[:, None])[:, row]
        total += float(scipy.integrate.simpson((cdf - step) ** 2, x=x))
    return total


def _odd_shapes():
    binned = Binned(torch.randn(3, 5).double(), EDGES)
    knots = torch.tensor([0.0, 1.0, 2.0]).double(), torch.tensor([0.0, 0.5, 1.4]).double()
    return {
        "binned": (binned, 1e-6),
        "affine": (binned.affine(STD, -3.0), 1e-6),
        "recalibrated": (Recalibrated(NORMAL, *knots), 1e-3),
        "mixture": (Mixture(torch.zeros(3, 2).double(), Binned(torch.randn(3, 2, 5).double(), EDGES)), 1e-3),
    }


@pytest.mark.parametrize("name", ["binned", "affine", "recalibrated", "mixture"])
def test_crps_of_other_shapes_is_the_integral(name):
    distribution, tolerance = _odd_shapes()[name]
    for score in (30.0, 51.0, 66.6, 95.0):
        answer = losses.crps(distribution, torch.full((3,), score).double())
        for row in range(3):
            reference = _crps_by_quadrature(distribution, row, score)
            assert float(answer[row]) == pytest.approx(reference, rel=tolerance)


def test_crps_is_proper():
    """On draws from the truth, the truth scores best."""
    truth = Normal(torch.zeros(4000).double(), torch.full((4000,), 2.0).double())
    draws = truth.sample(generator=torch.Generator().manual_seed(0))[0].numpy()
    rivals = [truth, truth.affine(0.6), truth.affine(1.6), truth.affine(1.0, 0.7)]
    for rule in (scoring.crps, scoring.nll):
        assert np.argmin([rule(rival, draws) for rival in rivals]) == 0


@pytest.mark.parametrize(
    ("loss", "options"), [("normal_nll", ()), ("reconstruction", (torch.zeros(3),)), ("soft_label_kl", ())]
)
def test_a_loss_names_the_distribution_it_cannot_use(loss, options):
    with pytest.raises(TypeError, match=rf"the loss {loss} needs a \w+ distribution, not point"):
        getattr(losses, loss)(Point(MEAN), SCORE, *options)
