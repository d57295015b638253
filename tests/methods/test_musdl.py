import pytest
import scipy.stats
import torch

from aqakit.errors import OptionError
from aqakit.methods import musdl
from aqakit.scores.distributions import Point
from aqakit.scores.rules import diving
from aqakit.types import FeatureSpec, LabelSpec, ScoreScale
from tests.synthetic import FEATURES, LABELS, batch

SURGERY = LabelSpec(ScoreScale(6, 30), None, 6, ScoreScale(1, 5), "sum_of_items")
I3D = FeatureSpec({"i3d": (1024,)})


@pytest.mark.parametrize(("labels", "expected"), [(LABELS, 2_086_035), (SURGERY, 1_775_646)])
def test_it_has_the_published_number_of_parameters(labels, expected):
    assert sum(p.numel() for p in musdl.build(I3D, labels).parameters()) == expected


def test_the_bins_are_the_marks_that_can_be_given():
    dives = [mark.centres for mark in musdl.build(FEATURES, LABELS).eval().marks(batch())]
    assert all(torch.equal(centres, torch.arange(21) / 2) for centres in dives)
    items = musdl.build(FEATURES, SURGERY).eval().marks(batch())
    assert items[0].centres.tolist() == [1, 2, 3, 4, 5]
    seen = LabelSpec(ScoreScale(0, 90), None, 7, ScoreScale(3.7, 9.5), "diving")  # of a manifest's marks
    assert musdl.build(FEATURES, seen).eval().marks(batch())[0].centres.tolist() == [3.5 + k / 2 for k in range(13)]
    assert musdl.build(FEATURES, LABELS, bins=41).eval().marks(batch())[0].centres[1].item() == 0.25


@pytest.mark.parametrize(("sigma", "labels", "bins"), [(5.0, LABELS, 5.0), (None, LABELS, 2.0), (None, SURGERY, 1.0)])
def test_the_loss_is_the_divergence_summed_over_the_judges(sigma, labels, bins):
    method = musdl.build(FEATURES, labels, sigma=sigma).eval()
    train = batch(videos=4)
    train = train.replace(judges=train.judges[:, : labels.judges].clamp(max=labels.marks.high))
    expected = 0.0
    for mark, given in zip(method.marks(train), train.judges.T, strict=True):
        steps = mark.centres.numpy(), given.numpy()[:, None], bins * mark.widths[0].item()
        soft = scipy.stats.norm.pdf(*steps)
        expected += scipy.stats.entropy(soft, mark.probabilities.detach().numpy(), axis=1).mean()
    assert method.losses(train)["divergence"].item() == pytest.approx(expected, rel=1e-4)
    mean = musdl.build(FEATURES, labels, sigma=sigma, reduction="mean").eval()
    mean.load_state_dict(method.state_dict())
    count = len(method.marks(train)[0].centres)
    assert mean.losses(train)["divergence"].item() == pytest.approx(expected / count, rel=1e-4)


def test_rows_without_marks_or_score_do_not_teach():
    method = musdl.build(FEATURES, LABELS).eval()
    whole, part = batch(), batch(unlabelled=8)
    part.judges[:4] = torch.nan
    part.judges[5, 3] = torch.nan
    rows = torch.tensor([4, *range(6, 16)])
    torch.testing.assert_close(method.losses(part), method.losses(whole.select(rows)))
    part.judges[:] = torch.nan
    assert method.losses(part)["divergence"].item() == 0


def test_most_probable_marks_go_into_the_rule():
    test = batch()
    method = musdl.build(FEATURES, LABELS, answer="argmax").eval()
    modes = torch.stack([mark.mode for mark in method.marks(test)], 1)
    answer = method.predict(test)
    assert isinstance(answer, Point)
    assert torch.equal(answer.value, diving(modes, test.difficulty))


def test_the_order_of_the_judges_is_nothing_to_the_score():
    test, method = batch(), musdl.build(FEATURES, LABELS).eval()
    before = method.predict(test)
    method.judges = torch.nn.ModuleList(reversed(method.judges))
    torch.testing.assert_close(method.predict(test).mean, before.mean)
    torch.testing.assert_close(method.predict(test).std, before.std)


def test_difficulty_multiplies_what_the_target_total_leaves_alone():
    test, score = batch(), musdl.build(FEATURES, LABELS).eval()
    total = musdl.build(FEATURES, LabelSpec(LABELS.total, None, 7, LABELS.marks, "diving")).eval()
    total.load_state_dict(score.state_dict())
    torch.testing.assert_close(total.predict(test).affine(test.difficulty).mean, score.predict(test).mean)
    same = score.predict(test.replace(difficulty=torch.ones(len(test))))
    torch.testing.assert_close(same.quantile(0.9), total.predict(test).quantile(0.9))


def test_without_judges_there_is_nothing_to_learn():
    with pytest.raises(OptionError, match="musdl learns the marks of the judges"):
        musdl.build(FEATURES, LabelSpec(ScoreScale(0, 100))).eval()
