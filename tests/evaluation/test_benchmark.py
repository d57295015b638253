"""Selection rules on curves worked by hand, and a benchmark whose numbers scipy agrees with."""

import csv
import json

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics

import aqakit
from aqakit.errors import OptionError
from aqakit.evaluation import floors
from aqakit.evaluation.benchmark import benchmark
from aqakit.evaluation.finished_run import evaluate_run
from aqakit.evaluation.selection import PUBLISHED, RULES
from aqakit.metrics import comparison
from aqakit.metrics.accuracy import spearman
from aqakit.report.tables import as_json
from aqakit.training import trust
from aqakit.types import Sample, Stream
from tests.synthetic import batch
from tests.training.test_run import BACKBONE, make_manifest

CURVES = np.array([[0.1, 0.9, 0.3, 0.5], [0.3, 0.5, 0.5, 0.1]])  # (folds, epochs)


def reported(rule: str, curves: np.ndarray, epochs: np.ndarray | None = None) -> float:
    epochs = np.arange(curves.shape[1]) if epochs is None else epochs
    return float(curves[:, RULES[rule].choose(curves, epochs)].mean())


def test_rules_by_hand():
    assert reported("last", CURVES) == pytest.approx(0.3)
    assert reported("best-test", CURVES) == pytest.approx(0.7)
    assert reported("last-ten", CURVES) == pytest.approx(CURVES.mean())  # there are fewer than ten


def test_windows_of_ten_by_hand():
    curves = np.array([[0.0] * 5 + [0.5] * 10 + [0.1] * 5])
    assert reported("best-ten-consecutive", curves) == pytest.approx(0.5)
    assert reported("last-ten", curves) == pytest.approx(0.3)


@pytest.mark.parametrize("every", [2, 3, 7, 10, 40])
def test_windows_are_of_epochs_also_if_only_some_were_evaluated(every):
    """Every window of ten epochs in a row, tried one by one."""
    epochs = np.array([epoch for epoch in range(50) if (epoch + 1) % every == 0 or epoch == 49])
    curves = np.random.default_rng(every).uniform(-1, 1, (3, len(epochs)))
    means = dict(zip(epochs.tolist(), curves.mean(0).tolist()))
    whole = [range(first, first + 10) for first in means if first + 9 <= 49] or [range(50)]
    windows = [np.mean([means[epoch] for epoch in window if epoch in means]) for window in whole]
    assert reported("best-ten-consecutive", curves, epochs) == pytest.approx(max(windows))
    last = np.mean([mean for epoch, mean in means.items() if epoch >= 40])
    assert reported("last-ten", curves, epochs) == pytest.approx(last)
    assert reported("best-test", curves, epochs) == pytest.approx(max(means.values()))
    assert reported("last", curves, epochs) == means[49]


def test_optimistic_rules_say_so_and_are_never_below_the_honest_one():
    rng = np.random.default_rng(0)
    for _ in range(20):
        curves = rng.uniform(-1, 1, size=(4, 30))
        assert reported("best-test", curves) >= max(reported("last", curves), reported("best-ten-consecutive", curves))
        assert reported("best-ten-consecutive", curves) >= reported("last-ten", curves) - 1e-12
    assert all(rule.honest or "optimistic" in rule.meaning for rule in RULES.values())
    assert all(published.rule in RULES for published in PUBLISHED.values())


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    manifest = make_manifest(folder)
    options = {"root": manifest, "backbones": [BACKBONE], "cache": folder / "cache", "out": folder / "out", "epochs": 3}
    table = benchmark(
        "manifest", methods=["regression", "dae:alpha=0.5"], rules=["last", "best-test"], seeds=2, **options
    )
    return folder, table, options


def test_the_table_has_every_method_rule_and_floor(bench):
    _, table, _ = bench
    assert [(r["method"], r["rule"]) for r in table.rows] == [
        ("regression", "last"),
        ("regression", "best-test (optimistic)"),
        ("dae:alpha=0.5", "last"),
        ("dae:alpha=0.5", "best-test (optimistic)"),
        ("floor: constant", "–"),
        ("floor: length only", "–"),
        ("floor: difficulty only", "–"),
        ("floor: SVR on mean features", "–"),
    ]
    assert len({tuple(row) for row in table.rows}) == 1  # the same columns, in the same order
    json.dumps(table.rows)


def test_its_spearman_is_scipys_on_the_predictions_it_wrote(bench):
    folder, table, _ = bench
    found = []
    for seed in range(2):
        for run in sorted((folder / "out" / "manifest" / "regression").glob(f"*seed{seed}")):
            loaded = aqakit.load(run)
            answer = loaded.prediction("test").mean.numpy()
            found.append(stats.spearmanr(loaded.truth("test"), answer).statistic)
    row = table.rows[0]
    assert row["spearman"] == pytest.approx(np.mean(found))
    assert row["low"] <= row["spearman"] <= row["high"]
    assert table.rows[1]["spearman"] >= row["spearman"]


def test_groups_are_those_of_the_paired_bootstrap_and_noise_is_said_to_be_noise(bench):
    folder, table, _ = bench
    assert all((row["group"] is None) == row["optimistic"] for row in table.rows)
    groups = {row["method"]: set(row["group"]) for row in table.rows if row["group"]}
    assert len(groups) == 6
    best = max((row for row in table.rows if row["group"]), key=lambda row: row["spearman"])
    assert "a" in best["group"]
    truths, means = [], {name: [] for name in ("regression", "dae,alpha=0.5")}
    folds = sorted((folder / "out" / "manifest" / "regression").glob("*seed0"))
    for name, found in means.items():
        runs = [[aqakit.load(folder / "out" / "manifest" / name / f"{f.name[:-1]}{s}") for f in folds] for s in (0, 1)]
        found += [np.concatenate([run.prediction("test").mean.numpy() for run in by_fold]) for by_fold in runs]
        truths = [run.truth("test") for run in runs[0]]
        shared = [group for run in runs[0] for group in run.groups("test")]
    fold = np.repeat(np.arange(len(folds)), [len(t) for t in truths])
    pair = comparison.over_samples(spearman, np.concatenate(truths), *means.values(), fold, shared)
    if pair.within_noise:  # Holm can only make a pair less different
        assert groups["regression"] & groups["dae:alpha=0.5"]
    assert any("do not differ beyond noise." in note for note in table.notes) == (
        sum("a" in g for g in groups.values()) > 1
    )


def test_a_second_benchmark_trains_nothing_and_says_the_same(bench):
    folder, table, options = bench
    written = {p: p.stat().st_mtime_ns for p in (folder / "out").rglob("*") if p.is_file()}
    again = benchmark(
        "manifest", methods=["regression", "dae:alpha=0.5"], rules=["last", "best-test"], seeds=2, **options
    )
    assert as_json(again.rows) == as_json(table.rows)  # a NaN is not equal to itself
    assert {p: p.stat().st_mtime_ns for p in (folder / "out").rglob("*") if p.is_file()} == written


def test_notes_say_what_intervals_resample(bench):
    _, table, options = bench
    assert any("groups of test samples" in note and "over seeds" in note for note in table.notes)
    assert not any("one seed" in note for note in table.notes)
    single = benchmark("manifest", methods=["regression"], **{**options, "out": None, "epochs": 1})
    assert "one seed: differences between seeds are not in the intervals." in single.notes
    assert not any("over seeds" in note for note in single.notes if note.startswith("low, high"))


def test_notes_count_the_members_whose_training_failed(bench, monkeypatch):
    monkeypatch.setattr(trust, "failed", lambda *args: [1])
    options = {**bench[2], "out": None, "epochs": 1, "members": 2}
    table = benchmark("manifest", methods=["regression"], seeds=2, **options)
    runs, task = len(table.runs[next(iter(table.runs))]), table.rows[0]["task"]
    said = f"{task}: regression: {runs} of {2 * runs} members rank new samples far worse than the best one"
    assert any(note.startswith(said) for note in table.notes), table.notes


def test_floors_learn_from_what_the_methods_are_trained_on(bench, tmp_path):
    more = {**bench[2], "out": tmp_path, "epochs": 1, "validation": 0.3, "members": 1, "protocol": "five-fold"}
    table = benchmark("manifest", methods=["regression"], seeds=2, **more)
    scores = {row["id"]: float(row["score"]) for row in csv.DictReader((bench[0] / "my.csv").open())}
    found = []
    for file in (tmp_path / "manifest" / "regression").glob("*/run.json"):
        run = aqakit.load(file.parent)
        held = {*run.ids("validation"), *run.ids("test")}
        assert run.ids("validation")
        mean = np.mean([score for name, score in scores.items() if name not in held])
        found.append(np.abs(run.truth("test") - mean).mean())
    row = next(row for row in table.rows if row["method"] == "floor: constant")
    assert len(found) == 10
    assert row["mae"] == pytest.approx(np.mean(found))


def test_labels_of_two_values_get_accuracy_and_auc(bench, tmp_path):
    rows = list(csv.DictReader((bench[0] / "my.csv").open()))
    manifest = bench[0] / "skill.csv"
    with manifest.open("w", newline="") as out:
        writer = csv.DictWriter(out, ["id", "path", "score"])
        writer.writeheader()
        writer.writerows({"id": r["id"], "path": r["path"], "score": int(float(r["score"]) > 10)} for r in rows)
    table = benchmark("manifest", methods=["regression"], **{**bench[2], "root": manifest, "out": tmp_path})
    row, found = table.rows[0], []
    for file in (tmp_path / "manifest" / "regression").glob("*/run.json"):
        run = aqakit.load(file.parent)
        mean = run.prediction("test", recalibrated=True).mean.numpy()
        true = run.truth("test")
        ranked = metrics.roc_auc_score(true, mean) if np.ptp(true) else np.nan
        found.append((ranked, metrics.accuracy_score(true, mean >= 0.5)))
        assert evaluate_run(run)[0][-1]["auc"] == pytest.approx(ranked, nan_ok=True)
    auc, accuracy = np.array(found).T
    assert (row["auc"], row["accuracy"]) == pytest.approx((np.nanmean(auc), accuracy.mean()))
    assert all(0 <= floor["accuracy"] <= 1 for floor in table.rows[1:])
    assert any("two values, 0 and 1: Spearman cannot reach 1" in note for note in table.notes)
    assert "auc" not in bench[1].rows[0]
    assert "relative_l2_papers" in row
    assert "relative_l2_papers" in table.details


def test_best_validation_needs_validation_samples(bench):
    _, _, options = bench
    with pytest.raises(OptionError, match=r"give validation=0\.2"):
        benchmark("manifest", methods=["regression"], rules=["best-validation"], **options)
    more = {**options, "out": None, "validation": 0.2}
    row = benchmark("manifest", methods=["regression"], rules=["best-validation"], **more).rows[0]
    assert row["rule"] == "best-validation"
    assert np.isfinite(row["spearman"])


def test_a_method_that_does_not_fit_is_refused_before_anything_is_read_or_trained(bench, tmp_path):
    options = {**bench[2], "out": tmp_path / "out", "cache": tmp_path / "cache"}
    with pytest.raises(OptionError, match="method s4l with these options needs pixels: give finetune=True"):
        benchmark("manifest", methods=["regression", "s4l:question=rotation"], **options)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_the_runs_of_a_base_with_options_lie_in_one_folder(bench, tmp_path):
    method = "pseudo_label:base=usdl/bins=11/hidden=8"
    benchmark("manifest", methods=[method], floors=False, **{**bench[2], "out": tmp_path, "epochs": 1})
    [folder] = (tmp_path / "manifest").iterdir()
    assert folder.name == "pseudo_label,base=usdl+bins=11+hidden=8"
    assert all((run / "run.json").is_file() for run in folder.iterdir())


def test_an_unknown_rule_is_a_sentence(bench):
    _, _, options = bench
    with pytest.raises(OptionError, match="did you mean 'last-ten'"):
        benchmark("manifest", methods=["regression"], rules=["last-tan"], **options)


def test_the_svr_floor_reads_vectors_joints_and_maps():
    shapes = {"vectors": (3,), "joints": (4, 3), "maps": (5, 2, 3, 3)}
    random = torch.Generator().manual_seed(0)
    clips = torch.tensor([[True, True, True], [True, False, False], [True, True, False], [True, True, True]])
    streams = {}
    for name, shape in shapes.items():
        features = torch.randn(4, 3, *shape, generator=random)
        features[~clips] = torch.nan  # padding must not count
        streams[name] = Stream(features, clips)
    videos = batch(videos=4).replace(streams=streams)
    samples = [Sample(id=str(i), sources={}, score=float(i)) for i in range(4)]
    inputs = floors.Inputs.of(videos, samples, np.full(4, np.nan))
    for row in range(4):
        own = {name: stream.features[row][clips[row]].numpy() for name, stream in streams.items()}
        expected = [own["vectors"].mean(0), own["joints"].mean(0).reshape(-1), own["maps"].mean((0, 2, 3, 4))]
        np.testing.assert_allclose(inputs.features[row], np.concatenate(expected), rtol=1e-4, atol=1e-6)
    assert "floor: SVR on mean features" in floors.applicable(inputs)


def test_floors_by_hand():
    train = floors.Inputs(np.array([1.0, 2, 3]), np.array([1.0, 1, 2]), np.empty((3, 0)))
    test = floors.Inputs(np.array([4.0]), np.array([3.0]), np.empty((1, 0)))
    score = np.array([10.0, 20, 30])
    assert floors.constant(train, score, test).tolist() == [20]
    assert floors.length_only(train, score, test) == pytest.approx([40])
    assert floors.difficulty_only(train, score, test) == pytest.approx([45])  # 15 at 1, 30 at 2
    assert "floor: SVR on mean features" not in floors.applicable(train)
