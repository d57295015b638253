"""Runs are of one task if their data are the same, however they were named, and tasks of other data have no mean."""

import json
import re
import shutil

import numpy as np
import pytest

import aqakit
from aqakit.evaluation import benchmark
from aqakit.report import html
from aqakit.report.content import Study, TaskResult
from aqakit.report.merging import collect
from aqakit.report.study import build_study
from aqakit.training import run_json
from aqakit.types import ScoreScale
from tests.cli.test_commands import aqakit as command
from tests.report.test_html import method
from tests.training.test_run import BACKBONE, make_manifest

SETTINGS = {"epochs": 2, "members": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A benchmark of one method on one fold of a manifest, and a run of another that names its data in another way."""
    place = tmp_path_factory.mktemp("grouping")
    manifest = make_manifest(place, count=20)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("AQAKIT_CACHE", str(place / "cache"))
        table = benchmark.benchmark(
            "manifest", root=manifest, backbones=[BACKBONE], methods=["regression"], out=place / "bench", **SETTINGS
        )
        aqakit.train(
            "dae", data="manifest:unit=points:rate=stored", root="./my.csv", backbone=BACKBONE, out="run", **SETTINGS
        )
    (place / "table.json").write_text(json.dumps(table.rows))
    return place


def test_a_run_and_a_benchmark_on_one_file_are_of_one_task(folder, monkeypatch):
    monkeypatch.chdir(folder)
    recipes = [run_json.read(file.parent)["recipe"] for file in sorted(folder.rglob("run.json"))]
    assert {recipe["protocol"] for recipe in recipes} == {None, "five-fold"}
    assert {recipe["root"] for recipe in recipes} == {"my.csv", str(folder / "my.csv")}
    (task,) = build_study([folder], data=False).tasks
    assert (task.name, task.protocol) == ("manifest", "five-fold")
    assert {m.label for m in task.methods} == {"dae", "regression"}
    found, _ = collect([folder / "table.json", folder / "run"])
    assert {(one.where, one.row["protocol"]) for one in found} == {("manifest", "five-fold")}
    assert {"dae", "regression"} <= {one.method for one in found}


def test_an_earlier_run_that_does_not_know_its_protocol_joins_those_with_its_test(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    shutil.copytree(folder / "run", tmp_path / "run")
    stored = run_json.read(tmp_path / "run")
    assert stored.pop("protocol") == "five-fold"
    run_json.write(tmp_path / "run", stored, list(stored["files"]))
    (task,) = build_study([tmp_path / "run"], data=False).tasks
    assert task.protocol == "usual"
    (task,) = build_study([tmp_path / "run", folder / "bench"], data=False).tasks
    assert (task.protocol, len(task.methods)) == ("five-fold", 2)


def moved(folder, place, root, scores=1.0):
    """A copy of the run whose data lie elsewhere, with scores that are multiples."""
    shutil.copytree(folder / "run", place)
    stored = run_json.read(place)
    stored["recipe"]["root"] = root
    if scores != 1.0:
        text = (place / "predictions.csv").read_text().splitlines()
        at = text[0].split(",").index("true")
        rows = [line.split(",") for line in text[1:]]
        for cells in rows:
            cells[at] = repr(float(cells[at]) * scores)
        (place / "predictions.csv").write_text("\n".join([text[0], *map(",".join, rows)]) + "\n")
    run_json.write(place, stored, list(stored["files"]))
    return place


def test_data_that_were_moved_are_the_same_and_other_data_are_named(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    (task,) = build_study([folder / "bench", moved(folder, tmp_path / "a", "/elsewhere/my.csv")], data=False).tasks
    assert len(task.methods) == 2
    other = moved(folder, tmp_path / "b", "/elsewhere/other.csv", scores=2.0)
    study = build_study([folder / "bench", other], data=False)
    assert [task.name for task in study.tasks] == ["manifest (my)", "manifest (other)"]
    assert study.over_tasks() == []
    page = html.page(study, [[], []])
    assert "Over the tasks" not in page


def test_a_recipe_before_and_after_is_compared_by_folders(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    for name in ("before", "after"):
        shutil.copytree(folder / "bench", tmp_path / name / "bench")
    (task,) = build_study([tmp_path / "before", tmp_path / "after"], data=False).tasks
    assert {m.label for m in task.methods} == {"regression (before)", "regression (after)"}
    assert len(set(task.letters.values())) == 1  # the same predictions do not differ
    words = ["report", tmp_path / "before", tmp_path / "after", "-o", tmp_path / "r.html", "--no-data"]
    assert command(monkeypatch, *words) == 0
    assert "Not different from it beyond noise: regression (" in (tmp_path / "r.html").read_text()
    found, _ = collect([tmp_path / "before", tmp_path / "after"])
    assert {one.method for one in found} == {"regression (before)", "regression (after)"}
    (task,) = build_study([folder / "bench" / ".." / "run", folder], data=False).tasks
    assert {m.label for m in task.methods} == {"dae", "regression"}  # one run, found twice, is one


def test_only_tasks_of_one_data_set_are_averaged():
    scale, mean = ScoreScale(0, 10), ([1.0, 2.0, 4.0, 3.0], [2.0, 1.0, 4.0, 3.0])
    tasks = [
        TaskResult(f"{data} {k}", "p", scale, 10.0, (method([1.0, 2.0, 3.0, 4.0], mean[k], [1.0] * 4),), data=data)
        for data in ("a", "b")
        for k in range(2 if data == "a" else 1)
    ]
    (row,) = Study(tuple(tasks)).over_tasks()
    assert (row["data"], row["tasks"]) == ("a", 2)
    assert row["spearman"] == pytest.approx(np.tanh((np.arctanh(0.8) + np.arctanh(0.6)) / 2))
    text = html.page(Study(tuple(tasks)), [[], [], []])
    assert re.search(r"Over the tasks of a data set.*<td[^>]*>a</td>", text, re.DOTALL)
