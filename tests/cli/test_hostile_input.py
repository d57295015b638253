"""Every hostile file through the command line: one clear sentence, a non-zero exit, and nothing lost."""

import json
import shutil

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

import aqakit as package
from aqakit.training import run_json
from tests import hostile
from tests.cli.test_commands import aqakit
from tests.training.test_run import BACKBONE, make_manifest

PER_KIND = {"videos": 10, "signals": 10, "manifests": 10, "pickles": 10, "checkpoints": 10}


def cases(files):
    return {"argvalues": files, "ids": [name for name, _ in files], "argnames": ("name", "make")}


@pytest.fixture(scope="module")
def run_on_signals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("signals")
    manifest = make_manifest(folder)
    words = {"root": manifest, "backbone": BACKBONE, "cache": folder / "cache", "epochs": 2}
    return package.train("dae", data="manifest", out=folder / "run", **words), folder / "0.npy"


@pytest.fixture(scope="module")
def run_on_videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    lines = ["id,path,score"]
    for i in range(6):
        hostile.write_video(folder / f"{i}.mp4", 12)
        lines.append(f"v{i},{i}.mp4,{i}")
    (folder / "my.csv").write_text("\n".join(lines) + "\n")
    words = {"root": folder / "my.csv", "backbone": "c3d_small:size=16:frames=4", "cache": folder / "cache"}
    return package.train("dae", data="manifest", out=folder / "run", epochs=1, **words), folder / "0.mp4"


def test_there_are_ten_of_each():
    for kind, least in PER_KIND.items():
        assert len(getattr(hostile, kind.upper())) >= least


def refused(monkeypatch, capsys, *words):
    code = aqakit(monkeypatch, *words)
    out, err = capsys.readouterr()
    assert code != 0
    assert "Traceback" not in err
    assert len(err.strip()) > 20
    return out, err


@pytest.mark.parametrize(**cases(hostile.SIGNALS))
def test_signal(monkeypatch, capsys, tmp_path, run_on_signals, name, make):
    run, good = run_on_signals
    bad = make(tmp_path)
    out, err = refused(monkeypatch, capsys, "predict", run.folder, bad, good, "--json", "-")
    assert bad.name in err
    assert len(json.loads(out)) == 1  # the good one is scored all the same
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(**cases(hostile.VIDEOS))
def test_video(monkeypatch, capsys, tmp_path, run_on_videos, name, make):
    run, good = run_on_videos
    bad = make(tmp_path)
    out, err = refused(monkeypatch, capsys, "predict", run.folder, bad, good, "--json", "-")
    assert bad.name in err
    assert len(json.loads(out)) == 1


@pytest.mark.parametrize(**cases(hostile.MANIFESTS))
def test_manifest(monkeypatch, capsys, tmp_path, run_on_signals, name, make):
    bad = make(tmp_path)
    _, err = refused(monkeypatch, capsys, "check", "manifest", bad)
    assert bad.name in err


@pytest.mark.parametrize(**cases(hostile.CHECKPOINTS))
@pytest.mark.parametrize("place", ["checkpoint.safetensors", "resume.safetensors"])
def test_checkpoint(monkeypatch, capsys, tmp_path, run_on_signals, name, make, place):
    run, good = run_on_signals
    shutil.copytree(run.folder, tmp_path / "run")
    (tmp_path / "made").mkdir()
    made = make(tmp_path / "made")
    if place == "checkpoint.safetensors":
        words = ["predict", tmp_path / "run", good]
    else:
        run_json.write(tmp_path / "run", {**run.description, "status": "running"})
        words = ["train", "dae", "--data", "manifest", "--root", run.recipe.root, "--backbone", BACKBONE]
        words += ["--epochs", 2, "-o", tmp_path / "run"]
    target = tmp_path / "run" / place
    target.unlink(missing_ok=True)
    if made.is_dir():
        shutil.copytree(made, target)
    elif made.exists():
        shutil.copy(made, target)
    else:
        pytest.skip("a checkpoint that is not there is a run that has not begun")
    monkeypatch.setenv("AQAKIT_CACHE", str(good.parent / "cache"))
    _, err = refused(monkeypatch, capsys, *words)
    assert place in err
    assert not list(tmp_path.rglob("executed"))


def test_weights_of_nan_are_refused(monkeypatch, capsys, tmp_path, run_on_signals):
    run, good = run_on_signals
    shutil.copytree(run.folder, tmp_path / "run")
    tensors = load_file(tmp_path / "run" / "checkpoint.safetensors")
    save_file({n: t.fill_(np.nan) if t.is_floating_point() else t for n, t in tensors.items()},
              tmp_path / "run" / "checkpoint.safetensors")  # fmt: skip
    refused(monkeypatch, capsys, "predict", tmp_path / "run", good)
