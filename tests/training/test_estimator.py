"""The estimator: scikit-learn's own checks of it, its cross-validation, and the same run as ``aqakit.train`` makes."""

import csv
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.dummy import DummyRegressor
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import aqakit
from aqakit import AqaRegressor
from aqakit.errors import AqakitError, OptionError
from tests.training.test_run import BACKBONE, make_manifest

EXPECTED = {
    "check_no_attributes_set_in_init": "options are those of the method, the run and training: keyword arguments, "
    "which the signature of the class does not list",
}


@pytest.mark.slow
@parametrize_with_checks([AqaRegressor("svr", members=1)], expected_failed_checks=lambda estimator: EXPECTED)
def test_scikit_learn_accepts_it(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def data():
    """Features (48, 4) of twelve people, and scores that are linear in them but for noise."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(48, 4))
    return X, 50 + X @ [4.0, -3.0, 0.0, 1.0] + rng.normal(size=48) / 2, np.arange(48) % 12


@pytest.fixture(scope="module")
def fitted(data):
    X, y, groups = data
    return AqaRegressor("dae", epochs=15, members=2).fit(X, y, groups)


def test_cross_validation_is_that_of_a_loop_and_beats_the_mean(data):
    X, y, groups = data
    estimator = make_pipeline(StandardScaler(), AqaRegressor("svr", members=1))
    scores = cross_val_score(estimator, X, y, cv=GroupKFold(3), groups=groups)
    folds = GroupKFold(3).split(X, y, groups)
    expected = [clone(estimator).fit(X[train], y[train]).score(X[test], y[test]) for train, test in folds]
    assert scores == pytest.approx(expected)
    assert scores.mean() > cross_val_score(DummyRegressor(), X, y, cv=KFold(3)).mean() + 0.5


def test_a_grid_chooses_an_option_of_the_method(data):
    X, y, _ = data
    grid = GridSearchCV(AqaRegressor("svr", members=1), {"kernel": ["rbf", "linear"]}, cv=2)
    assert grid.fit(X, y).best_params_ == {"kernel": "linear"}  # as the scores are


def test_std_and_distribution_are_those_of_the_run(data, fitted):
    X, y, _ = data
    mean, std = fitted.predict(X, return_std=True)
    assert mean == pytest.approx(fitted.predict(X))
    distribution = fitted.predict_distribution(X)
    assert distribution.batch_shape == (48,)
    assert std == pytest.approx(distribution.std.double().numpy())
    low, high = (end.numpy() for end in distribution.interval(0.9))
    assert ((low <= y) & (y <= high)).mean() > 0.7
    assert np.corrcoef(mean, y)[0, 1] > 0.8
    assert "dae on precomputed:width=4" in repr(fitted.run_)


def test_a_pickle_carries_the_run(data, fitted):
    copy = pickle.loads(pickle.dumps(fitted))
    assert copy.run_.folder != fitted.run_.folder
    assert (copy.predict(data[0]) == fitted.predict(data[0])).all()
    assert copy.get_params() == fitted.get_params()
    unfitted = pickle.loads(pickle.dumps(clone(fitted)))
    with pytest.raises(ValueError, match="not fitted"):
        unfitted.predict(data[0])


def test_parameters_are_read_and_set():
    estimator = AqaRegressor("usdl", epochs=5, bins=21)
    assert estimator.get_params() == {"method": "usdl", "backbone": None, "out": None, "epochs": 5, "bins": 21}
    assert clone(estimator).set_params(bins=11, sigma=2.0).get_params()["sigma"] == 2.0
    assert estimator.bins == 21
    with pytest.raises(ValueError, match="Invalid parameter"):
        estimator.set_params(_bins=3)
    with pytest.raises(OptionError, match="binz"):
        AqaRegressor("usdl", binz=3).fit(np.ones((4, 2)), [1.0, 2.0, 3.0, 4.0])


def test_clips_are_features_of_three_dimensions(data):
    X, y, _ = data
    clips = np.repeat(X[:, None], 3, axis=1)
    estimator = AqaRegressor("svr", members=1).fit(clips, y)
    found = estimator.predict(clips)
    assert estimator.predict(clips[:, :2]) == pytest.approx(found, abs=1e-3)  # the mean of other clips is the same
    assert estimator.n_features_in_ == 4
    assert found == pytest.approx(AqaRegressor("svr", members=1).fit(X, y).predict(X), abs=1e-3)


def test_paths_give_the_run_that_train_makes(tmp_path):
    manifest = make_manifest(tmp_path, count=16, difficulty=False)
    rows = list(csv.DictReader(manifest.open()))
    paths, scores = [str(tmp_path / row["path"]) for row in rows], [float(row["score"]) for row in rows]
    options = {"epochs": 3, "members": 2}
    estimator = AqaRegressor("dae", BACKBONE, out=tmp_path / "own", **options)
    estimator.fit(paths, scores, [row["group"] for row in rows])
    run = aqakit.train(
        "dae", data="manifest", root=manifest, backbone=BACKBONE, out=tmp_path / "run", protocol="all", **options
    )
    assert estimator.predict(paths[:3]) == pytest.approx(run.predict(paths[:3]).mean)
    assert estimator.run_.folder == tmp_path / "own"
    assert set(estimator.run_.groups("held-out")) == {f"group g{k}" for k in range(5)}
    assert estimator.predict(np.array(paths[:3])) == pytest.approx(estimator.predict(paths[:3]))


def test_what_cannot_be_fitted_is_a_sentence(data, fitted, tmp_path):
    X, y, _ = data
    with pytest.raises(OptionError, match="recordings need a backbone"):
        AqaRegressor().fit(["a.mp4", "b.mp4", "c.mp4"], [1, 2, 3])
    with pytest.raises(AqakitError, match=r"^\S*none\.npy: no such file or folder"):
        AqaRegressor(backbone=BACKBONE).fit([tmp_path / "none.npy"] * 3, [1, 2, 3])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        AqaRegressor().fit(X, y, [1, 2])
    with pytest.raises(ValueError, match="minimum of 3 is required"):
        AqaRegressor().fit(X[:2], y[:2])
    with pytest.raises(ValueError, match="5 features, but"):
        fitted.predict(np.ones((2, 5)))
    with pytest.raises(ValueError, match="width 5, but 4 were fitted"):
        fitted.predict(np.ones((2, 3, 5)))
