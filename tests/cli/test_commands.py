"""The command line as a person types it: output, files, sentences and exit codes."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aqakit import cli
from tests.training.test_run import BACKBONE, make_manifest


def aqakit(monkeypatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["aqakit", *map(str, words)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return int(stopped.value.code or 0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    manifest = make_manifest(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AQAKIT_CACHE", str(folder / "cache"))
        words = ["train", "dae", "--data", "manifest", "--root", manifest, "--backbone", BACKBONE]
        assert aqakit(patch, *words, "--epochs", 3, "--validation", 0.2, "--no-scale-target", "-o", folder / "run") == 0
    return folder


@pytest.mark.parametrize("kind", ["methods", "datasets", "backbones"])
def test_listings(monkeypatch, capsys, tmp_path, kind):
    assert aqakit(monkeypatch, kind, "--json", tmp_path / "list.json") == 0
    rows = json.loads((tmp_path / "list.json").read_text())
    shown = capsys.readouterr().out
    assert rows
    assert all(row["name"] in shown and row["what"] for row in rows)


def test_help_lists_a_methods_own_options(monkeypatch, capsys):
    assert aqakit(monkeypatch, "train", "usdl", "--help") == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("--sigma", "--bins", "--epochs", "--target", "--data"))


def test_predict_writes_json_and_csv(monkeypatch, capsys, trained, tmp_path):
    files = [trained / "0.npy", trained / "1.npy"]
    assert aqakit(monkeypatch, "predict", trained / "run", *files, "--json", "-") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [r["recording"] for r in rows] == [str(f) for f in files]
    assert all(r["low_90"] < r["score"] < r["high_90"] for r in rows)
    assert aqakit(monkeypatch, "predict", trained / "run", *files, "--csv", tmp_path / "s.csv") == 0
    written = list(csv.DictReader((tmp_path / "s.csv").open()))
    assert [float(r["score"]) for r in written] == pytest.approx([r["score"] for r in rows])


def test_predict_scores_what_it_can_and_names_the_rest(monkeypatch, capsys, trained, tmp_path):
    broken = tmp_path / "broken.npy"
    broken.write_bytes(b"")
    code = aqakit(
        monkeypatch, "predict", trained / "run", broken, trained / "0.npy", tmp_path / "none.npy", "--json", "-"
    )
    out, err = capsys.readouterr()
    assert code == 1
    assert len(json.loads(out)) == 1
    assert "broken.npy" in err
    assert "none.npy" in err
    assert "Traceback" not in err


def test_a_score_off_the_scale_is_remarked_upon(monkeypatch, capsys, trained, tmp_path):
    np.save(tmp_path / "wild.npy", 1e4 * np.random.default_rng(0).normal(size=(120, 4)).cumsum(0).astype("float32"))
    assert aqakit(monkeypatch, "predict", trained / "run", tmp_path / "wild.npy") == 0
    assert "off the scale" in capsys.readouterr().err


def test_predict_reads_a_manifest(monkeypatch, capsys, trained):
    assert aqakit(monkeypatch, "predict", trained / "run", "--manifest", trained / "my.csv", "--json", "-") == 0
    assert len(json.loads(capsys.readouterr().out)) == 30


def test_evaluate_prints_as_predicted_and_recalibrated(monkeypatch, capsys, trained, tmp_path):
    assert aqakit(monkeypatch, "evaluate", trained / "run", "--json", tmp_path / "e.json") == 0
    rows = json.loads((tmp_path / "e.json").read_text())
    assert [(r["split"], r["intervals"]) for r in rows] == [
        ("validation", "as predicted"),
        ("test", "as predicted"),
        ("test", "recalibrated"),
        ("validation", "floor: constant"),
        ("validation", "floor: length only"),
    ]
    assert "spearman" in capsys.readouterr().out


def test_evaluate_writes_both(monkeypatch, capsys, trained, tmp_path):
    tex, text = tmp_path / "t.tex", tmp_path / "t.md"
    assert aqakit(monkeypatch, "evaluate", trained / "run", "--latex", tex, "--markdown", text) == 0
    assert len(re.findall(r"^\|", text.read_text(), re.MULTILINE)) == 7
    assert all(word in tex.read_text() for word in ("rule: held-out", "members: 1", "fold: fold-1", "seed: 0"))
    capsys.readouterr()
    assert aqakit(monkeypatch, "evaluate", trained / "run", "--latex", "-") == 0
    assert capsys.readouterr().out == tex.read_text()
    assert aqakit(monkeypatch, "evaluate", trained / "run", "--latex", "-", "--json", "-") == 2
    assert aqakit(monkeypatch, "evaluate", trained / "run", "--latex", tmp_path / "none" / "t.tex") == 2
    assert "there is no folder" in capsys.readouterr().err
    assert sorted(file.name for file in tmp_path.iterdir()) == ["t.md", "t.tex"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_device_is_named(monkeypatch, capsys, trained):
    assert aqakit(monkeypatch, "predict", trained / "run", trained / "0.npy", "--json", "/dev/full") == 1
    assert "aqakit: /dev/full: No space left on device" in capsys.readouterr().err


def test_a_run_that_held_nothing_out_says_so(monkeypatch, capsys, trained, tmp_path):
    monkeypatch.setenv("AQAKIT_CACHE", str(trained / "cache"))
    words = ["dae", "--data", "manifest", "--root", trained / "my.csv", "--backbone", BACKBONE, "--epochs", 1]
    assert aqakit(monkeypatch, "train", *words, "--protocol", "all", "--members", 1, "-o", tmp_path / "run") == 0
    assert "nothing can be measured" in " ".join(capsys.readouterr().out.split())
    assert aqakit(monkeypatch, "evaluate", tmp_path / "run", "--json", "-") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_benchmark_writes_one_object_per_row(monkeypatch, capsys, trained, tmp_path):
    monkeypatch.setenv("AQAKIT_CACHE", str(trained / "cache"))
    words = [
        "benchmark",
        "manifest",
        "--root",
        trained / "my.csv",
        "--backbone",
        BACKBONE,
        "--methods",
        "regression,usdl",
    ]
    assert aqakit(monkeypatch, *words, "--seeds", 2, "--epochs", 2, "--json", tmp_path / "b.json") == 0
    rows = json.loads((tmp_path / "b.json").read_text())
    wanted = {"method", "task", "protocol", "rule", "seeds", "spearman", "low", "high"}
    assert all(wanted <= row.keys() for row in rows)
    assert [r["method"] for r in rows][:2] == ["regression", "usdl"]


def test_a_table_is_written_whatever_becomes_of_its_figures(monkeypatch, capsys, trained, tmp_path):
    monkeypatch.setenv("AQAKIT_CACHE", str(trained / "cache"))
    words = ["benchmark", "manifest", "--root", trained / "my.csv", "--backbone", BACKBONE, "--methods", "regression"]
    words += ["--epochs", 1, "--members", 1, "--json", tmp_path / "b.json", "--figures"]
    (tmp_path / "file").write_text("")
    assert aqakit(monkeypatch, *words, tmp_path / "file") != 0
    assert "file: no folder can be made here" in capsys.readouterr().err
    assert not (tmp_path / "b.json").exists()  # it is said before anything is trained

    def fail(*_):
        raise OSError(28, "No space left on device", "figures")

    monkeypatch.setattr("aqakit.report.layout.save_all", fail)
    assert aqakit(monkeypatch, *words, tmp_path / "figures") != 0
    assert "aqakit: figures: No space left" in capsys.readouterr().err
    assert json.loads((tmp_path / "b.json").read_text())[0]["method"] == "regression"


def test_weights_are_listed_and_what_cannot_be_fetched_is_a_sentence(monkeypatch, capsys, tmp_path):
    assert aqakit(monkeypatch, "weights", "--json", tmp_path / "w.json") == 0
    rows = json.loads((tmp_path / "w.json").read_text())
    assert {"name", "licence", "classes", "colours", "origin", "megabytes"} <= rows[0].keys()
    assert aqakit(monkeypatch, "weights", "get", "rgb_imagnet.pt") != 0
    assert "did you mean 'rgb_imagenet.pt'" in capsys.readouterr().err


def test_check_prints_findings(monkeypatch, capsys, trained):
    assert aqakit(monkeypatch, "check", "manifest", trained / "my.csv") == 0
    (trained / "29.npy").rename(trained / "moved.npy")
    try:
        assert aqakit(monkeypatch, "check", "manifest", trained / "my.csv") != 0
    finally:
        (trained / "moved.npy").rename(trained / "29.npy")
    assert "29.npy" in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["predict", "nowhere", "x.mp4"], "not a run folder"),
        (["predict", "nowhere"], "give recordings"),
        (["evaluate", "nowhere"], "not a run folder"),
        (["check", "nothing"], "there is no dataset 'nothing'"),
        (["check", "manifest", "none.csv"], "none.csv"),
        (["check", "jigsaws"], "root"),
        (["train", "dae", "--data", "jigsaws", "--backbone", "kinematic", "-o", "x"], "did you mean 'kinematics'"),
        (["train", "dae", "--data", "jigsaws", "--backbone", "kinematics", "--alpha", "-1", "-o", "x"], "alpha"),
        (["benchmark", "jigsaws", "--backbone", "kinematics", "--methods", "dea"], "did you mean 'dae'"),
        (["benchmark", "jigsaws", "--backbone", "kinematics", "--methods", ","], "no method was named"),
    ],
)
def test_mistakes_are_one_sentence_and_a_non_zero_exit(monkeypatch, capsys, words, sentence):
    assert aqakit(monkeypatch, *words) != 0
    err = capsys.readouterr().err
    assert sentence in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--epochs", "abc", "epochs: input should be a valid integer"),
        ("--device", "cuda:99", "device 'cuda:99' cannot be used here"),
        ("--device", "abacus", "device 'abacus' cannot be used here"),
        ("--fold", "nope", "no fold 'nope'"),
        ("--target", "sum", "target: input should be 'score' or 'total'"),
        ("--finetune", None, "nothing to train from pixels"),
        ("-o", "/proc/run", "/proc/run: No such file or directory"),
    ],
)
def test_bad_values_of_train_are_sentences(monkeypatch, capsys, trained, tmp_path, option, value, sentence):
    monkeypatch.setenv("AQAKIT_CACHE", str(trained / "cache"))
    words = ["train", "dae", "--data", "manifest", "--root", trained / "my.csv", "--backbone", BACKBONE]
    more = [option] if value is None else [option, value]
    assert aqakit(monkeypatch, *words, "-o", tmp_path / "run", *more) != 0
    err = capsys.readouterr().err
    assert sentence in err
    assert "Traceback" not in err


def test_python_dash_m_works():
    done = subprocess.run([sys.executable, "-m", "aqakit", "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "benchmark" in done.stdout
