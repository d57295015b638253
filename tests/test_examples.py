"""Each example runs from beginning to end, on less data and for fewer epochs, and shows what it says it shows."""

import importlib
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import aqakit

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"


@pytest.fixture
def example(tmp_path, monkeypatch, capsys):
    """Run one example in an empty folder; its printed text."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AQAKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("AQAKIT_PLUGINS", "")  # so that what an example sets is taken back
    monkeypatch.syspath_prepend(EXAMPLES)

    def run(number: str, *words: object, recordings: int = 150) -> str:
        monkeypatch.setattr(importlib.import_module("recordings").record, "__defaults__", (recordings,))
        (file,) = EXAMPLES.glob(f"{number}_*.py")
        monkeypatch.setattr(sys, "argv", [str(file), *map(str, words)])
        runpy.run_path(str(file), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_01_scores_a_video_with_a_distribution(example):
    printed = example("01", "--dives", 24, "--epochs", 1)
    mean, std = map(float, re.search(r"mp4: (\S+) ± (\S+) points", printed).groups())
    low, high = map(float, re.search(r"between (\S+) and (\S+)", printed).groups())
    assert low < mean < high
    assert std > 0
    (video,) = re.findall(r"^(\S+mp4):", printed, re.MULTILINE)
    again = example("01", "--dives", 24, "--epochs", 1, video, "--difficulty", 2.0)  # opens the run, trains nothing
    assert "judges gave" not in again
    assert float(re.search(r"mp4: (\S+)", again)[1]) > 0


def test_02_leaves_a_run_that_predicts_what_it_printed(example):
    printed = example("02", "--epochs", 2)
    answer = aqakit.load("runs/mine").predict("my_recordings/reach-000.txt")
    assert f"reach-000: {float(answer.mean):.1f} ± {float(answer.std):.1f}" in printed
    assert all(word in printed for word in ("health", "histogram", "recalibrated", "spearman"))


def test_03_shows_the_price_of_looking(example, tmp_path):
    example("03", "--epochs", 2, "--json", tmp_path / "table.json", recordings=40)
    rows = json.loads((tmp_path / "table.json").read_text())
    by_rule = {kind: [r["spearman"] for r in rows if r["optimistic"] is kind and r["seeds"]] for kind in (False, True)}
    assert len(by_rule[False]) == len(by_rule[True]) == 3
    assert all(looked >= honest for honest, looked in zip(*by_rule.values(), strict=True))
    assert {"floor: constant", "floor: length only"} <= {r["method"] for r in rows}


def test_04_counts_what_its_intervals_hold(example):
    printed = example("04", "--epochs", 2)
    counted = {
        name: re.search(rf"{name} +(.*)", printed)[1].split() for name in ("as predicted", "conformal", "isotonic")
    }
    for name in ("conformal", "isotonic"):
        shares = [float(share) for share in counted[name][:3]]
        assert shares == sorted(shares)
        assert shares[1] == pytest.approx(0.8, abs=0.18)  # 80 samples, and 96 to fit on: 3 standard deviations


def test_05_adds_a_method_to_a_benchmark(example):
    printed = example("05", "--epochs", 1, recordings=60)
    assert re.search(r"mdn:components=1 .*five-fold", printed)


@pytest.mark.slow
def test_05_is_run_by_the_contract_tests(tmp_path):
    (tmp_path / "my_plugins" / "methods").mkdir(parents=True)
    shutil.copy(EXAMPLES / "05_add_a_method.py", tmp_path / "my_plugins" / "methods" / "mdn.py")
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-k",
        "mdn",
        "-p",
        "no:cacheprovider",
        "tests/methods/test_every_method.py",
    ]
    environment = os.environ | {"AQAKIT_PLUGINS": str(tmp_path / "my_plugins")}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert re.search(r"\b1\d passed", done.stdout)


def test_there_is_an_example_of_each_number():
    assert [file.name[:3] for file in sorted(EXAMPLES.glob("0*.py"))] == [f"0{k}_" for k in range(1, 6)]
