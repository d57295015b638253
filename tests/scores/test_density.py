"""The distribution as it is drawn: no shoulder that only the calibration has."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from aqakit.scores.density import bends, smooth
from aqakit.scores.distributions import Normal, Quantiles, mixture
from aqakit.types import ScoreScale


def knotted(seed, knots=12):
    """A normal distribution of standard deviation 8, as the quantiles of few samples make it."""
    levels = np.linspace(0.04, 0.96, knots)
    wrong = np.sort(norm.ppf(levels, 50, 8) + np.random.default_rng(seed).normal(0, 1.2, knots))
    values = torch.from_numpy(wrong)[None]
    return Quantiles(values.mean(1), values, torch.from_numpy(levels))


@pytest.mark.parametrize("seed", range(8))
def test_knots_make_no_shoulders(seed):
    found, said = knotted(seed), Normal(torch.tensor([50.0]), torch.tensor([8.0]))
    scores, density = smooth(found, said)
    assert bends(density) == 2
    assert np.trapezoid(density, scores) == pytest.approx(1, abs=0.03)
    mean = np.trapezoid(density * scores, scores)
    assert mean == pytest.approx(50, abs=2)
    spread = np.sqrt(np.trapezoid(density * (scores - mean) ** 2, scores))
    assert spread == pytest.approx(found.std.item(), rel=0.08)


def test_two_humps_of_the_members_stay():
    two = [Normal(torch.tensor([mean]), torch.tensor([3.0])) for mean in (30.0, 60.0)]
    both = mixture(two)
    assert bends(smooth(both, both)[1]) == 4


def test_two_humps_stay_where_nothing_is_known_of_the_members():
    both = mixture([Normal(torch.tensor([mean]), torch.tensor([3.0])) for mean in (30.0, 60.0)])
    assert bends(smooth(both)[1]) == 4
    assert bends(smooth(knotted(0).select(0))[1]) == 2


def test_answers_whose_gradients_are_kept_are_drawn_too():
    loc = torch.tensor([50.0], requires_grad=True)
    assert smooth(knotted(0), Normal(loc, torch.tensor([8.0])))[1].max() > 0


def test_nothing_is_drawn_beyond_the_scale_and_what_is_drawn_stays():
    found, scale = Normal(torch.tensor([95.0]), torch.tensor([8.0])), ScoreScale(0, 100)
    whole, cut = smooth(found), smooth(found, scale=scale)
    assert whole[0].max() > 100
    assert 99 < cut[0].max() <= 100
    assert dict(zip(*cut)).items() <= dict(zip(*whole)).items()


def test_an_answer_beyond_the_scale_is_drawn_where_it_is():
    found = Normal(torch.tensor([140.0]), torch.tensor([3.0]))
    assert len(smooth(found, scale=ScoreScale(0, 100))[0]) == len(smooth(found)[0])
