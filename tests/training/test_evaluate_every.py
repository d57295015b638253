"""Evaluated every few epochs, a run is trained as it would be, and tells which epochs its predictions are of."""

import numpy as np
import pytest
import torch
from safetensors import safe_open

from aqakit.errors import TimeLimitError
from aqakit.evaluation.benchmark import benchmark
from aqakit.report.study import build_study
from aqakit.training import loop
from tests.training.test_run import BACKBONE, make_manifest, train

OPTIONS = {"epochs": 5, "validation": 0.0, "members": 2}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return make_manifest(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def whole(manifest):
    return train(manifest, manifest.parent / "whole", select="last", **OPTIONS)


def about(run):
    with safe_open(run.folder / "epochs.safetensors", framework="pt") as stored:
        return stored.metadata()


@pytest.mark.parametrize(("every", "epochs"), [(2, [1, 3, 4]), (5, [4]), (9, [4])])
def test_the_epochs_that_are_evaluated_are_those_of_the_whole_run(manifest, whole, tmp_path, every, epochs):
    run = train(manifest, tmp_path / "run", select="last", evaluate_every=every, **OPTIONS)
    for split in ("held-out", "test"):
        assert run.evaluated(split) == epochs
        for epoch, answer in zip(epochs, run.epochs(split), strict=True):
            assert torch.equal(answer.mean, whole.epochs(split)[epoch].mean)
    assert run.description["losses"] == whole.description["losses"]
    assert run.description["epoch"] == 4
    for name in ("checkpoint.safetensors", "predictions.csv"):
        assert (run.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    assert whole.evaluated("test") == [0, 1, 2, 3, 4]
    assert "epochs" not in about(whole)  # the file is that of earlier versions


def test_the_best_is_one_of_them_and_a_stopped_run_goes_on_to_the_same_bits(manifest, tmp_path, monkeypatch):
    values = [9.0, 1.0, 9.0, 3.0, 2.0]
    monkeypatch.setattr(loop, "_value", lambda history, *_: (values[history.epochs[-1]],))
    run = train(manifest, tmp_path / "run", evaluate_every=2, **OPTIONS)
    assert run.description["epoch"] == 3
    assert torch.equal(run.prediction("test").mean, run.epochs("test")[1].mean)
    for ends in range(1, 5):
        with pytest.raises(TimeLimitError, match=f"after epoch {ends} of 5"):
            train(manifest, tmp_path / "cut", evaluate_every=2, time_limit=1e-9, **OPTIONS)
    cut = train(manifest, tmp_path / "cut", evaluate_every=2, time_limit=1e-9, **OPTIONS)
    for name in ("checkpoint.safetensors", "epochs.safetensors", "predictions.csv"):
        assert (run.folder / name).read_bytes() == (cut.folder / name).read_bytes()


def test_patience_counts_epochs_and_ends_after_one_that_was_evaluated(manifest, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_value", lambda history, *_: (-history.epochs[-1],))
    run = train(manifest, tmp_path / "run", evaluate_every=2, patience=3, **(OPTIONS | {"epochs": 20}))
    assert run.description["epoch"] == 1
    assert run.evaluated("test") == [1, 3, 5]
    assert len(run.description["losses"]) == 6


def test_tables_and_figures_are_of_epochs(manifest, tmp_path):
    words = {"root": manifest, "backbones": [BACKBONE], "cache": manifest.parent / "cache", "out": tmp_path / "out"}
    rules = ["last", "best-test", "held-out"]
    options = {"epochs": 5, "members": 2, "evaluate_every": 2}
    table = benchmark("manifest", methods=["dae"], rules=rules, protocol="five-fold", **words, **options)
    assert any("one in 2 was evaluated" in note for note in table.notes)
    by_rule = {row["rule"].split()[0]: row["spearman"] for row in table.rows if row["seeds"]}
    assert by_rule["best-test"] >= max(by_rule["last"], by_rule["held-out"]) - 1e-9
    (task,) = build_study([tmp_path / "out"], data=False).tasks
    (method,) = task.compared
    assert method.epochs.tolist() == [1, 3, 4]
    assert method.curve("test").shape == (5, 3)
    assert method.stds.shape[0] == 3
    assert np.isclose(method.curve("test")[:, -1].mean(), by_rule["last"])
