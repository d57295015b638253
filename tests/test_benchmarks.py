"""Each script of ``benchmarks/`` runs from beginning to end at toy size, and writes JSON."""

import gzip
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import aqakit
from aqakit.training import members
from aqakit.types import Sample
from tests.blazepose import Squares, write_squares
from tests.releases import write_kimore_tables, write_ui_prmd

SCRIPTS = Path(__file__).parents[1] / "benchmarks"
ELSEWHERE = {"familiarity"}  # by tests of what it measures
TESTED = {
    "defaults",
    "exercises",
    "explanation",
    "extraction",
    "heads",
    "improve",
    "pairs",
    "pose",
    "pose_estimator",
    "startup",
}
TESTED |= {"finetune", "larger_than_memory", "semi_supervised_step", "video_memory", "words", *ELSEWHERE}


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(monkeypatch, capfd, tmp_path):
    """Run a script in this process with its constants changed, once with a file for the JSON; printed text and rows."""
    monkeypatch.setenv("AQAKIT_CACHE", str(tmp_path / "cache"))

    def once(script: ModuleType, *words: object, **constants: object):
        for name, value in constants.items():
            monkeypatch.setattr(script, name, value)
        out = tmp_path / "rows.json"
        monkeypatch.setattr(sys, "argv", [script.__file__, *map(str, words), "--json", str(out)])
        script.main()
        printed = capfd.readouterr().out
        assert printed
        return printed, json.loads(out.read_text(), parse_constant=pytest.fail)

    return once


def test_every_script_is_run_here():
    assert {file.stem for file in SCRIPTS.glob("*.py")} == TESTED


def numbers(text: str) -> set[str]:
    return {found.rstrip(",.") for found in re.findall(r"(?<![\w.])\.?\d[\d.,]*", text)}


def test_the_page_lists_every_script_and_its_figures_are_those_of_the_other_pages():
    text = (SCRIPTS / "README.md").read_text()
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in text.splitlines() if row.startswith("| [`")]
    assert [re.match(r"\[`(\w+)\.py`\]\(\1\.py\)", row[0])[1] for row in rows] == sorted(TESTED)
    for script, _, figures, page in rows:
        if page:
            said = (SCRIPTS / re.search(r"\((.*)\)", page)[1]).read_text()
            assert numbers(figures) - {"1080"} <= numbers(said), script
        else:
            assert figures == "–"


@pytest.mark.slow
def test_exercises(run, monkeypatch, tmp_path):
    monkeypatch.setattr(members, "MEMBERS", 2)
    write_ui_prmd(tmp_path / "data" / "ui-prmd")
    write_kimore_tables(tmp_path / "data" / "kimore")
    ui_prmd = {"rocket:kernels=20": "movement:features=places", "trees:trees=5": "movement"}
    kimore = {"trees:trees=5": "kinematics:channels=11:features=exercise:windows=1"}
    printed, rows = run(load("exercises"), tmp_path / "data", "--seeds", 1, UI_PRMD=ui_prmd, KIMORE=kimore)
    assert "mean over movements" in printed
    assert {row["method"].split(":")[0] for row in rows} == {"rocket", "trees", "floor"}
    assert all(0 <= row["accuracy"] <= 1 for row in rows if row["accuracy"] is not None)


@pytest.mark.slow
def test_defaults(run, monkeypatch, tmp_path):
    monkeypatch.setattr(members, "MEMBERS", 2)
    folder, rng = tmp_path / "data" / "kimore", np.random.default_rng(0)
    folder.mkdir(parents=True)
    lines = ["id,path,score,group"]
    for k in range(12):
        with gzip.open(folder / f"{k}.csv.gz", "wt") as out:
            np.savetxt(out, rng.normal(size=(20, 11)) * (k + 1), delimiter=",")
        lines.append(f"s{k},{k}.csv.gz,{3 * k},g{k % 6}")
    (folder / "scores.csv").write_text("\n".join(lines) + "\n")
    printed, rows = run(
        load("defaults"), tmp_path / "data", "--methods", "svr", "--sets", "kimore", "--candidate", "cost=1"
    )
    assert {row["set"] for row in rows} == {"kimore"}
    assert {row["candidate"] for row in rows if row["method"] == "svr"} == {"defaults", "cost=1"}
    assert "mean over sets" in printed
    assert "settings chosen on the other sets" in printed


def test_a_setting_is_judged_by_the_sets_that_did_not_choose_it():
    ranks = {"kimore": (0.1, 0.9), "knot": (0.5, 0.4), "ui-prmd-m01": (0.5, 0.6), "ui-prmd-m02": (0.5, 0.2)}
    rows = [
        {"set": name, "candidate": candidate, "method": "dae", "spearman": value}
        for name, values in ranks.items()
        for candidate, value in zip(("defaults", "dropout=0.3"), values, strict=True)
    ]
    found = {row["left out"]: row for row in load("defaults").rotated(rows, ["dae"])}
    assert list(found) == ["kimore", "knot", "ui-prmd"]
    assert found["kimore"]["chosen on the others"] == "defaults"  # .5 against .4
    assert found["knot"]["chosen on the others"] == "dropout=0.3"
    assert found["ui-prmd"]["spearman"] == pytest.approx(0.4)


def test_heads(run):
    printed, rows = run(load("heads"), "--videos", 40, "--clips", 2, "--width", 16, "--members", 3, "--epochs", 3)
    assert [row["loop"] for row in rows] == ["by hand", "by hand, fused optimiser", "one member", "3 members"]
    assert all(row["s/epoch"] > 0 for row in rows)
    assert "40 videos" in printed


@pytest.mark.slow
def test_larger_than_memory(run):
    printed, rows = run(load("larger_than_memory"), "--videos", 40, "--clips", 2, "--width", 16, "--epochs", 2)
    assert [row["features"] for row in rows] == ["in memory", "in a file"]
    assert all(row["s/epoch"] > 0 and row["peak MiB"] > 0 for row in rows)
    assert "40 videos" in printed


@pytest.mark.slow
def test_improve(run, monkeypatch):
    monkeypatch.setattr(members, "MEMBERS", 2)
    backbone = "skeleton:plan=uniform/count=3/frames=16/stride=2"
    sizes = ["--dives", 24, "--corrections", 4, "--comparisons", 6, "--repetitions", 2, "--wrong", 0]
    printed, rows = run(load("improve"), *sizes, "--backbone", backbone, "--set", "epochs=2")
    assert [(row["seed"], row["learnt"]) for row in rows] == [(0, 4), (1, 4)]
    assert all(row["page says"] in ("better", "worse", "same") and row["pairs"] in (0, 6) for row in rows)
    fallen = sum(row["new"] < row["old"] for row in rows)
    assert f"falls in {fallen} of 2 repetitions" in printed


@pytest.mark.slow
def test_explanation(run, tmp_path):
    out = tmp_path / "run"
    backbone = "skeleton:plan=uniform/count=3/frames=16/stride=2"
    options = {"target": "total", "epochs": 1, "members": 1, "cache": tmp_path / "cache"}
    aqakit.train("regression", data="synthetic_dives:count=16", backbone=backbone, out=out, **options)
    printed, found = run(load("explanation"), out, "--pairs", 2)
    assert 0 <= found["share"] <= 1
    assert len(found["pairs"]) == 2
    assert "of 2 pairs" in printed


@pytest.mark.slow
def test_extraction(run, monkeypatch):
    script = load("extraction")
    network = script.i3d.I3D
    monkeypatch.setattr(network, "forward", lambda self, clips: clips[:, ::4, ::56, ::56].flatten(1).float())
    words = ["--times", 1, "--videos", 1, "--data", "synthetic_dives:count=8:seed=5", "--threads", 1]
    printed, rows = run(script, *words, "--backbone", "c3d_small", SIDE=32)
    stages = [row["stage"] for row in rows]
    assert {"published: decode", "published: network", "published: whole", "decode", "network", "whole"} <= set(stages)
    assert stages[-1].startswith("ranks of 8 videos")
    exact = next(row for row in rows if row["stage"].startswith("ranks"))
    assert exact["spearman with float32"] == pytest.approx(1)
    assert "peak in float32" in printed


@pytest.mark.slow
def test_finetune(run):
    small = {
        "SIDE": 32,
        "HEIGHT": 36,
        "WIDTH": 64,
        "VIDEOS": 2,
        "BATCH": 2,
        "STEPS": 2,
        "TIMES": 1,
        "DECODED": 2,
        "EPOCH": 2,
    }
    dives = {"c3d_small": "synthetic_dives:count=2:size=64", "i3d": "synthetic_dives:count=2:size=64"}
    printed, rows = run(load("finetune"), "--threads", 1, DIVES=dives, **small)
    parts = [row["part"] for row in rows]
    assert parts[:3] == ["host", "loader: published", "loader: ours"]
    assert parts[3:] == ["overlap", "decode", "epoch: c3d_small", "epoch: i3d"]
    assert all(row["ratio"] > 0 for row in rows if row["part"] != "loader: published")
    assert rows[0]["cpu_ms_per_video"] < rows[0]["with_gathering"]
    assert "videos_per_s" in printed


@pytest.mark.slow
def test_pairs(run):
    words = ["--methods", "regression", "--train", 16, "--test", 6, "--pairs", "60", "--seeds", 2, "--few", 8]
    printed, rows = run(load("pairs"), *words, "--set", "epochs=2")
    assert [row["learnt from"] for row in rows] == ["scores", "60 pairs", "8 scores", "8 scores, 60 pairs"]
    assert rows[0]["of scores"] == 1
    assert all(row["low"] <= row["spearman"] <= row["high"] for row in rows)
    assert "10% of the pairs wrong" in printed


def test_pairs_are_drawn_once_and_a_share_is_wrong(tmp_path):
    dives = [Sample(str(k), {}, score=float(k % 20)) for k in range(40)]
    file = load("pairs").draw(tmp_path, dives, 200, 0.1, 0)
    rows = [tuple(map(int, line.split(","))) for line in file.read_text().splitlines()[1:]]
    assert len({frozenset(row) for row in rows}) == 200
    assert sum(a % 20 < b % 20 for a, b in rows) == 20
    assert not any(a % 20 == b % 20 for a, b in rows)


@pytest.mark.slow
def test_pose_estimator(run, monkeypatch, tmp_path):
    try:
        import openvino  # noqa: F401
    except ImportError:
        stub = SimpleNamespace(
            convert_model=lambda network, **_: network, save_model=lambda _, path, **more: path.touch()
        )
        monkeypatch.setitem(sys.modules, "openvino", stub)
    words = ["--out", tmp_path / "diver.xml", "--dives", 2, "--frames", 4]
    printed, (row,) = run(load("pose_estimator"), *words, SEEDS=(1,), TESTED=1, EPOCHS=1, BATCH=4, HELD_OUT=1)
    assert row["frames"] > 90
    assert 0 < row["median"] < 10
    assert (tmp_path / "diver.xml").exists()
    assert f"median {row['median']:.3f}" in printed


@pytest.mark.slow
def test_pose(run, shared_weights, tmp_path):
    pytest.importorskip("openvino", reason="the extra fast is not installed")
    if not (folder := shared_weights / "blazepose").is_dir():
        pytest.skip(f"needs the networks of BlazePose in {folder}")
    file = write_squares(tmp_path / "a.mkv", np.full((8, 1, 2), 50.0), [12])
    script = load("pose")
    printed, rows = run(script, file, "--weights", folder, "--network", "lite", "--times", 1, CALLS=2, Networks=Squares)
    assert [row["cores"] for row in rows] == [1, 2]
    assert rows[0]["ratio"] == pytest.approx(rows[0]["whole"] / rows[1]["whole"])
    assert "times as fast as one" in printed


@pytest.mark.slow
def test_semi_supervised_step(run):
    script = load("semi_supervised_step")
    settings = [script.Setting("3 x 8", 3, (8,), 8, 0.5)]
    pixels = [script.Setting("pixels", 1, (32, 32, 32, 3), 4, 0.5)]
    printed, rows = run(script, "--repetitions", 1, "--processor", STEPS=2, SETTINGS=settings, PIXELS=pixels)
    assert [row["method"] for row in rows] == [*script.SCHEMES, *script.PIXEL_SCHEMES]
    assert all(row["step_ms"] > 0 and row["gradient/base"] > 0 for row in rows)
    assert "÷ base" in printed


def test_startup(run):
    _, rows = run(load("startup"), "--runs", 1, COMMANDS=("--version",))
    assert rows[0]["command"] == "aqakit --version"
    assert 0 < rows[0]["median_s"] == rows[0]["max_s"]


@pytest.mark.slow
@pytest.mark.parametrize("more", [[], pytest.param(["--backbone", "c3d_small"], marks=pytest.mark.slow)])
def test_video_memory(tmp_path, more):
    words = ["--seconds", "2", "--height", "72", "--minutes", "2", *more, "--json"]
    file = tmp_path / "rows.json"
    for out in [file, "-"] if more else [file]:
        command = [sys.executable, SCRIPTS / "video_memory.py", *words, out]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows = json.loads(file.read_text() if out == file else done.stdout)
        assert rows[-1]["frames"] == 2 * 2 * 30
        assert 0 < rows[-1]["before_mib"] <= rows[-1]["peak_mib"]
        assert "frames 120" in (done.stdout if out == file else done.stderr)


@pytest.mark.slow
def test_words(run):
    printed, rows = run(load("words"), "--train", 40, "--dives", 1)
    faults = [row for row in rows if "predicted" in row]
    assert [row["fault"] for row in faults] == ["none", "bent knees", "form break", "late opening", "short height"]
    assert all(0 <= row["named first"] <= row["said"] <= 1 for row in faults)
    assert "quiet: " in printed
