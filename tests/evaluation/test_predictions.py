"""Anybody's predictions: the same table as a run's, and every fault with its line."""

import json

import numpy as np
import pytest
import scipy.stats
from typer.testing import CliRunner

from aqakit.cli.app import app
from aqakit.errors import DataError, OptionError
from aqakit.evaluation import predictions
from aqakit.evaluation.finished_run import evaluate_file, evaluate_run
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
