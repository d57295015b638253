import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.svm import SVR

from aqakit.errors import DataError, OptionError
from aqakit.methods import c3d_svr, svr
from aqakit.methods.parts import support_vectors
from aqakit.types import FeatureSpec, Stream
from tests.synthetic import FEATURES, LABELS, batch

TRAIN, TEST = batch(videos=40), batch(videos=30, seed=1)
SCALERS = {"none": None, "unit": Normalizer(), "standard": StandardScaler()}


def mean_clips(videos):
    return np.stack([f[c].double().mean(0).numpy() for f, c in zip(videos.features, videos.clips, strict=True)])


def predicted(method, train=TRAIN, test=TEST):
    method.remember(train)
    return method.predict(test).mean.numpy()


@pytest.mark.parametrize("scaling", SCALERS)
@pytest.mark.parametrize(("kernel", "gamma"), [("linear", None), ("rbf", 0.05)])
def test_it_is_the_machine_of_scikit_learn(scaling, kernel, gamma):
    method = svr.build(FEATURES, LABELS, kernel=kernel, scaling=scaling, cost=7.0, epsilon=2.0, gamma=gamma)
    reference = make_pipeline(
        SCALERS[scaling], SVR(kernel=kernel, C=7.0, epsilon=2.0, gamma=gamma or "scale", tol=1e-6)
    )
    reference.fit(mean_clips(TRAIN), TRAIN.score.numpy())
    # the kernel comes from two libraries, so that the solver stops at slightly different places
    assert predicted(method) == pytest.approx(reference.predict(mean_clips(TEST)), abs=0.02)


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_what_is_remembered_answers_as_the_machine_itself(kernel, monkeypatch):
    machines = []
    fit = support_vectors._fit
    monkeypatch.setattr(support_vectors, "_fit", lambda *given: machines.append(fit(*given)) or machines[-1])
    answer = predicted(method := svr.build(FEATURES, LABELS, kernel=kernel))
    _, best = min(machines, key=lambda found: found[0])
    train, test = StandardScaler().fit(mean_clips(TRAIN)).transform(mean_clips(TRAIN)), mean_clips(TEST)
    test = StandardScaler().fit(mean_clips(TRAIN)).transform(test)
    gram = test @ train.T
    if kernel == "rbf":
        distance = np.square(test[:, None] - train).sum(-1)
        gram = np.exp(-float(method.chosen[2]) * distance)
    assert answer == pytest.approx(best.predict(gram), rel=1e-5)


def test_c_and_epsilon_are_those_of_a_grid_search_by_group():
    method = svr.build(FEATURES, LABELS)
    method.remember(TRAIN)
    x, y = StandardScaler().fit_transform(mean_clips(TRAIN)), TRAIN.score.double().numpy()
    variance = np.square(x - x.mean(0)).sum(1).mean()
    grid = {
        "C": [factor * y.std() / variance for factor in support_vectors._COSTS],
        "epsilon": [factor * y.std() for factor in support_vectors._EPSILONS],
    }
    search = GridSearchCV(SVR(kernel="linear"), grid, cv=GroupKFold(4), scoring="neg_mean_squared_error")
    search.fit(x, y, groups=TRAIN.group.numpy())
    assert method.chosen[:2].numpy() == pytest.approx([search.best_params_["C"], search.best_params_["epsilon"]])
    assert svr.build(FEATURES, LABELS, cost=3.0).given == (3.0, None, None)


@pytest.mark.parametrize("group", [[0, 0, 1, 1, 2, 2, 3, 3], [-1] * 8, [5, -1, 5, -1, 5, -1, 5, -1], [4] * 8])
def test_no_group_straddles_an_inner_split(group):
    rows = np.array(group)
    splits = support_vectors._inner_splits(rows)
    assert sorted(np.concatenate([judged for _, judged in splits])) == list(range(8))
    for fitted, judged in splits:
        assert len(fitted) + len(judged) == 8
        if len(set(group)) > 1:
            assert not set(rows[fitted][rows[fitted] >= 0]) & set(rows[judged])


def test_with_a_large_c_and_no_tube_a_line_is_found_exactly():
    line = TRAIN.replace(score=torch.from_numpy(mean_clips(TRAIN) @ np.arange(12.0) + 5).float())
    method = svr.build(FEATURES, LABELS, scaling="none", cost=1e4, epsilon=0.0)
    reference = LinearRegression().fit(mean_clips(line), line.score.numpy())
    assert predicted(method, line) == pytest.approx(reference.predict(mean_clips(TEST)), abs=0.02)


def test_the_order_of_the_clips_is_nothing_to_it():
    method = svr.build(FEATURES, LABELS, kernel="rbf")
    answer = predicted(method)
    backwards = Stream(TEST.features.flip(1), TEST.clips.flip(1))
    assert method.predict(TEST.replace(streams={"test": backwards})).mean.numpy() == pytest.approx(answer, rel=1e-5)


def test_c3d_svr_sees_the_direction_of_the_mean_clip_alone():
    method = c3d_svr.build(FEATURES, LABELS, cost=50.0, epsilon=1.0)
    answer = predicted(method)
    louder = Stream(TEST.features * 3, TEST.clips)
    assert method.predict(TEST.replace(streams={"test": louder})).mean.numpy() == pytest.approx(answer, rel=1e-5)
    same = svr.build(FEATURES, LABELS, scaling="unit", cost=50.0, epsilon=1.0)
    assert predicted(same) == pytest.approx(answer)


def test_a_linear_machine_is_kept_as_one_vector_however_many_videos_it_has_seen():
    method = c3d_svr.build(FEATURES, LABELS)
    method.remember(TRAIN)
    assert method.support.shape == (1, 12)
    assert method.losses(TRAIN) == {}
    assert list(method.parameters()) == []


def test_few_videos_equal_scores_and_constant_channels():
    few = TRAIN.select(torch.arange(2))
    assert np.isfinite(predicted(svr.build(FEATURES, LABELS), few)).all()
    equal = TRAIN.replace(score=torch.full((40,), 60.0))
    assert predicted(svr.build(FEATURES, LABELS, kernel="rbf"), equal) == pytest.approx(60, abs=0.1)
    still = TRAIN.replace(streams={"test": Stream(torch.ones_like(TRAIN.features), TRAIN.clips)})
    for method in (svr.build(FEATURES, LABELS, kernel="rbf"), c3d_svr.build(FEATURES, LABELS)):
        assert np.isfinite(predicted(method, still)).all()


def test_mistakes_are_sentences():
    with pytest.raises(OptionError, match="gamma applies only to kernel=rbf"):
        svr.build(FEATURES, LABELS, gamma=1.0)
    with pytest.raises(DataError, match="at least 2 labelled training videos, not 1"):
        svr.build(FEATURES, LABELS).remember(TRAIN.select(torch.tensor([0])))
    wide = svr.build(FeatureSpec({"wide": (7,)}), LABELS, pooling="statistics")
    assert wide.embed.pool.width == 21
