"""Pairs in order: of all pairs it is Kendall's τ, and data without any score are benchmarked by it alone."""

import json
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import kendalltau
from typer.testing import CliRunner

import aqakit
from aqakit.cli.app import app
from aqakit.datasets.parts.pairs import Pair
from aqakit.errors import OptionError, RunError
from aqakit.evaluation import order
from aqakit.evaluation.benchmark import benchmark
from aqakit.evaluation.finished_run import evaluate_run
from aqakit.report.write import write_report
from tests.releases import write_skill_pairs
from tests.training.test_comparisons import ordered, without_scores, write_pairs
from tests.training.test_run import BACKBONE, make_manifest

SVR = "svr:kernel=linear:cost=1:epsilon=0.1"  # nothing is left to select


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("order")


@pytest.fixture(scope="module")
def manifest(folder):
    return make_manifest(folder)


@pytest.fixture(scope="module")
def run(folder, manifest):
    return aqakit.train(
        "regression",
        data="manifest",
        root=manifest,
        backbone=BACKBONE,
        out=folder / "run",
        cache=folder / "c",
        epochs=3,
    )


def test_a_run_learnt_from_scores_is_judged_by_all_pairs_as_by_kendalls_tau(folder, manifest, run):
    rows, notes = evaluate_run(run, [Pair(*pair) for pair in ordered(manifest)])
    for split in ("held-out", "test"):
        row = next(row for row in rows if row["split"] == split)
        tau = kendalltau(run.truth(split), run.prediction(split).mean.numpy()).statistic
        assert 2 * row["in_order"] - 1 == pytest.approx(tau)
        assert row["in_order_low"] <= row["in_order"] <= row["in_order_high"]
    counts = {row["split"]: row["pairs"] for row in rows if row.get("pairs")}
    n, m = len(run.ids("held-out")), len(run.ids("test"))
    assert counts == {"held-out": n * (n - 1) / 2, "test": m * (m - 1) / 2, order.ACROSS: n * m}
    assert order.ACROSS_NOTE in notes
    with pytest.raises(OptionError, match="none of the 1 pairs"):
        evaluate_run(run, [Pair("nobody", "r01")])


def test_evaluate_takes_pairs(folder, manifest, run):
    pairs = write_pairs(folder / "all.csv", ordered(manifest))
    out = CliRunner().invoke(
        app, ["evaluate", str(run.folder), "--pairs", str(pairs), "--json", str(folder / "r.json")]
    )
    assert out.exit_code == 0, out.output
    rows = json.loads((folder / "r.json").read_text())
    assert {row["split"]: row["pairs"] for row in rows if row.get("pairs")}.keys() == {"held-out", "test", order.ACROSS}
    plain = CliRunner().invoke(app, ["evaluate", str(manifest), "--pairs", str(pairs)])
    assert "--pairs is for the folder of a run" in str(plain.exception or plain.output)


def test_folds_are_judged_by_their_own_pairs():
    folds = [{"a": 1.0, "b": 2.0}, {"a": 2.0, "b": 1.0, "c": 0.0}]
    found = order.of_folds(folds, [Pair("a", "b"), Pair("b", "c", 2.0), Pair("a", "x")])
    assert (found.pairs, found.share) == (3, pytest.approx((0 + 1 + 2) / 4))
    assert order.of_folds(folds, [Pair("a", "x")]) is None


def test_data_without_a_score_are_benchmarked_by_pairs(folder):
    root = write_skill_pairs(folder / "skill")
    given = {"root": root, "backbones": ["precomputed:width=8"], "methods": [SVR], "cache": folder / "c", "seeds": 2}
    table = benchmark("skill_pairs", task="drawing", out=folder / "bench", **given)
    svr, constant = (next(r for r in table.rows if r["method"] == name) for name in (SVR, "floor: constant"))
    assert (svr["pairs"], svr["spearman"], svr["mae"], svr["folds"]) == (6, None, None, None)
    assert (constant["in_order"], constant["ties"]) == (0.5, 6)
    runs = [aqakit.load(f) for f in table.runs["drawing", SVR]]
    shares = [order.of_run(run, run.pairs)["test"].share for run in runs]
    assert svr["in_order"] == pytest.approx(np.mean(shares))  # both folds have three pairs
    assert order.NOTE in table.notes
    with pytest.raises(RunError, match="has no test scores in its own units"):
        write_report([runs[0].folder], folder / "report.html")
    with pytest.raises(OptionError, match="rule best-test looks at test scores, and tie_tie has none"):
        benchmark("skill_pairs", task="tie_tie", rules=["best-test"], **given)


def test_scores_of_test_samples_are_compared_by_rank_with_those_from_pairs(folder, manifest):
    """A manifest whose training rows have no score, and whose test rows do."""
    alone = without_scores(manifest)
    scored, plain = manifest.read_text().splitlines(), alone.read_text().splitlines()
    score = {line.split(",")[0]: line.split(",")[2] for line in scored[1:]}
    lines = [plain[0] + ",split"]
    for k, line in enumerate(plain[1:]):
        name, path, _, group = line.split(",")
        lines.append(f"{name},{path},{score[name] if k % 3 == 0 else ''},{group},{'test' if k % 3 == 0 else 'train'}")
    file = folder / "mixed.csv"
    file.write_text("\n".join(lines) + "\n")
    pairs = write_pairs(folder / "p.csv", ordered(manifest))
    run = aqakit.train(
        "svr", kernel="linear", cost=1.0, epsilon=0.1, data="manifest", root=file, backbone=BACKBONE, pairs=str(pairs),
        out=folder / "mixed", cache=folder / "c",
    )  # fmt: skip
    row = next(row for row in evaluate_run(run)[0] if row["split"] == "test")
    tau = kendalltau(run.truth("test"), run.prediction("test").mean.numpy()).statistic
    assert row["kendall"] == pytest.approx(tau)
    assert row["in_order"] == pytest.approx((tau + 1) / 2)
    assert "mae" not in row
    assert len(list(combinations(run.ids("test"), 2))) == row["pairs"]
