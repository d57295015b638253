"""What is said of how far scores can be trusted, by hand calculations and through whole runs."""

import csv
import json
import runpy
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau
from sklearn.linear_model import LinearRegression
from typer.testing import CliRunner

import aqakit
from aqakit.cli.app import app
from aqakit.datasets.parts.loading import load as load_dataset
from aqakit.errors import DataError
from aqakit.metrics.accuracy import kendall
from aqakit.report.study import build_study
from aqakit.scores.cross_conformal import CrossConformal
from aqakit.scores.distributions import Normal, Point
from aqakit.scores.recalibration import Absolute
from aqakit.training import run_json, trust
from aqakit.training import train as training
from aqakit.training.batches import CachedFeatures
from aqakit.training.scoring import doubts, score_recordings
from aqakit.training.trust import SEEN, UNLIKE, WORTHLESS, Floors, check_range, failed, held_by, is_smaller, measure
from tests.training.test_run import write_rows

BACKBONE = "kinematics:channels=4:features=statistics:windows=3"


def recordings(folder, learnable=True, count=40):
    """Signals whose step is the score, or has nothing to do with it."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(count):
        quality = rng.uniform(1, 9)
        np.save(folder / f"{i}.npy", np.cumsum(rng.normal(size=(120, 4)) * quality, 0).astype("float32"))
        score = quality if learnable else rng.uniform(1, 9)
        degree = round(2 + 1.8 * i / (count - 1), 2)
        rows.append({"id": f"r{i}", "path": f"{i}.npy", "score": score, "group": f"g{i % 10}", "difficulty": degree})
    return write_rows(folder / "my.csv", rows)


def train(folder, learnable=True, **options):
    file = recordings(folder, learnable)
    return aqakit.train("dae", data="manifest", root=file, backbone=BACKBONE, cache=folder / "cache",
                        **{"out": folder / "run", **options})  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(tmp_path_factory.mktemp("good"), epochs=60)


def test_floors_are_fitted_on_what_each_member_was_trained_on():
    score, length = {"a": 1.0, "b": 2.0, "c": 4.0, "d": 9.0}, {"a": 10.0, "b": 20.0, "c": 30.0, "d": 50.0}
    floors = Floors.of([(["a", "b", "c"], ["d"]), (["b", "c", "d"], ["a"])], score, length)
    assert floors.constant.tolist() == pytest.approx([7 / 3, 5.0])
    x, y = np.array([[10.0], [20.0], [30.0]]), np.array([1.0, 2.0, 4.0])
    assert floors.length[0] == pytest.approx(LinearRegression().fit(x, y).predict([[50.0]])[0])
    assert Floors.of([(["a", "b"], ["c"])], score, {"a": float("nan")}).length is None
    assert Floors.of([(["a", "b"], ["c"])], score, dict.fromkeys("abc", 7.0)).length.tolist() == [1.5]


def test_errors_are_smaller_only_beyond_noise_and_groups_count_as_one():
    rng = np.random.default_rng(0)
    error = np.abs(rng.normal(size=60))
    assert is_smaller(error, error + 0.2 + 0.1 * rng.normal(size=60))
    assert not is_smaller(error, np.abs(rng.normal(size=60)))
    gained = np.array([1.0] * 36 + [-1.0] * 24)  # significant over 60 samples, but not over 5 groups
    assert is_smaller(np.zeros(60), gained + 0.2)
    assert not is_smaller(np.zeros(60), gained + 0.2, [str(k // 12) for k in range(60)])


def test_a_constant_answer_is_worth_nothing():
    score = np.arange(10.0)
    floors = Floors(np.full(10, 4.5), None)
    found = measure("test", Point(torch.full((10,), 4.5)), score, np.ones(10), floors)
    assert (found.mae, found.mae_constant, found.spearman, found.worth) == (2.5, 2.5, None, False)
    assert found.sentences()[0] == WORTHLESS
    assert measure("test", Point(torch.arange(10.0)), score, np.ones(10), floors).worth


def simulated(seed, blind=(), count=120, members=5, noise=0.45):
    """Scores and answers of members that rank them alike, as a Spearman of .9 by default, but for blind ones."""
    rng = np.random.default_rng(seed)
    member, score = np.arange(members * count) % members, rng.normal(size=members * count)
    error = rng.normal(size=len(score))
    return score, np.where(np.isin(member, blind), error, score + noise * error), member.tolist()


def test_members_that_rank_far_worse_than_the_best_have_failed():
    assert not any(failed(*simulated(seed)) for seed in range(100))
    assert not any(failed(*simulated(seed, count=20, noise=0.05)) for seed in range(100))
    assert all(failed(*simulated(seed, blind=(1, 4))) == [1, 4] for seed in range(20))
    assert all(failed(*simulated(seed, blind=(0, 1, 2, 4))) == [0, 1, 2, 4] for seed in range(20))
    score, mean, member = simulated(0)
    mean[np.array(member) == 3] = 7.0
    assert failed(score, mean, member) == [3]


def test_where_too_few_were_ranked_nobody_can_tell():
    assert failed(*simulated(0, blind=(1,), count=19)) is None
    score, mean, member = simulated(0, blind=(1,))
    assert failed(score, mean, member, [f"{k % 5}-{k // 5 % 19}" for k in range(len(score))]) is None
    assert failed(score, mean, [0] * len(score)) is None
    assert failed(np.array([]), np.array([]), []) is None
    score[np.array(member) > 1] = 1.0
    assert failed(score, score, member) == []  # what ranks nothing, because nothing can be ranked, has not failed


@pytest.mark.parametrize("count", [20, 40, 100, 400])
def test_a_wrong_label_or_a_small_sure_difference_is_no_failure(count):
    for seed in range(20):
        score, mean, member = simulated(seed, count=count, noise=0.05)
        own = np.flatnonzero(np.array(member) == 2)
        mean[own[score[own].argmin()]] = 9.0  # the lowest score is taken for the highest
        assert failed(score, mean, member) == []
    score, mean, member = simulated(0, count=5000, noise=0.3)
    worse = np.where(np.array(member) == 0, score + 0.5 * (mean - score) / 0.3, mean)
    assert failed(score, worse, member) == []


def test_far_is_five_standard_errors_of_fishers_transformation_and_a_seventh_of_the_scale():
    ranks, seen = np.arange(83.0), set()
    best = (ranks + 3 * np.random.default_rng(2).normal(size=83)).argsort().argsort()
    for noise in np.linspace(4, 70, 40):
        worse = (ranks + noise * np.random.default_rng(1).normal(size=83)).argsort().argsort()
        tau = np.array([kendalltau(ranks, one).statistic for one in (best, worse)])
        apart = -np.diff(np.arctanh(tau)) / np.sqrt(2 * 0.437 / 79)
        found = failed(np.tile(ranks, 2), np.concatenate([best, worse]), [0] * 83 + [1] * 83)
        assert found == [1] * bool(apart > 5 and tau[0] - tau[1] > 0.15)
        seen.add(len(found))
    assert seen == {0, 1}


def test_its_variance_is_that_of_normal_samples():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 30))
    places = np.arctanh(kendall(x, 0.8 * x + 0.6 * rng.normal(size=x.shape)))
    assert places.var() == pytest.approx(0.437 / 26, rel=0.1)


def test_whole_groups_are_counted_where_they_were_held_out(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(trust, "failed", lambda *args: asked.append(args))
    for parts in ("group", "sample"):
        run = train(tmp_path, epochs=1, parts=parts, out=tmp_path / parts)
        assert (run.trust.members, run.trust.failed) == (run.recipe.members, None)
        rows, _ = score_recordings(run, [tmp_path / "0.npy"], 3.0)
        assert "failed_members" not in rows[0]
    (score, mean, member, group), single = asked
    assert len(score) == len(mean) == len(member) == len(group)
    assert len(set(zip(member, group, strict=True))) == len(set(group)) > 1
    assert single[3] is None


def test_a_run_with_a_member_that_did_not_learn_says_so(tmp_path, monkeypatch):
    def spoilt(*args):
        members = real(*args)
        own = members[1].train
        order = torch.randperm(len(own.pool), generator=torch.Generator().manual_seed(0))
        wrong = CachedFeatures(own.samples, own.pool.replace(score=own.pool.score[order]), own.rows)
        return [replace(one, train=wrong) if one is members[1] else one for one in members]

    real = training._members
    monkeypatch.setattr(training, "_members", spoilt)
    file = recordings(tmp_path, count=150)
    run = aqakit.train("regression", data="manifest", root=file, backbone=BACKBONE, out=tmp_path / "run",
                       cache=tmp_path / "cache", epochs=60, parts="sample", members=5)  # fmt: skip
    assert (run.trust.members, run.trust.failed) == (5, 1)
    rows, _ = score_recordings(run, [tmp_path / "0.npy"], 3.0)
    assert rows[0]["failed_members"] == 1
    assert any("1 of 5 members rank new samples far worse" in said for said in doubts(run, rows))
    (task,) = build_study([run.folder], data=False).tasks
    assert any(said.startswith("regression: 1 of 5 members rank new samples far worse") for said in task.notes)


def test_the_interval_of_each_sample_is_calibrated_without_it():
    score = torch.tensor([*[0.5] * 19, 100.0])  # the last is an outlier: calibrated with itself, it would be inside
    answer = Normal(torch.zeros(20), torch.ones(20))
    fitted = CrossConformal.fit(answer, score, [k % 2 for k in range(20)])
    assert held_by(fitted, answer, score).tolist() == [True] * 19 + [False]
    single = Absolute.fit(answer, score)
    assert held_by(single, answer, score).tolist() == [True] * 19 + [False]
    assert held_by(None, answer, score).tolist() == [True] * 19 + [False]


def test_of_many_samples_several_are_left_out_at_a_time(monkeypatch):
    monkeypatch.setattr(trust, "_REFITTED", 8)
    rng = torch.Generator().manual_seed(0)
    score, answer = torch.randn(38, generator=rng), Normal(torch.zeros(38), torch.linspace(0.3, 2, 38))
    found = held_by(Absolute.fit(answer, score), answer, score)
    for first in range(0, 38, 5):
        own = torch.arange(first, min(first + 5, 38))
        others = torch.tensor([k for k in range(38) if k not in own.tolist()])
        low, high = Absolute.fit(answer.select(others), score[others]).apply(answer.select(own)).interval(0.9)
        assert found[own].tolist() == ((low <= score[own]) & (score[own] <= high)).tolist()


@pytest.mark.parametrize("base", ["conformal", "absolute", "isotonic"])
@pytest.mark.parametrize("group", [None, [k // 4 for k in range(30)]])
@pytest.mark.parametrize("level", [0.5, 0.9])
def test_leave_one_out_coverage_is_that_of_calibrating_anew(base, group, level):
    generator = torch.Generator().manual_seed(0)
    answer = Normal(torch.randn(30, generator=generator), 0.2 + torch.rand(30, generator=generator))
    score = torch.randn(30, generator=generator)
    groups = None if group is None else len(set(group))
    fitted = CrossConformal.fit(answer, score, [0] * 30, base, groups)
    held = fitted.leave_one_out_coverage(level, group)
    for k in range(30):
        others = [j for j in range(30) if (j != k if group is None else group[j] != group[k])]
        again = replace(fitted, member=(0,) * len(others), distance=tuple(fitted.distance[j] for j in others))
        low, high = again.apply([answer.select(torch.tensor([k]))]).interval(level)
        assert bool(held[k]) == bool((low <= score[k]) & (score[k] <= high))
    assert 0 < int(held.sum()) < 30


def test_leave_one_out_coverage_is_about_the_level():
    shares = []
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        score = torch.randn(60, generator=generator)
        answer = Normal(torch.zeros(60), torch.full((60,), 0.3))
        fitted = CrossConformal.fit(answer, score, [k % 5 for k in range(60)])
        shares.append(float(fitted.leave_one_out_coverage().float().mean()))
    assert 0.87 < np.mean(shares) < 0.94


def test_a_difficulty_in_the_wrong_place_is_refused_by_name():
    with pytest.raises(DataError, match=r"^x: difficulty 35 is outside the range 2\.0 to 3\.8 .*did you mean 3\.5\?$"):
        check_range(35, [2.0, 3.8], "x")
    with pytest.raises(DataError, match=r"0\.5 is outside the range 2\.0 to 3\.8 of the training set$"):
        check_range(0.5, [2.0, 3.8], "x")
    for fine in (None, 1.2, 3.0, 4.6):
        check_range(fine, [2.0, 3.8], "x")
    check_range(35, None, "x")


def test_a_run_says_what_it_measured_and_what_it_has_seen(run):
    folder = run.folder.parent
    trust = run.trust
    assert trust.worth
    assert trust.mae < trust.mae_constant
    held_out = [row for row in csv.DictReader((run.folder / "predictions.csv").open()) if row["split"] == trust.split]
    true, mean = (np.array([float(row[n]) for row in held_out]) for n in ("true", "mean"))
    assert trust.samples == len(held_out)
    assert trust.mae == pytest.approx(np.abs(true - mean).mean(), rel=1e-5)
    name = run.training_summary.ids[0]
    shutil.copy(folder / f"{name[1:]}.npy", folder / "copy.npy")
    np.save(folder / "other.npy", np.full((120, 4), 1e4, "float32") * np.arange(120)[:, None])
    (seen, other), failed = score_recordings(run, [folder / "copy.npy", folder / "other.npy"], 3.0)
    assert not failed
    assert (seen["in_training"], other["in_training"]) == (True, False)
    assert (seen["unfamiliar"], other["unfamiliar"]) == (False, True)
    assert seen["held_90"] == trust.held / trust.samples
    assert (seen["held_out_samples"], seen["worth"]) == (trust.samples, True)
    said = doubts(run, [seen, other])
    assert said[1:] == [f"{folder / 'copy.npy'}: {SEEN}", f"{folder / 'other.npy'}: {UNLIKE}"]


def test_predict_prints_and_writes_what_is_known_of_its_scores(run, tmp_path):
    name = run.training_summary.ids[0]
    known, far = run.folder.parent / f"{name[1:]}.npy", tmp_path / "far.npy"
    np.save(far, np.full((120, 4), 1e4, "float32") * np.arange(120)[:, None])
    given = [
        "predict",
        str(run.folder),
        str(known),
        str(far),
        "--difficulty",
        "3",
        "--json",
        str(tmp_path / "rows.json"),
    ]
    shown = CliRunner().invoke(app, given)
    assert shown.exit_code == 0, shown.output
    printed = "".join(shown.stdout.split())  # the table may break a line anywhere
    for said in (*run.trust.sentences(), f"{known}: {SEEN}", f"{far}: {UNLIKE}"):
        assert "".join(said.split()) in printed
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [(row["in_training"], row["unfamiliar"]) for row in rows] == [(True, False), (False, True)]
    assert all(row["worth"] is True and 0 < row["familiar"] <= 1 for row in rows)


def test_without_limits_intervals_end_at_the_range_of_training_scores(run):
    scores = run.training_summary.score
    assert (run.labels.scale.low, run.labels.scale.high) == pytest.approx((float(scores.min()), float(scores.max())))
    files = [run.folder.parent / f"{n}.npy" for n in range(40)]
    rows, _ = score_recordings(run, files, 3.0)
    ends = [end for row in rows for end in (row["low_90"], row["high_90"])]
    assert run.labels.scale.low <= min(ends) < max(ends) <= run.labels.scale.high
    page = (Path(__file__).parents[2] / "docs" / "manifest.md").read_text()
    assert "Intervals end at these limits" in " ".join(page.split())


def test_a_difficulty_out_of_range_is_no_score(run):
    rows, failed = score_recordings(run, [run.folder.parent / "0.npy"], 35)
    assert not rows
    assert "difficulty 35 is outside the range 2" in failed[0]


def test_a_run_that_learnt_nothing_says_so_beside_every_score(tmp_path):
    run = train(tmp_path, learnable=False, epochs=2)
    assert not run.trust.worth
    rows, _ = score_recordings(run, [tmp_path / "0.npy"], 3.0)
    assert rows[0]["worth"] is False
    assert doubts(run, rows)[0] == WORTHLESS
    assert run.labels.scale.low <= rows[0]["low_90"] <= rows[0]["high_90"] <= run.labels.scale.high


def test_an_older_run_says_nothing(run, tmp_path):
    old = shutil.copytree(run.folder, tmp_path / "old")
    for name in ("training.json", "exemplars.safetensors"):
        (old / name).unlink()
    later = ("trust", "difficulty", "files", "format", "digest")
    description = {name: value for name, value in run_json.read(old).items() if name not in later}
    (old / "run.json").write_text(json.dumps(description))
    loaded = aqakit.load(old)
    rows, _ = score_recordings(loaded, [run.folder.parent / "0.npy"], 35)
    assert set(rows[0]) == {"recording", "score", "std", "low_90", "high_90", "difficulty", "run", "date"}
    assert doubts(loaded, rows) == []


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A run that trained its backbone on 40 rendered dives of twenty events."""
    folder = tmp_path_factory.mktemp("live")
    return aqakit.train("dae", data="synthetic_dives:count=40:size=64", root=folder, finetune=True, validation=0.25,
                        backbone="c3d_small:size=32:frames=8:width=2", epochs=1, out=folder / "run",
                        cache=folder / "cache")  # fmt: skip


def test_a_trained_backbone_is_no_judge_of_what_it_has_seen(live):
    summary = live.training_summary
    validation = live.ids("validation")
    assert not set(validation) & set(summary.ids)
    assert [len(vectors) for vectors in summary.held.values()] == [len(validation)]
    assert set(summary.familiarity) == {"c3d_small", "pixels/c3d_small"}
    assert len(summary.familiarity["c3d_small"].own) == len(validation)
    assert len(summary.familiarity["pixels/c3d_small"].compared) == len(set(summary.scenes))  # whole events left out


def test_the_pixels_of_a_recording_are_judged_as_those_of_training_were(live):
    (number, name) = next(enumerate(live.training_summary.ids))
    (folder,) = live.folder.parent.glob("v*-seed0-*")
    sample = live.sample(next(folder.rglob(f"{name}.mp4")), 3.0)
    found = live._appearance(sample)["c3d_small"]
    torch.testing.assert_close(found[0], live.training_summary.pixels["c3d_small"][number], atol=1e-4, rtol=1e-4)


def test_without_validation_only_pixels_judge(live, tmp_path):
    run = aqakit.train("regression", data="synthetic_dives:count=40:size=64", root=live.folder.parent, finetune=True,
                       backbone="c3d_small:size=16:frames=4:width=2", epochs=1, out=tmp_path / "run",
                       cache=tmp_path / "cache")  # fmt: skip
    assert set(run.training_summary.familiarity) == {"pixels/c3d_small"}


@pytest.mark.slow
def test_the_benchmark_flags_noise_and_not_dives(live, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("AQAKIT_CACHE", str(tmp_path / "cache"))
    words = ["--run", live.folder, "--noise", 8, "--dives", 8, "--seeds", 5, "--json", tmp_path / "rows.json"]
    monkeypatch.setattr(sys, "argv", ["familiarity.py", *map(str, words)])
    runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "familiarity.py"), run_name="__main__")
    *noise, dives = json.loads((tmp_path / "rows.json").read_text())
    assert [row["samples"] for row in noise] == [1] * 8
    assert sum(row["flagged"] for row in noise) >= 7
    assert dives["recordings"] == "8 dives of seed 5"
    assert dives["share"] <= 0.25
    assert "noise: white" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("task", [("Suturing", "Knot_Tying")])
def test_another_task_of_jigsaws_is_unlike(shared_data, tmp_path, task):
    root = shared_data / "jigsaws"
    run = aqakit.train("dae", data="jigsaws", root=root, task=task[0], backbone="kinematics", out=tmp_path / "run",
                       cache=tmp_path / "cache", epochs=2)  # fmt: skip
    found = {}
    for name in task:
        samples = load_dataset("jigsaws", root).task(name).samples
        new = [s for s in samples if "signal" in s.sources and s.id not in set(run.training_summary.ids)]
        found[name] = np.mean([run.provenance(s, run.embed([s])).unfamiliar for s in new])
    assert found["Knot_Tying"] >= 0.9
    assert found["Suturing"] <= 0.25  # of nine
