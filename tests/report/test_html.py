"""Reports: numbers against scipy, numpy and the benchmark's table; nothing is fetched, no name becomes a tag."""

import csv
import importlib.util
import json
import re
import shlex
import shutil
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from html import escape
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from scipy import stats

import aqakit
from aqakit import cli
from aqakit.errors import DataError, OptionError, RunError
from aqakit.evaluation import benchmark
from aqakit.evaluation.results import FoldResult, MethodResult
from aqakit.evaluation.selection import RULES
from aqakit.report import calibration, curves, html, svg
from aqakit.report.content import Part, Study, TaskResult
from aqakit.report.merging import collect
from aqakit.report.study import CASES, build_study, cases
from aqakit.scores.distributions import Normal
from aqakit.training import run_json
from aqakit.types import ScoreScale
from tests.training.test_run import BACKBONE, make_manifest

HOSTILE = "</script><img src=http://evil.example/x onerror=alert(1)>&\"'"
SETTINGS = {"epochs": 12, "validation": 0.2}


class Page(HTMLParser):
    """Tags, ids, references and the embedded data of a page."""

    def __init__(self, text):
        super().__init__()
        self.text, self.tags, self.ids, self.links, self.data, self._inside = text, [], [], [], "", False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append((tag, given))
        self._inside = given.get("id") == "report-data"
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given[name] for name in ("src", "href", "action", "data", "srcset", "poster") if name in given]
        self.links += re.findall(r"url\(([^)]*)\)", " ".join(str(v) for v in given.values()))

    def handle_data(self, data):
        self.data += data if self._inside else ""

    def handle_endtag(self, tag):
        self._inside = False


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A benchmark of two methods on five folds, one sample of which has a hostile name; its table; its report."""
    folder = tmp_path_factory.mktemp("report")
    manifest = make_manifest(folder)
    rows = list(csv.reader(manifest.open()))
    rows[1][0] = HOSTILE
    with manifest.open("w", newline="") as out:
        csv.writer(out).writerows(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AQAKIT_CACHE", str(folder / "cache"))
        patch.delenv("AQAKIT_PLUGINS", raising=False)
        table = benchmark.benchmark(
            "manifest",
            root=manifest,
            backbones=[BACKBONE],
            methods=["dae", "regression"],
            protocol="five-fold",
            out=folder / "bench",
            **SETTINGS,
        )
        study = build_study([folder / "bench"])
        html.write(study, folder / "report.html")
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    return folder, table, study, page


def test_runs_are_merged_into_the_numbers_of_the_benchmark(made):
    folder, table, _, _ = made
    found, _ = collect([folder / "bench"], protocol="five-fold")
    known = {row["method"]: row for row in table.rows}
    assert [one.method for one in found] == ["dae", "regression"]
    names = (
        "data",
        "task",
        "protocol",
        "rule",
        "seeds",
        "members",
        "samples",
        "spearman",
        "low",
        "high",
        "mae",
        "crps",
    )
    for one in found:
        for name in names:
            assert one.row[name] == pytest.approx(known[one.method][name]), name


def numbers(page):
    return json.loads(page.data)["tasks"][0]


def written(folder, method):
    """Test rows of predictions.csv of every fold."""
    found = []
    for file in sorted((folder / "bench").rglob(f"{method}/*/predictions.csv")):
        found.append([r for r in csv.DictReader(file.open()) if r["split"] == "test"])
    return found


def test_the_table_is_what_scipy_and_numpy_make_of_the_predictions(made):
    folder, _, _, page = made
    for method in ("dae", "regression"):
        row = next(r for r in numbers(page)["rows"] if r["method"] == method and r["intervals"] == "as predicted")
        folds = [{n: np.array([float(r[n]) for r in rows]) for n in ("true", "mean", "low_90", "high_90")}
                 for rows in written(folder, method)]  # fmt: skip
        assert len(folds) == row["folds"] == 5
        rank = [stats.spearmanr(f["true"], f["mean"]).statistic for f in folds]
        held = [np.mean((f["low_90"] <= f["true"]) & (f["true"] <= f["high_90"])) for f in folds]
        assert row["spearman"] == pytest.approx(np.mean(rank), abs=1e-9)
        assert row["mae"] == pytest.approx(np.mean([np.abs(f["true"] - f["mean"]).mean() for f in folds]), rel=1e-5)
        assert row["coverage_90"] == (pytest.approx(np.mean(held)) if method == "dae" else None)  # a point has none
        assert f"{row['spearman']:.3f}" in page.text


def test_the_table_is_that_of_the_benchmark(made):
    _, table, _, page = made
    found = numbers(page)
    own = {r["method"]: r for r in found["rows"] if r["intervals"] == "as predicted"}
    assert {r["method"] for r in table.rows} == set(own)  # floors too
    for row in table.rows:
        for name in ("spearman", "low", "high", "mae", "rmse", "relative_l2", "crps", "coverage_90", "samples"):
            known = row[name] is not None and np.isfinite(row[name])
            assert own[row["method"]][name] == (pytest.approx(row[name], rel=1e-6) if known else None)
        assert found["groups"][row["method"]] == row["group"]


def test_every_rule_is_there_and_optimistic_ones_are_marked(made):
    folder, _, _, page = made
    heads = re.findall(r"<th ([^>]*)>([^<]*)</th>", page.text)
    for name, rule in ((n, r) for n, r in RULES.items() if n != "held-out"):  # these runs have one member each
        (classes,) = [attributes for attributes, title in heads if title.startswith(f"{name} (")]
        assert ("optimistic" in classes) is not rule.honest
    runs = [aqakit.load(file.parent) for file in sorted((folder / "bench").rglob("dae/*/run.json"))]
    test = np.array([[stats.spearmanr(r.truth("test"), a.mean).statistic for a in r.epochs("test")] for r in runs])
    held = [[stats.spearmanr(r.truth("validation"), a.mean).statistic for a in r.epochs("validation")] for r in runs]
    mean = test.mean(0)
    expected = {
        "last": mean[-1],
        "best-validation": np.mean([curve[np.argmax(v)] for curve, v in zip(test, held)]),
        "best-test": mean.max(),
        "last-ten": mean[-10:].mean(),
        "best-ten-consecutive": max(mean[i : i + 10].mean() for i in range(3)),
    }
    rows = {r["rule"]: r["spearman"] for r in numbers(page)["rules"] if r["method"] == "dae"}
    assert rows.pop("held-out") is None
    assert rows == pytest.approx(expected)
    assert rows["best-test"] >= max(rows.values()) - 1e-12


def test_nothing_is_fetched_and_no_script_runs(made):
    page = made[3]
    assert page.links
    inside = [link.strip("\"'") for link in page.links]
    assert all(link.startswith(("data:image/", "#")) for link in inside)
    assert not re.search(r"@import|<link|<base|<iframe|javascript:", page.text)
    assert [given.get("type") for tag, given in page.tags if tag == "script"] == ["application/json"]
    (policy,) = [given["content"] for _, given in page.tags if given.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")


def test_a_hostile_name_stays_a_name(made):
    page = made[3]
    assert not [given for tag, given in page.tags if "onerror" in given or "evil" in str(given.get("src"))]
    assert HOSTILE in numbers(page)["predictions"]["dae"]["id"]


def test_ids_are_their_own_and_references_are_resolved(made):
    page = made[3]
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert len(page.text.encode()) < 5e6


def test_colours_follow_the_page(made):
    page = made[3]
    drawn = "".join(re.findall(r'<svg role="img".*?</svg>', page.text, re.DOTALL))
    assert "currentColor" in drawn
    assert set(re.findall(r"var\(--(\w+)\)", drawn)) <= set(re.findall(r"--(\w+):", page.text))
    assert not any(colour in drawn for colour in svg.VARIABLES)


@pytest.mark.slow
def test_figures_are_files_too(made, tmp_path):
    _, _, study, page = made
    html.write(study, tmp_path / "report.html", folder=tmp_path / "figures")
    names = {file.stem for file in (tmp_path / "figures").iterdir()}
    assert len(names) == page.text.count("<figcaption>")
    for name in names:
        assert (tmp_path / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert ET.parse(tmp_path / "figures" / f"{name}.svg").getroot().tag.endswith("svg")


def test_a_case_has_its_timeline_and_what_it_is_like(made):
    _, _, study, page = made
    (task,) = study.tasks
    for method in task.compared:
        own = [case for case in task.cases if case.method == method.label]
        errors = sorted(np.abs(method.points.mean - method.points.true))[::-1]
        worst = [abs(c.mean - c.true) for c in own if c.why == "largest error"]
        assert worst == pytest.approx(errors[:CASES])
        assert len({c.id for c in own}) == len(own) <= 2 * CASES
        assert all(c.surprise > stats.norm.ppf(0.995) for c in own if c.why == "most surprising")
        for case in own:
            assert [p.first for p in case.timeline] == [0, 40, 80]  # three windows of 120 rows
            assert case.timeline[-1].last == 119
            assert case.id not in dict(case.similar)
    assert page.text.count('class="timeline"') == len(task.cases)


def test_it_says_how_far_the_scores_can_be_trusted(made):
    folder, _, study, page = made
    (task,) = study.tasks
    for method in task.compared:
        files = [json.loads(file.read_text()) for file in (folder / "bench").rglob("run.json")]
        known = [f["trust"] for f in files if f["recipe"]["method"] == method.label]
        total, held = (sum(one[name] for one in known) for name in ("samples", "held"))
        sentence = f"the 90% interval held {held}."
        (told,) = [note for note in task.notes if note.startswith(f"{method.label}: of {total} ") and sentence in note]
        assert escape(told) in page.text
        worthless = sum(not one["worth"] for one in known)
        assert any(note.startswith(f"{method.label}: {worthless} of") for note in task.notes) == (worthless > 0)
    assert all(isinstance(case.doubts, tuple) for case in task.cases)
    doubtful = replace(task.cases[0], doubts=("unlike <anything>",))
    assert "unlike &lt;anything&gt;" in html._card(doubtful, "points", 1.0)


def test_a_run_can_be_made_again(made, tmp_path, monkeypatch):
    folder, _, study, _ = made
    fold = study.tasks[0].compared[0].folds[2]
    words = shlex.split(fold.command)
    words[words.index("--out") + 1] = str(tmp_path / "again")
    monkeypatch.setenv("AQAKIT_CACHE", str(folder / "cache"))
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert not stopped.value.code
    again = aqakit.load(tmp_path / "again")
    assert again.description["fingerprint"] == fold.facts["fingerprint"]
    torch.testing.assert_close(again.prediction("test").mean, fold.answer.mean)


def test_without_its_data_a_report_says_so(made, tmp_path, monkeypatch):
    folder, _, study, _ = made
    monkeypatch.setenv("AQAKIT_CACHE", str(folder / "cache"))
    (folder / "my.csv").rename(tmp_path / "my.csv")
    try:
        (task,) = build_study([folder / "bench"]).tasks
    finally:
        (tmp_path / "my.csv").rename(folder / "my.csv")
    assert "could not be opened" in task.notes[-1]
    assert [m.label for m in task.methods] == ["dae", "regression"]
    assert task.methods[0].row(1.0)["mae"] == study.tasks[0].methods[0].row(1.0)["mae"]


def test_runs_that_cannot_be_compared_are_a_sentence(made, tmp_path):
    folder = made[0]
    first = next((folder / "bench").rglob("dae/*/run.json")).parent
    shutil.copytree(first, tmp_path / "copy")
    with pytest.raises(RunError, match=r"no run\.json"):
        build_study([folder / "cache"])
    run_json.write(tmp_path / "copy", {**run_json.read(tmp_path / "copy"), "status": "running"})
    shutil.copytree(first, tmp_path / "good")
    assert "not finished" in build_study([tmp_path], data=False).notes[0]
    with pytest.raises(OptionError, match="no folder"):
        html.write(Study(()), tmp_path / "nowhere" / "r.html")


def test_methods_that_differ_in_an_option_are_told_apart(made, tmp_path):
    folder = made[0]
    first = next((folder / "bench").rglob("dae/*/run.json")).parent
    shutil.copytree(first, tmp_path / "copy")
    stored = run_json.read(tmp_path / "copy")
    stored["recipe"]["settings"]["weight_decay"] = 0.5
    run_json.write(tmp_path / "copy", stored)
    (task,) = build_study([first, tmp_path / "copy"], data=False).tasks
    assert "dae (weight_decay=0.5)" in [m.label for m in task.methods]


def test_anybodys_predictions(tmp_path, monkeypatch):
    rng = np.random.default_rng(1)
    true = rng.normal(50, 10, 60)
    for name, noise in (("mine", 4.0), ("theirs", 9.0)):
        lines = [f"{i},{t},{t + rng.normal(0, noise)},{noise}" for i, t in enumerate(true)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["id,true,mean,std", *lines]) + "\n")
    words = [
        "aqakit",
        "report",
        str(tmp_path / "mine.csv"),
        str(tmp_path / "theirs.csv"),
        "-o",
        str(tmp_path / "r.html"),
    ]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert not stopped.value.code
    found = numbers(Page((tmp_path / "r.html").read_text()))
    table = np.genfromtxt(tmp_path / "mine.csv", delimiter=",", names=True)
    assert found["rows"][0]["spearman"] == pytest.approx(stats.spearmanr(table["true"], table["mean"]).statistic)
    assert found["predictions"]["mine"]["pit"] == pytest.approx(stats.norm.cdf(table["true"], table["mean"], 4.0))
    assert found["groups"] == {"mine": "a", "theirs": "b"}  # errors of 4 and of 9 are no matter of noise
    (tmp_path / "flat.csv").write_text("id,true,mean\na,1,1\nb,1,2\n")
    with pytest.raises(DataError, match="nothing can be ranked"):
        build_study([tmp_path / "flat.csv"])


def test_of_a_runs_own_predictions_the_tested_ones_count(made):
    folder, *_ = made
    run = next((folder / "bench").rglob("dae/*/run.json")).parent
    study = build_study([run / "predictions.csv"])
    (from_file,), (from_run,) = study.tasks[0].methods, build_study([run], data=False).tasks[0].compared
    assert from_file.folds[0].ids == from_run.folds[0].ids
    assert len(from_file.folds) == 1
    assert study.notes == (f"{run / 'predictions.csv'}: only the split test was judged; left out: validation",)


def method(true, mean, std, label="m", **more):
    answer = Normal(torch.tensor(mean), torch.tensor(std))
    ids = tuple(f"v{i}" for i in range(len(true)))
    return MethodResult(label, (FoldResult("f", 0, ids, np.array(true), answer, **more),))


def test_surprise_is_the_distance_in_spreads():
    one = method([1.0, 5.0, 9.0], [1.5, 4.0, 9.0], [0.1, 2.0, 1.0])
    assert one.points.surprise == pytest.approx([5.0, 0.5, 0.0], abs=1e-5)
    assert [(c.id, c.why) for c in cases(one, 1)] == [("v1", "largest error"), ("v0", "most surprising")]
    within = method([1.0, 5.0, 9.0], [1.5, 4.0, 9.0], [0.2, 2.0, 1.0])  # 2.5 spreads are inside the 99 % interval
    assert [(c.id, c.why) for c in cases(within, 3)] == [(f"v{k}", "largest error") for k in (1, 0, 2)]
    assert [c.id for c in cases(within, 1)] == ["v1"]


def test_risk_at_full_coverage_is_the_mean_absolute_error():
    one = method([1.0, 5.0, 9.0], [1.5, 4.0, 9.0], [0.1, 2.0, 1.0])
    assert calibration.risk_coverage(one).risk.tolist() == pytest.approx([0.5, 0.25, 0.5])
    assert one.coverage([0.5, 0.9999], recalibrated=False) == pytest.approx([2 / 3, 2 / 3])
    assert not calibration.silent(one)


def test_without_validation_its_rule_has_no_number():
    test = np.array([0.1, 0.9, 0.4])
    one = method([1.0, 2.0], [1.0, 2.0], [1.0, 1.0], curves={"test": test}, epochs=np.array([1, 3, 4]))
    rows = {r["rule"]: (r["spearman"], r["first"], r["last"]) for r in curves.by_rule(one)}
    assert rows["best-validation"] == (None, None, None)
    assert rows["best-test"] == (0.9, 4, 4)
    assert rows["last-ten"] == (pytest.approx(test.mean()), 2, 5)


def test_tasks_are_averaged_by_fisher():
    scale = ScoreScale(0, 10)
    tasks = [
        TaskResult(name, "p", scale, 10.0, (method([1.0, 2.0, 3.0, 4.0], mean, [1.0] * 4),))
        for name, mean in (("a", [1.0, 2.0, 4.0, 3.0]), ("b", [2.0, 1.0, 4.0, 3.0]))
    ]
    (row,) = Study(tuple(tasks)).over_tasks()
    assert row["spearman"] == pytest.approx(np.tanh((np.arctanh(0.8) + np.arctanh(0.6)) / 2))
    text = html.page(Study(tuple(tasks)), [[], []])
    assert "Over the tasks of a data set" in text
    assert 'href="#task-2"' in text


def test_a_timeline_has_bars_up_and_down():
    text = svg.timeline([Part(0, 15, 2.0), Part(10, 25, -1.0)], "<points>", 4.0)
    bars = re.findall(r'<rect [^>]*y="([\d.]+)"[^>]*height="([\d.]+)" fill="var\(--(\w+)\)"', text)
    assert [(float(y), float(h), c) for y, h, c in bars] == [(13.0, 11.0, "blue"), (24.0, 5.5, "orange")]
    assert "<points>" not in text


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser(made, width, scheme):
    if shutil.which("chromium") is None or importlib.util.find_spec("playwright") is None:
        pytest.skip("needs Chromium and playwright")
    from playwright.sync_api import sync_playwright

    asked, told = [], []
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: told.append(message.text))
        page.goto((made[0] / "report.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        browser.close()
    assert [url for url in asked if not url.startswith("data:")] == [(made[0] / "report.html").as_uri()]
    assert not told
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
