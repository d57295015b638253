"""The sample that the demo leaves, and the command that scores it; the README's test runs the whole demo."""

import json
import shlex

import pytest

import aqakit as package
from aqakit.datasets import synthetic_dives
from aqakit.report import demo
from tests.cli.test_commands import aqakit


def test_the_printed_command_scores_the_sample(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("AQAKIT_CACHE", str(tmp_path / "cache"))
    settings = {"data": "synthetic_dives:count=8:size=64", "epochs": 1, "batch_size": 4}
    out = tmp_path / "a demo"
    run = package.train("dae", **(demo.SETTINGS | settings), out=out / demo.RUN)
    dive = synthetic_dives.samples(None, count=8, size=64)[5]
    program, *words = shlex.split(demo.leave_sample(dive, out))
    capsys.readouterr()
    assert program == "aqakit"
    assert aqakit(monkeypatch, *words, "--json", "-") == 0
    (row,) = json.loads(capsys.readouterr().out)
    answer = run.predict(dive.sources["video"], difficulty=dive.difficulty)
    assert (row["difficulty"], row["recording"]) == (dive.difficulty, str(out / "sample.mp4"))
    assert row["score"] == pytest.approx(float(answer.mean), abs=0.01)
    assert (out / "sample.mp4").read_bytes() == dive.sources["video"].read_bytes()
