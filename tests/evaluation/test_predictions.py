"""Anybody's predictions: the same table as a run's, and every fault with its line."""

import json

import numpy as np
import pytest
import scipy.stats
from typer.testing import CliRunner

from aqakit import datasets
from aqakit.cli.app import app
from aqakit.errors import DataError, OptionError
from aqakit.evaluation import predictions
from aqakit.evaluation.finished_run import evaluate_file, evaluate_run, evaluate_test
from aqakit.scores.distributions import Normal, Point, Quantiles
from tests.training.test_run import make_manifest, train

PLAIN = "id,true,mean\na,1,2\nb,2,2.5\nc,4,3\n"


def _file(folder, text):
    path = folder / "theirs.csv"
    path.write_text(text)
    return path


def test_columns_decide_the_distribution(tmp_path):
    (point,) = predictions.read(_file(tmp_path, PLAIN))
    assert isinstance(point.distribution, Point)
    assert (point.ids, point.true.tolist(), point.distribution.mean.tolist()) == (
        ["a", "b", "c"],
        [1, 2, 4],
        [2, 2.5, 3],
    )
    (normal,) = predictions.read(_file(tmp_path, "ID,True,mean,std,remark\na,1,2,0.5,good\nb,2,2.5,1,\n"))
    assert isinstance(normal.distribution, Normal)
    assert normal.distribution.std.tolist() == [0.5, 1]
    (known,) = predictions.read(
        _file(tmp_path, "id,true,mean,q95,q05,q0.5,std\na,1,2,4,1,2.5,9\n,,,,,,\nb,2,3,6,1,3,9\n")
    )
    assert isinstance(known.distribution, Quantiles)
    assert known.distribution.mean.tolist() == [2, 3]
    assert [end.tolist() for end in known.distribution.interval(0.9)] == [[1, 1], [pytest.approx(4), pytest.approx(6)]]
    assert known.distribution.median.tolist() == pytest.approx([2.5, 3])


def test_splits_are_judged_apart_and_rows_without_truth_left_out(tmp_path):
    text = "split,id,true,mean\ntest,a,1,2\nvalidation,a,2,3\ntest,b,2,3\ntest,c,,3\nvalidation,b,1,4\n"
    test, validation = predictions.read(_file(tmp_path, text))
    assert (test.part, test.ids, validation.part, validation.true.tolist()) == (
        "test",
        ["a", "b"],
        "validation",
        [2, 1],
    )


def test_every_fault_is_named_with_its_line(tmp_path):
    text = "id,true,mean,std\na,1,x,0.5\na,2,2,-1\nb,3,,1\n"
    with pytest.raises(DataError) as caught:
        predictions.read(_file(tmp_path, text))
    message = str(caught.value)
    for part in ("theirs.csv", "line 2: mean 'x' is not a number", "line 3: std -1 is negative",
                 "line 3: id 'a' is already on line 2", "line 4: mean is empty"):  # fmt: skip
        assert part in message


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("id,score,mean\na,1,2\n", "there is no column 'true'"),
        ("id,true,mean\n", "no rows follow"),
        ("id,true,mean\na,,1\n", "nothing to evaluate"),
        ("id,true,mean,q50\na,1,2,3\n", "one quantile column"),
        ("id,true,mean,q5,q95\na,1,2,3,4\n", "write q05 or q50"),
        ("id,true,mean,q05,q0.05\na,1,2,3,4\n", "distinct levels above 0"),
        ("id,true,mean,q05,q95\na,1,2,3,1\n", "line 2: a quantile is below"),
        ("id;true;mean\na;1;7_4\n", "line 2: mean '7_4' is not a number"),
    ],
)
def test_a_file_of_another_kind_is_a_sentence(tmp_path, text, fault):
    with pytest.raises(DataError, match=fault):
        predictions.read(_file(tmp_path, text))


def test_the_table_is_scipys_and_numpys(tmp_path):
    random = np.random.default_rng(0)
    true, error = random.normal(60, 10, 50), random.normal(0, 3, 50)
    lines = [f"v{i},{t},{t + e},3" for i, (t, e) in enumerate(zip(true, error))]
    file = _file(tmp_path, "\n".join(["id,true,mean,std", *lines]))
    (row,), notes = evaluate_file(file, span=100)
    assert row["spearman"] == pytest.approx(scipy.stats.spearmanr(true, true + error).statistic)
    assert row["coverage_90"] == pytest.approx(np.mean(np.abs(error) <= 3 * scipy.stats.norm.ppf(0.95)))
    assert row["relative_l2"] == pytest.approx(100 * np.mean((error / 100) ** 2))
    assert "span 100" in notes[0]
    (own,), _ = evaluate_file(file)
    for wrong in (0.0, -3.0):
        with pytest.raises(OptionError, match="must be above 0"):
            evaluate_file(file, span=wrong)
    assert own["relative_l2"] == pytest.approx(row["relative_l2"] * (100 / np.ptp(true)) ** 2)
    with pytest.raises(DataError, match="nothing can be ranked"):
        evaluate_file(_file(tmp_path, "id,true,mean\na,1,2\n"))


def test_a_runs_own_predictions_get_the_row_of_the_run(tmp_path):
    run = train(make_manifest(tmp_path), tmp_path / "run", validation=0.0, members=1)
    file = run.folder / "predictions.csv"
    result = CliRunner().invoke(app, ["evaluate", str(file), "--span", str(run.labels.scale.span), "--json", "-"])
    assert result.exit_code == 0, result.output
    theirs = json.loads(result.stdout[result.stdout.index("[\n") :])[-1]
    ours = next(row for row in evaluate_run(run)[0] if (row["split"], row["intervals"]) == ("test", "as predicted"))
    for name in ("samples", "spearman", "low", "high", "mae", "relative_l2", "crps", "nll", "coverage_80", "risk_area"):
        assert theirs[name] == pytest.approx(ours[name], rel=1e-4), name


def dives(tmp_path):
    """A data set of 12 dives, the last 6 of which are test samples; one of these has no score."""
    score = {k: "" if k == 8 else 50 + 3 * k for k in range(12)}
    rows = [f"d{k},d{k}.mp4,{score[k]},event-{k % 3},{'test' if k > 5 else 'train'}" for k in score]
    for k in score:
        (tmp_path / f"d{k}.mp4").touch()
    (tmp_path / "dives.csv").write_text("\n".join(["id,path,score,group,split", *rows]) + "\n")
    return datasets.load("manifest", tmp_path / "dives.csv")


GUESSES = [70.0, 69, 78, 84, 80]  # of d6, d7, d9, d10 and d11


def outsiders(tmp_path, name):
    ids = ["d6", "d7", "d9", "d10", "d11"]
    if name == "a.npy":
        np.save(tmp_path / name, GUESSES)
    elif name == "a.txt":
        (tmp_path / name).write_text("\n".join(map(str, GUESSES)) + "\n\n")
    elif name == "shuffled.csv":
        pairs = sorted(zip(ids, GUESSES), reverse=True)
        (tmp_path / name).write_text("\n".join(["id,mean", *(f"{i},{g}" for i, g in pairs)]))
    else:
        (tmp_path / name).write_text("\n".join(["mean,std", *(f"{g},4" for g in GUESSES)]))
    return tmp_path / name


@pytest.mark.parametrize("name", ["a.npy", "a.txt", "shuffled.csv", "ordered.csv"])
def test_an_outsiders_predictions_of_the_test_samples_need_no_true_scores(tmp_path, name):
    (row,), _ = evaluate_test(outsiders(tmp_path, name), dives(tmp_path))
    true = np.array([68.0, 71, 77, 80, 83])
    assert row["spearman"] == pytest.approx(scipy.stats.spearmanr(true, GUESSES).statistic)
    assert row["mae"] == pytest.approx(np.abs(true - GUESSES).mean())
    assert np.isfinite(row["coverage_90"]) == (name == "ordered.csv")


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("a.csv", "mean\n1\n2\n", "has 2 predictions, but the split has 5 test samples with a score"),
        ("a.csv", "id,mean\nd6,1\nd7,2\nd9,3\nd10,4\n", "1 of 5 test samples have no row: d11"),
        ("a.csv", "id,mean\nd6,1\nd7,2\nd9,3\nd10,4\nd11,5\nd0,6\n", "'d0' is not among the 5 test samples"),
        ("a.csv", "id,score\nd6,1\n", "there is no column 'mean'"),
        ("a.txt", "1\n2\nthree\n4\n5\n", r"a\.txt:3: 'three' is not a number"),
        ("a.txt", "1\n2\nnan\n4\n5\n", "prediction 3 is nan, not a finite number|not a number"),
    ],
)
def test_predictions_that_are_not_those_of_the_test_samples_are_refused(tmp_path, name, text, fault):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=fault):
        evaluate_test(tmp_path / name, dives(tmp_path))


def test_an_array_of_another_shape_and_folds_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((5, 2)))
    with pytest.raises(DataError, match=r"one number for each test sample"):
        evaluate_test(tmp_path / "a.npy", dives(tmp_path))
    with pytest.raises(OptionError, match=r"has 3 folds; give one CSV file with the columns id, true, mean and fold"):
        evaluate_test(tmp_path / "a.npy", dives(tmp_path), "leave-one-group-out")
