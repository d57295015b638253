"""VAT: its direction is worse than any random one, and its distance is torch's divergence."""

import pytest
import torch
from torch.distributions import Categorical, kl_divergence
from torch.distributions import Normal as TorchNormal

from aqakit.errors import OptionError
from aqakit.methods.parts.semi_supervised import divergence, first, noisy
from aqakit.scores.distributions import Binned, Mixture, Normal, Point
from aqakit.types import ScoreScale
from tests.semi_supervised import assert_same_without_unlabelled_rows, built, trained
from tests.synthetic import batch

SCALE = ScoreScale(0, 40)
MIXED = batch(unlabelled=8)


@pytest.mark.parametrize("base", ["regression", "dae", "usdl"])
def test_its_direction_moves_the_answer_more_than_twenty_random_ones(base):
    train = batch(videos=64)
    method = trained(built("vat", base=base, iterations=2), train)
    test = batch(seed=1)
    with torch.no_grad():
        answer = method.predict(test)
    found = method.epsilon * method.direction(test, answer)
    size = first(test).features.flatten(1).norm(dim=1)
    torch.testing.assert_close(found.flatten(1).norm(dim=1), method.epsilon * size)
    assert not found[~first(test).clips].any()
    moved = method.distance(test, answer, found)
    for _ in range(20):
        other = torch.randn_like(found) * first(test).clips[..., None]
        other *= (found.flatten(1).norm(dim=1) / other.flatten(1).norm(dim=1))[:, None, None]
        assert (moved > method.distance(test, answer, other)).all()


def test_distances_are_torchs():
    torch.manual_seed(0)
    means, spreads = torch.randn(2, 5), torch.rand(2, 5) + 0.5
    normals = [Normal(m, s) for m, s in zip(means, spreads, strict=True)]
    expected = kl_divergence(*[TorchNormal(n.loc, n.scale) for n in normals])
    torch.testing.assert_close(divergence(*normals, SCALE), expected)
    logits = torch.randn(2, 5, 7)
    bins = [Binned(one, torch.linspace(0, 40, 8)) for one in logits]
    expected = kl_divergence(*[Categorical(logits=one) for one in logits])
    torch.testing.assert_close(divergence(*bins, SCALE), expected)
    points = Point(torch.tensor([10.0])), Point(torch.tensor([30.0]))
    assert float(divergence(*points, SCALE)) == 4  # two quarters of the scale, squared


def test_any_other_distribution_is_judged_by_its_mean_and_spread():
    parts = Normal(torch.tensor([[1.0, 3.0]]), torch.ones(1, 2))
    mixture = Mixture(torch.full((1, 2), 0.5).log(), parts)
    same = Normal(mixture.mean, mixture.std)
    torch.testing.assert_close(divergence(mixture, same, SCALE), torch.zeros(1))


def test_noise_is_a_share_of_each_videos_size_and_spares_the_padding():
    torch.manual_seed(0)
    test = batch(videos=200, seed=2)
    added = first(noisy(test, 0.5)).features - first(test).features
    assert not added[~first(test).clips].any()
    ratio = added.flatten(1).norm(dim=1) / first(test).features.flatten(1).norm(dim=1)
    assert float(ratio.mean()) == pytest.approx(0.5, rel=0.05)


def test_without_unlabelled_rows_it_is_its_base():
    assert_same_without_unlabelled_rows(built("vat", base="dae:dropout=0.2"), built("dae", dropout=0.2))


def test_smoothness_reaches_the_base_and_leaves_dropout_on():
    method = built("vat", base="usdl:dropout=0.2")
    method.losses(MIXED)["smoothness"].backward()
    assert any(p.grad.any() for p in method.parameters())
    assert all(module.training for module in method.modules())


def test_an_answer_without_gradient_is_refused():
    with pytest.raises(OptionError, match="no gradient"):
        built("vat", base="usdl:answer=argmax").losses(MIXED)
