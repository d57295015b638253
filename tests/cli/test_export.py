"""``aqakit export``, and ``aqakit predict`` with the file that it wrote, as a person types them."""

import json

import pytest

import aqakit as package
from tests.cli.test_commands import aqakit
from tests.training.test_run import make_manifest, train

for needed in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(needed, reason="needs the extra export")


@pytest.mark.slow
def test_the_file_gives_the_rows_of_the_run_and_says_what_it_does_not_know(monkeypatch, capsys, tmp_path):
    manifest = make_manifest(tmp_path, difficulty=False)
    run = train(manifest, tmp_path / "run", epochs=2, hidden=(8,)).folder
    files = [tmp_path / "0.npy", tmp_path / "1.npy"]
    assert aqakit(monkeypatch, "export", run, "-o", tmp_path / "model.onnx") == 0
    assert "outputs mean, std, low, high, quantiles" in capsys.readouterr().out
    assert aqakit(monkeypatch, "predict", run, *files, "--json", "-") == 0
    wanted = json.loads(capsys.readouterr().out)
    assert aqakit(monkeypatch, "predict", tmp_path / "model.onnx", *files, "--json", "-") == 0
    rows = json.loads(capsys.readouterr().out)
    tolerance = 1e-4 * package.load(run).labels.scale.span
    for row, other in zip(rows, wanted, strict=True):
        assert row.pop("recording") == other["recording"]
        row = {name: value for name, value in row.items() if name not in ("run", "date")}
        assert row == pytest.approx({name: other[name] for name in row}, abs=tolerance)
    assert aqakit(monkeypatch, "predict", tmp_path / "model.onnx", *files) == 0
    assert "does not know its training videos" in " ".join(capsys.readouterr().out.split())
    assert aqakit(monkeypatch, "predict", tmp_path / "model.onnx", tmp_path / "no.npy") == 1
    assert "no.npy" in capsys.readouterr().err
    assert aqakit(monkeypatch, "predict", tmp_path / "model.onnx", *files, "--repetitions") == 2


def test_a_missing_file_and_a_missing_run_are_one_sentence(monkeypatch, capsys, tmp_path):
    assert aqakit(monkeypatch, "predict", tmp_path / "no.onnx", "a.npy") == 1
    assert "there is no such file" in capsys.readouterr().err
    assert aqakit(monkeypatch, "export", tmp_path / "run", "-o", tmp_path / "no.onnx") == 1
    assert "Traceback" not in capsys.readouterr().err
