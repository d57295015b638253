"""Sparse against scikit-learn's lasso, within what was declared against dummy variables."""

import pytest
import torch
from sklearn.linear_model import Lasso, Ridge

from aqakit.methods import sparse
from aqakit.methods.parts.declared import PENALTY, Usual, design
from aqakit.types import FeatureSpec, LabelSpec, ScoreScale, Stream
from tests.synthetic import batch

KINDS = LabelSpec(ScoreScale(0, 100), kinds=("a", "b", "c"), steps=("run", "jump"))
FEATURES = FeatureSpec({"test": (6,)})


def declared_batch(rows=60):
    """Videos of three kinds; the kind moves features and scores."""
    generator = torch.Generator().manual_seed(0)
    kind = torch.arange(rows) % 3
    steps = torch.stack([torch.zeros_like(kind), (kind > 0).long()], dim=1)
    moved = torch.randn(rows, 1, 6, generator=generator) + 10.0 * kind[:, None, None]
    score = 50 + 3 * moved[:, 0, 1] - 40.0 * kind
    streams = {"test": Stream(moved, torch.ones(rows, 1, dtype=torch.bool))}
    return batch(videos=rows).replace(streams=streams, kind=kind, steps=steps, score=score)


def test_what_is_usual_is_that_of_ridge_regression():
    given = declared_batch()
    x = design(given, KINDS)
    assert x[:4].tolist() == [[1, 0, 0, 2, 0], [0, 1, 0, 1, 1], [0, 0, 1, 1, 1], [1, 0, 0, 2, 0]]
    y = given.features[:, 0].double()
    expected = Ridge(PENALTY).fit(x.numpy(), y.numpy()).predict(x.numpy())
    assert Usual.of(x, y)(x).numpy() == pytest.approx(expected, abs=1e-8)


def test_what_is_not_declared_is_taken_for_the_average():
    given = declared_batch()
    usual = Usual.of(design(given, KINDS), given.score[:, None])
    unknown = given.replace(kind=torch.full((60,), -1), steps=torch.full((60, 1), len(KINDS.steps)))
    assert design(unknown, KINDS).isnan().all()
    assert usual(design(unknown, KINDS))[:, 0].numpy() == pytest.approx(float(given.score.mean()), abs=1e-4)


def test_weights_are_those_of_the_lasso_on_what_the_kind_leaves():
    train = declared_batch()
    model = sparse.build(FEATURES, KINDS, penalty=0.05)
    model.remember(train)
    x, ones = train.features[:, 0].double().numpy(), design(train, KINDS).numpy()
    score = train.score.double().numpy()
    left = x - Ridge(PENALTY).fit(ones, x).predict(ones)
    level = Ridge(PENALTY).fit(ones, score)
    y = score - level.predict(ones)
    fitted = Lasso(0.05, fit_intercept=False).fit(left / left.std(0), y / y.std())
    assert model.weight.numpy() == pytest.approx(fitted.coef_ * y.std() / left.std(0), abs=1e-3)
    expected = level.predict(ones) + left @ model.weight.numpy()
    assert model.predict(train).mean.numpy() == pytest.approx(expected, abs=1e-2)


def test_without_declared_kinds_nothing_changes():
    train = declared_batch()
    plain = sparse.build(FEATURES, LabelSpec(ScoreScale(0, 100)), penalty=0.05)
    off = sparse.build(FEATURES, KINDS, penalty=0.05, declared=False)
    for model in (plain, off):
        model.remember(train)
        assert not model.reads_kind
    assert torch.equal(plain.predict(train).mean, off.predict(train).mean)
