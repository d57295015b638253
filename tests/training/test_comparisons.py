"""Pairs in training: the likelihood is scipy's, members see no pair of what they hold out, and a run resumes."""

import csv
import math

import numpy as np
import pytest
import torch
from scipy import stats

import aqakit
from aqakit import datasets
from aqakit.datasets.parts.pairs import Pair, among
from aqakit.errors import DataError, OptionError
from aqakit.methods.parts.losses import preference_nll
from aqakit.scores.distributions import Normal, Point
from aqakit.training import comparisons, epoch, loop
from aqakit.training.comparisons import PairRows
from aqakit.training.data import prepare
from aqakit.training.loop import fit
from aqakit.training.recipe import make_recipe
from aqakit.training.settings import Settings
from aqakit.training.state import Member
from aqakit.types import Sample
from tests.releases import write_skill_pairs
from tests.training.test_loop import StoppedError, assessor, source, stop_after, weights
from tests.training.test_run import BACKBONE, make_manifest
from tests.training.test_stacked import members as stacked_members


def test_the_likelihood_is_that_of_the_difference_of_two_normals():
    rng = np.random.default_rng(0)
    mean, std, noise = rng.normal(50, 20, 12), rng.uniform(0.1, 9, 12), rng.uniform(0.1, 9, 6)
    mean[0] += 400  # far in the tails
    mean[1] -= 400
    spread = np.sqrt(std[:6] ** 2 + std[6:] ** 2 + noise**2)
    expected = -stats.norm.logcdf(mean[:6] - mean[6:], scale=spread)
    both = Normal(torch.tensor(mean), torch.tensor(std))
    np.testing.assert_allclose(preference_nll(both, torch.tensor(noise)), expected, rtol=1e-9, atol=1e-300)
    alone = -stats.norm.logcdf(mean[:6] - mean[6:], scale=noise)
    np.testing.assert_allclose(preference_nll(Point(both.loc), torch.tensor(noise)), alone, rtol=1e-9, atol=1e-300)


def test_the_noise_is_that_of_the_judge():
    rng = np.random.default_rng(1)
    score = {str(k): value for k, value in enumerate(rng.normal(60, 12, 300))}
    pairs = []
    for a, b in rng.integers(0, 300, (4000, 2)):
        if a != b:
            won = score[str(a)] - score[str(b)] + rng.normal(0, 9) > 0
            pairs.append(Pair(str(a), str(b)) if won else Pair(str(b), str(a)))
    assert comparisons.noise_of(pairs, score) == pytest.approx(9, rel=0.1)
    assert comparisons.noise_of(pairs, {k: 10 * v for k, v in score.items()}) == pytest.approx(90, rel=0.1)
    assert comparisons.noise_of([Pair("x", "y")], score) == pytest.approx(np.std(list(score.values())) / 2)


def random_pairs(data, count=40, seed=0):
    """Pairs of a source, the better one first."""
    rng, score = np.random.default_rng(seed), data.pool.score[data.rows].tolist()
    chosen = [rng.choice(len(data), 2, replace=False) for _ in range(count)]
    names = [s.id for s in data.samples]
    return [Pair(*(names[k] for k in sorted(one, key=lambda k: -score[k]))) for one in chosen]


def paired(data, model, **more):
    return Member(model, data, pairs=PairRows.of(random_pairs(data), data.samples), **more)


def test_a_stopped_run_with_pairs_resumes_to_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_SECONDS_BETWEEN_CHECKPOINTS", -1.0)
    settings, data = Settings(epochs=4, batch_size=8, learning_rate=1e-2), source(0, unlabelled=6)
    whole, other, resumed = (assessor(dropout=0.3) for _ in range(3))
    fit([paired(data, whole)], {}, settings)
    with pytest.raises(StoppedError):
        fit([paired(data, other)], {}, settings, folder=tmp_path, report=stop_after(2))
    fit([paired(data, resumed)], {}, settings, folder=tmp_path)
    assert torch.equal(weights(resumed), weights(whole))
    without = assessor(dropout=0.3)
    fit([Member(without, data)], {}, settings)
    assert not torch.equal(weights(without), weights(whole))


def test_members_learn_from_pairs_as_one_what_they_learn_alone(monkeypatch):
    settings, data = Settings(epochs=4, batch_size=4, learning_rate=1e-2), source(0)

    def members():
        made = stacked_members(data, dropout=0.0)
        return [paired(one.train, one.assessor, held_out=one.held_out, seed=one.seed) for one in made]

    joint = fit(members(), {"test": source(1)}, settings)
    monkeypatch.setattr(epoch, "can_stack", lambda models: False)
    alone = fit(members(), {"test": source(1)}, settings)
    torch.testing.assert_close(
        joint.predictions["test"][-1].mean, alone.predictions["test"][-1].mean, rtol=1e-4, atol=1e-3
    )
    assert joint.losses[-1]["pairs"] == pytest.approx(alone.losses[-1]["pairs"], rel=1e-4)


def test_processes_take_the_same_pairs_as_one(monkeypatch):
    data = source(0)
    monkeypatch.setenv("WORLD_SIZE", "3")
    (one, *_) = epoch._pairs(
        PairRows.of(random_pairs(data), data.samples), 2, Settings(batch_size=5), torch.Generator().manual_seed(0)
    )
    parts = [one.select(slice(rank, None, 3)) for rank in range(3)]
    assert [len(part) for part in parts] == [5, 5, 5]
    assert sorted(torch.cat([p.rows for p in parts]).tolist()) == sorted(one.rows.tolist())


# --- runs ---


@pytest.fixture
def manifest(tmp_path):
    return make_manifest(tmp_path)


def write_pairs(file, pairs):
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([("better", "worse"), *pairs])
    return file


def ordered(manifest):
    """All pairs of a manifest in order of its scores."""
    rows = list(csv.DictReader(manifest.open()))
    ids = [row["id"] for row in sorted(rows, key=lambda row: -float(row["score"]))]
    return [(a, b) for k, a in enumerate(ids) for b in ids[k + 1 :]]


def without_scores(manifest):
    rows = list(csv.DictReader(manifest.open()))
    file = manifest.with_name("alone.csv")
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, ["id", "path", "score", "group"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows({**row, "score": ""} for row in rows)
    return file


def split_of(manifest, pairs, **options):
    given = {"data": "manifest", "backbone": BACKBONE, "root": manifest, "pairs": str(pairs), "epochs": 2} | options
    recipe = make_recipe("regression", **given)
    prepared = prepare(recipe, manifest.parent / "cache")
    return prepared, prepared.split(recipe)


def test_no_member_sees_a_pair_of_what_it_holds_out(manifest, tmp_path):
    prepared, split = split_of(manifest, write_pairs(tmp_path / "p.csv", ordered(manifest)))
    assert split.pairs == among(prepared.dataset.pairs, split.train)
    assert not {p.better for p in split.pairs} & set(split.test)
    for part in split.parts:
        own = split.without(part)
        assert own.pairs == tuple(p for p in split.pairs if not {p.better, p.worse} & set(part))
        assert not split.rated


def test_scores_from_pairs_alone_are_of_the_pairs_a_member_sees(manifest, tmp_path):
    file = without_scores(manifest)
    pairs = ordered(manifest)[::3]  # not all of them
    prepared, split = split_of(file, write_pairs(tmp_path / "p.csv", pairs))
    assert split.rated
    reference = {s.id: s.score for s in prepared.rated(split).source.samples}
    assert all(reference[i] is None for i in split.test)
    for part in split.parts:
        own = split.without(part)
        train = prepared.rated(split).training_set(own)
        expected = comparisons.ratings(own.pairs)
        assert {s.id: s.score for s in train.samples if s.score is not None} == expected
        assert {i: expected[i] for i in own.labelled} != {i: reference[i] for i in own.labelled}
        batch = train.batch(torch.arange(len(train)))
        known = [expected.get(s.id, math.nan) for s in train.samples]
        assert batch.score.tolist() == pytest.approx(known, nan_ok=True)


def test_a_run_on_pairs_alone_orders_new_recordings(manifest, tmp_path):
    pairs = write_pairs(tmp_path / "p.csv", ordered(manifest))
    run = aqakit.train(
        "dae", data="manifest", root=without_scores(manifest), backbone=BACKBONE, pairs=str(pairs), epochs=30,
        out=tmp_path / "run", cache=tmp_path / "cache", batch_size=8,
    )  # fmt: skip
    assert (run.labels.scale.low, run.labels.scale.high) == (0, 100)
    assert run.rated
    assert np.isnan(run.truth("test")).all()
    assert not np.isnan(run.truth("held-out")).any()
    true = {row["id"]: float(row["score"]) for row in csv.DictReader(manifest.open())}
    answer = run.prediction("held-out").mean.numpy()
    assert stats.spearmanr([true[i] for i in run.ids("held-out")], answer).statistic > 0.5
    assert any("no training sample has a score" in note for note in run.description["notes"])
    assert aqakit.load(run.folder).pairs == run.pairs
    judged = set(run.ids("test")) | set(run.ids("held-out"))
    assert all({p.better, p.worse} <= judged for p in run.pairs)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"target": "total"}, "pairs say which score is higher"),
        ({"labels": "50%"}, "there are only pairs; leave out labels="),
    ],
)
def test_options_that_do_not_go_with_pairs_are_refused(manifest, tmp_path, options, said):
    file = manifest if "target" in options else without_scores(manifest)
    with pytest.raises(OptionError, match=said):
        split_of(file, write_pairs(tmp_path / "p.csv", ordered(manifest)), **options)


def test_pairs_that_cannot_be_used_are_sentences(manifest, tmp_path):
    with pytest.raises(DataError, match="line 3: 'nobody' is not the id of a sample"):
        split_of(manifest, write_pairs(tmp_path / "p.csv", [("r01", "r02"), ("r01", "nobody")]))
    given = {"data": "manifest", "root": manifest, "backbone": BACKBONE, "cache": tmp_path / "cache", "epochs": 1}
    one = write_pairs(tmp_path / "one.csv", [("r01", "r02")])
    with pytest.raises(OptionError, match="1 pairs are too few for these members"):
        aqakit.train("regression", **given, pairs=str(one), out=tmp_path / "a")
    fold = next(f for f in datasets.load("manifest", manifest).folds() if {"r01", "r02"} & set(f.test))
    with pytest.raises(OptionError, match="has no pair of two samples of the training set"):
        aqakit.train("regression", **given, pairs=str(one), fold=fold.name, out=tmp_path / "a")
    many = write_pairs(tmp_path / "p.csv", ordered(manifest))
    with pytest.raises(OptionError, match="method svr is fitted to scores at once"):
        aqakit.train("svr", **given, pairs=str(many), out=tmp_path / "b")
    with pytest.raises(OptionError, match="pairs_weight is for pairs"):
        aqakit.train("regression", **given, pairs_weight=2.0, out=tmp_path / "c")


def test_a_data_set_of_pairs_is_learnt_as_it_is_laid_out(tmp_path):
    root = write_skill_pairs(tmp_path / "skill")
    with pytest.raises(OptionError, match="has pairs of its own"):
        prepare(make_recipe("svr", data="skill_pairs", root=root, backbone="precomputed:width=8", pairs="p.csv"))
    run = aqakit.train(
        "svr", kernel="linear", cost=1.0, epsilon=0.1, data="skill_pairs", root=root, backbone="precomputed:width=8",
        task="tie_tie", out=tmp_path / "run", cache=tmp_path / "cache",
    )  # fmt: skip
    assert set(run.ids("test")) == {"tie_tie/v1", "tie_tie/v5", "tie_tie/v9"}
    assert len(run.pairs) == 36 + 3
    assert math.isfinite(run.trust.mae)


def test_ratings_follow_the_order_and_weights():
    pairs = [Pair("a", "b"), Pair("b", "c"), Pair("a", "c", 3.0)]
    found = comparisons.ratings(pairs)
    assert found["a"] > found["b"] > found["c"]
    assert sum(found.values()) == pytest.approx(150)
    assert comparisons.components([*pairs, Pair("x", "y")]) == 2
    scored = [Sample(name, {}, score=1.0) for name in "ab"]
    assert comparisons.scores_of(scored, pairs) == {}
    assert set(comparisons.scores_of([Sample(name, {}) for name in "ab"], pairs)) == {"a", "b"}
