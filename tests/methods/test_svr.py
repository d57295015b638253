import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict
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


def standardised_means(videos):
    return StandardScaler().fit(mean_clips(TRAIN)).transform(mean_clips(videos))


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_what_is_remembered_answers_as_the_machine_itself(kernel):
    answer = predicted(method := svr.build(FEATURES, LABELS, kernel=kernel))
    cost, epsilon, gamma = method.chosen.tolist()
    machine = SVR(kernel=kernel, C=cost, epsilon=epsilon, gamma=gamma or "scale", tol=1e-5)
    machine.fit(standardised_means(TRAIN), TRAIN.score.double().numpy())
    assert answer == pytest.approx(machine.predict(standardised_means(TEST)), abs=0.02)


@pytest.mark.parametrize("kernel", ["auto", "linear", "rbf"])
def test_the_setting_is_that_of_a_grid_search_by_group(kernel):
    method = svr.build(FEATURES, LABELS, kernel=kernel)
    method.remember(TRAIN)
    x, y = standardised_means(TRAIN), StandardScaler().fit_transform(TRAIN.score.double().numpy()[:, None])[:, 0]
    costs, epsilons = np.array(support_vectors._COSTS), support_vectors._EPSILONS
    scale = 1 / (x.shape[1] * x.var())  # scikit-learn's
    linear = {"kernel": ["linear"], "C": costs / x.shape[1], "epsilon": epsilons}  # 12 channels of variance 1
    rbf = {"kernel": ["rbf"], "C": costs, "epsilon": epsilons, "gamma": scale * np.array(support_vectors._GAMMAS)}
    grid = {"linear": [linear], "rbf": [rbf], "auto": [linear, rbf]}[kernel]
    search = GridSearchCV(SVR(), grid, cv=GroupKFold(4), scoring="neg_mean_squared_error")  # one group in each fold
    best = search.fit(x, y, groups=TRAIN.group.numpy()).best_params_
    spread = float(TRAIN.score.double().std(correction=0))
    expected = [best["C"] * spread, best["epsilon"] * spread, best.get("gamma", 0.0)]
    assert method.chosen.numpy() == pytest.approx(expected, rel=1e-6)
    assert svr.build(FEATURES, LABELS, cost=3.0).given == (3.0, None, None)


def confounded(seed):
    """Scores rise with every channel, but each group has channels and a mean score of its own."""
    random = np.random.default_rng(seed)
    group, quality = np.arange(40) % 4, random.normal(size=40)
    own = 2 * np.random.default_rng(9).normal(size=(4, 12))[group]
    channels = quality[:, None] + own + 0.3 * random.normal(size=(40, 12))
    score = 60 + 10 * quality + 10 * np.array([-1, 1, 1, -1])[group]
    clips = torch.ones(40, 1, dtype=torch.bool)
    streams = {"test": Stream(torch.from_numpy(channels).float()[:, None], clips)}
    return TRAIN.replace(streams=streams, score=torch.from_numpy(score).float(), group=torch.from_numpy(group))


def test_a_constant_is_not_chosen_where_other_groups_cannot_tell_the_setting():
    train, test = confounded(0), confounded(1)
    x, score = StandardScaler().fit_transform(mean_clips(train)), train.score.double().numpy()
    target = (score - score.mean()) / score.std()
    machines = [SVR(C=c, epsilon=e) for c in support_vectors._COSTS for e in support_vectors._EPSILONS]
    folds = list(GroupKFold(4).split(x, groups=train.group.numpy()))
    error = [np.square(cross_val_predict(one, x, target, cv=folds) - target).mean() for one in machines]
    best = clone(machines[int(np.argmin(error))]).fit(x, target)
    assert best.predict(x).std() < 0.05  # what the smallest error alone would choose
    method = svr.build(FEATURES, LABELS)
    answer = predicted(method, train, test)
    floor = make_pipeline(StandardScaler(), SVR(C=10.0, epsilon=0.1)).fit(mean_clips(train), target)
    assert answer == pytest.approx(floor.predict(mean_clips(test)) * score.std() + score.mean(), abs=0.02)
    assert spearmanr(answer, test.score).statistic > 0.95


@pytest.mark.parametrize("build", [svr.build, c3d_svr.build])
@pytest.mark.parametrize("seed", range(3))
def test_with_signal_the_answers_are_spread_and_rank(build, seed):
    train, test = batch(videos=40, seed=seed), batch(videos=40, seed=seed + 10)
    answer = predicted(build(FEATURES, LABELS), train, test)
    assert answer.std() > 0.3 * float(train.score.std())
    assert spearmanr(answer, test.score).statistic > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("factor", [1e-4, 1e4])
def test_the_unit_of_the_scores_changes_nothing(factor):
    answer = predicted(svr.build(FEATURES, LABELS))
    scaled = predicted(svr.build(FEATURES, LABELS), TRAIN.replace(score=TRAIN.score * factor))
    assert scaled / factor == pytest.approx(answer, rel=1e-3)


def test_inner_folds_are_shuffled_and_always_the_same():
    rows = np.arange(40) // 4  # as if sorted by athlete
    judged = [set(rows[v]) for _, v in support_vectors.inner_splits(rows)]
    assert all(len(groups) == 2 for groups in judged)
    assert any(max(groups) - min(groups) != 5 for groups in judged)  # GroupKFold alone: k and k + 5
    again = [set(rows[v]) for _, v in support_vectors.inner_splits(rows)]
    assert judged == again
    alike = [np.diff(v).max() for _, v in support_vectors.inner_splits(np.full(40, 7))]
    assert min(alike) > 1  # rows of one group are shuffled too


@pytest.mark.parametrize("group", [[0, 0, 1, 1, 2, 2, 3, 3], [-1] * 8, [5, -1, 5, -1, 5, -1, 5, -1], [4] * 8])
def test_no_group_straddles_an_inner_split(group):
    rows = np.array(group)
    splits = support_vectors.inner_splits(rows)
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
    with pytest.raises(OptionError, match="gamma applies only to the RBF kernel"):
        svr.build(FEATURES, LABELS, kernel="linear", gamma=1.0)
    with pytest.raises(DataError, match="at least 2 labelled training videos, not 1"):
        svr.build(FEATURES, LABELS).remember(TRAIN.select(torch.tensor([0])))
    wide = svr.build(FeatureSpec({"wide": (7,)}), LABELS, pooling="statistics")
    assert wide.embed.pool.width == 21
