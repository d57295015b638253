"""COREG: scikit-learn's neighbours, and no video is ever added that raises the error of the one who proposes it."""

import pytest
import torch
from sklearn.neighbors import KNeighborsRegressor

from aqakit.metrics.accuracy import spearman
from aqakit.training.assessor import Assessor, Standardise
from aqakit.training.batches import CachedFeatures
from aqakit.training.loop import fit
from aqakit.training.settings import Settings
from aqakit.training.state import Member
from aqakit.types import Sample
from tests.semi_supervised import built
from tests.synthetic import LABELS, batch

MIXED = batch(videos=60, unlabelled=40)


def remembered(train, **options):
    torch.manual_seed(0)
    method = built("coreg", **options)
    method.remember(train)
    return method.eval()


def vectors(method, of):
    return (method.embed(of.features, of.clips) - method.centre) / method.spread


def sklearn_fitted(method, j, x=None, y=None):
    remembered_x, remembered_y = method.memory(j)
    model = KNeighborsRegressor(method.neighbours, p=method.orders[j])
    return model.fit(remembered_x if x is None else x, remembered_y if y is None else y)


@pytest.mark.parametrize("j", [0, 1])
def test_an_estimate_is_scikit_learns(j):
    method, test = remembered(MIXED), batch(seed=1)
    found = method.estimate(j, vectors(method, test))
    expected = sklearn_fitted(method, j).predict(vectors(method, test))
    torch.testing.assert_close(found.double(), torch.as_tensor(expected).double(), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("j", [0, 1])
def test_a_gain_is_the_fall_of_scikit_learns_error_on_the_neighbours(j):
    method = remembered(MIXED.select(MIXED.labelled))
    pool = vectors(method, MIXED.select(~MIXED.labelled))
    x, y = method.memory(j)
    before = sklearn_fitted(method, j)
    for one, gain in zip(pool[:10], method.gains(j, pool)[:10].tolist(), strict=True):
        guess = torch.as_tensor(before.predict(one[None])).float()
        near = before.kneighbors(one[None], return_distance=False)[0]
        after = sklearn_fitted(method, j, torch.cat([x, one[None]]), torch.cat([y, guess]))
        errors = [((y[near] - torch.as_tensor(m.predict(x[near]))) ** 2).sum() for m in (before, after)]
        assert gain == pytest.approx(float(errors[0] - errors[1]), rel=1e-3, abs=1e-2)


def test_no_video_is_added_that_raises_the_error_of_the_one_who_proposes_it(monkeypatch):
    method, gains = built("coreg"), []

    def watched(pool, teach=method._teach):
        before = [method.gains(j, pool) for j in range(2)]
        sizes = [len(method.memory(j)[0]) for j in range(2)]
        used = teach(pool)
        for j in range(2):
            for new in method.memory(1 - j)[0][sizes[1 - j] :]:
                gains.append(float(before[j][(pool == new).all(1)][0]))
        return used

    monkeypatch.setattr(method, "_teach", watched)
    method.remember(MIXED)
    assert len(gains) > 10
    assert min(gains) > 0


def test_each_video_is_given_once_and_with_the_estimate_of_the_other():
    method = remembered(MIXED, rounds=1)
    plain = remembered(MIXED.select(MIXED.labelled))
    plain.centre, plain.spread = method.centre, method.spread
    for j in range(2):
        plain._keep(j, method.memory(j)[0][:20], method.memory(j)[1][:20])
    new = [method.memory(j)[0][20:] for j in range(2)]
    assert [len(n) for n in new] == [1, 1]
    assert not torch.equal(*new)
    for j in range(2):
        assert torch.equal(method.memory(1 - j)[1][20:], plain.estimate(j, new[1 - j]))


def test_without_unlabelled_videos_it_is_two_nearest_neighbour_regressors():
    train, test = batch(videos=40), batch(seed=1)
    method = remembered(train)
    x = vectors(method, train)
    models = [KNeighborsRegressor(3, p=p).fit(x, train.score) for p in (2, 5)]
    expected = sum(m.predict(vectors(method, test)) for m in models) / 2
    torch.testing.assert_close(method.predict(test).mean, torch.as_tensor(expected).float(), rtol=1e-5, atol=1e-3)


def test_the_loop_gives_it_the_unlabelled_videos():
    samples = [Sample(id=str(i), sources={}, score=None if s != s else s) for i, s in enumerate(MIXED.score.tolist())]
    assessor = Assessor(built("coreg"), Standardise({}), {}, target="score", fuse="none")
    fit([Member(assessor, CachedFeatures(samples, MIXED))], {}, Settings(epochs=1))
    assert len(assessor.method.memory(0)[0]) > 20


def test_it_learns_what_neighbours_can():
    method, test = remembered(batch(videos=128)), batch(videos=64, seed=1)
    assert spearman(test.score.numpy(), method.predict(test).mean.numpy()) > 0.7
    assert LABELS.scale.low <= float(method.predict(test).mean.min())
