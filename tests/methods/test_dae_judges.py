import pytest
import scipy.stats
import torch

from aqakit.errors import OptionError
from aqakit.methods import dae, dae_judges
from aqakit.scores.distributions import Normal
from aqakit.types import FeatureSpec, LabelSpec, ScoreScale
from tests.synthetic import FEATURES, LABELS, batch

SURGERY = LabelSpec(ScoreScale(6, 30), None, 6, ScoreScale(1, 5), "sum_of_items")


def test_each_judge_is_a_dae_of_the_published_size():
    method = dae_judges.build(FeatureSpec({"i3d": (1024,)}), LABELS).eval()
    assert [sum(p.numel() for p in judge.parameters()) for judge in method.judges] == [295_554] * 7


def test_the_loss_is_the_likelihood_of_the_marks():
    method, train = dae_judges.build(FEATURES, LABELS, alpha=0.5, beta=0.5).eval(), batch(videos=4)
    expected = 0.0
    for mark, given in zip(method.marks(train), train.judges.T, strict=True):
        normal = scipy.stats.norm(mark.loc.detach().numpy(), mark.scale.detach().numpy())
        expected -= (normal.logpdf(given.numpy()) - scipy.stats.norm.logpdf(0)).mean()
    assert method.losses(train)["likelihood"].item() == pytest.approx(expected, rel=1e-4)


def test_the_support_term_comes_in_its_epochs():
    method, train = dae_judges.build(FEATURES, LABELS, loss="reconstruction", support_every=3).eval(), batch()
    loc = torch.stack([mark.loc for mark in method.marks(train)], 1)
    support = (loc - train.judges).square().mean(0).sum().item()
    for epoch in range(6):
        method.epoch = epoch
        terms = method.losses(train)
        assert set(terms) == ({"reconstruction", "support"} if epoch in (2, 5) else {"reconstruction"})
    assert terms["support"].item() == pytest.approx(support, rel=1e-4)


def test_one_judge_learns_as_dae_does():
    """The marks of judge 4 as the score of a DAE with the same weights."""
    method, train = dae_judges.build(FEATURES, LABELS).eval(), batch(unlabelled=5)
    single = dae.build(FEATURES, LabelSpec(LABELS.marks)).eval()
    single.load_state_dict(method.judges[3].state_dict())
    method.losses(train)["likelihood"].backward()
    single.losses(train.select(train.labelled).replace(score=train.judges[train.labelled, 3]))["likelihood"].backward()
    for mine, other in zip(method.judges[3].parameters(), single.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad)


def test_items_that_are_added_make_a_normal():
    test, method = batch(), dae_judges.build(FEATURES, SURGERY).eval()
    marks, answer = method.marks(test), method.predict(test)
    assert isinstance(answer, Normal)
    torch.testing.assert_close(answer.mean, sum(mark.loc for mark in marks))
    torch.testing.assert_close(answer.std.square(), sum(mark.scale.square() for mark in marks))


def test_a_dive_is_a_histogram_between_its_judges():
    test, method = batch(), dae_judges.build(FEATURES, LABELS).eval()
    marks, answer = torch.stack([m.loc for m in method.marks(test)], 1), method.predict(test)
    total = answer.mean / test.difficulty
    assert answer.kind == "affine.binned"
    assert ((3 * marks.amin(1) < total) & (total < 3 * marks.amax(1))).all()


def test_what_it_cannot_use_is_an_error():
    with pytest.raises(OptionError, match="dae_judges learns the marks of the judges"):
        dae_judges.build(FEATURES, LabelSpec(ScoreScale(0, 100))).eval()
    with pytest.raises(OptionError, match="noise apply only to loss=reconstruction"):
        dae_judges.build(FEATURES, LABELS, noise="variance").eval()
