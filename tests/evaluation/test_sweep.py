"""Shares of labels in one table: as a benchmark each, with differences in pairs worked by hand, and figures."""

import json
import sys
from itertools import product
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats

import aqakit
from aqakit import cli, discovery, report
from aqakit.errors import OptionError
from aqakit.evaluation.benchmark import benchmark
from aqakit.evaluation.sweep import sweep
from aqakit.metrics import comparison
from aqakit.metrics.accuracy import spearman
from aqakit.report import sweep_figures
from aqakit.report.semi_supervised import Traces, traces
from aqakit.system import configuration
from tests.report.pdf import check_pdf
from tests.training.test_run import BACKBONE, make_manifest

S4AQA = "s4aqa:base=regression:width=8"
SHARES = ["50%", "100%"]
MODULES = ["AA", "AA+RDA", "AA+MSFR", "AA+MSFR+RDA"]


def make_split_manifest(folder):
    """Two thirds to learn from."""
    file = make_manifest(folder)
    head, *rows = file.read_text().splitlines()
    halves = [f"{row},{'test' if number % 3 == 0 else 'train'}" for number, row in enumerate(rows)]
    file.write_text("\n".join([f"{head},split", *halves]) + "\n")
    return file


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    manifest = make_split_manifest(folder)
    common = {"root": manifest, "backbones": [BACKBONE], "cache": folder / "cache", "epochs": 2, "seeds": 2}
    options = common | {"labels": SHARES, "ablation": True, "out": folder / "out"}
    return folder, sweep("manifest", methods=["regression", S4AQA], **options), common, options


def test_all_tasks_of_data_without_tasks_are_the_one(swept):
    folder, found, common, _ = swept
    again = sweep("manifest", methods=["regression"], task="all", out=folder / "all", **common)
    kept = ("method", "task", "spearman", "low", "high")
    wanted = [{n: row[n] for n in kept} for row in rows_of(found, "methods", labels="100%") if row["method"] != S4AQA]
    assert [{n: row[n] for n in kept} for row in again.table.rows] == wanted
    assert again.first_runs[0].keys() == {"regression"}
    with pytest.raises(OptionError, match="manifest has one task, which has no name; omit task="):
        sweep("manifest", methods=["regression"], task="vault", **common)


def rows_of(found, table, **wanted):
    return [row for row in found.of(table) if all(row[name] == value for name, value in wanted.items())]


def test_all_labels_are_a_benchmark_without_shares_and_few_are_one_with(swept):
    _, found, common, _ = swept
    for share, labels in (("100%", None), ("50%", "50%")):
        alone = benchmark("manifest", methods=["regression"], labels=labels, **common).rows
        ours = {row["method"]: row for row in rows_of(found, "methods", labels=share)}
        assert ours.keys() == {row["method"] for row in alone} | {S4AQA}
        for row in alone:
            for name in ("spearman", "low", "high", "mae", "crps", "samples", "spearman_by_fold_and_seed"):
                np.testing.assert_array_equal(row[name], ours[row["method"]][name])


def test_the_table_has_a_column_for_each_share(swept):
    _, found, _, _ = swept
    assert [list(row) for row in found.table.rows] == [["method", "task", "rule", *SHARES]] * 6
    assert [row["method"] for row in found.table.rows[:2]] == ["regression", S4AQA]
    assert found.table.rows[-1]["method"].startswith("floor")
    for row in found.table.rows:
        for share in SHARES:
            (full,) = rows_of(found, "methods", labels=share, method=row["method"])
            assert row[share] == full["spearman"]
    json.dumps(found.rows)


def predicted(folder, share, method):
    """(n,) truths and (seeds, n) answers of finished runs."""
    files = sorted((folder / "out" / share / "manifest" / method.replace(":", ",")).glob("*/run.json"))
    runs = [aqakit.load(file.parent) for file in files]
    means = np.stack([run.prediction("test").mean.numpy() for run in runs])
    return runs[0].truth("test"), means, runs[0].groups("test")


def test_the_ablation_is_the_papers_and_its_differences_are_paired(swept):
    folder, found, _, _ = swept
    printed = found.ablation[0]
    assert [(row["labels"], row["module"]) for row in printed.rows] == list(product(SHARES, MODULES))
    words = {"AA": ":recovery=0:alignment=0", "AA+RDA": ":recovery=0"}
    (row,) = [r for r in printed.rows if (r["labels"], r["module"]) == ("50%", "AA+RDA")]
    true, other, groups = predicted(folder, "50%", S4AQA + words["AA+RDA"])
    _, base, _ = predicted(folder, "50%", S4AQA + words["AA"])
    by_hand = [[stats.spearmanr(true, answer).statistic for answer in answers] for answers in (other, base)]
    assert row["difference"] == pytest.approx(np.mean(by_hand[0]) - np.mean(by_hand[1]))
    pair = comparison.over_samples(spearman, true, other, base, groups=groups)
    assert (row["from"], row["to"]) == pytest.approx((pair.low, pair.high))
    assert [r["difference"] for r in printed.rows if r["module"] == "AA"] == [0, 0]


def test_the_full_variant_is_the_method_itself_and_without_unlabelled_rows_all_are_the_base(swept):
    _, found, _, _ = swept
    for share in SHARES:
        (full,) = rows_of(found, "ablation", labels=share, module="AA+MSFR+RDA")
        assert full["spearman"] == rows_of(found, "methods", labels=share, method=S4AQA)[0]["spearman"]
    assert {row["difference"] for row in rows_of(found, "ablation", labels="100%")} == {0}


def test_traces_are_of_unlabelled_videos(swept):
    folder, found, common, _ = swept
    looked = traces(found, common["cache"])
    assert {(t.method, t.labels, t.name) for t in looked.terms} == {
        (S4AQA, "50%", n) for n in ("recovery", "adversarial")
    }
    runs = sorted((folder / "out" / "50%" / "manifest" / S4AQA.replace(":", ",")).glob("*/run.json"))
    first = json.loads(runs[0].read_text())["losses"]
    recovery = next(term.values for term in looked.terms if term.name == "recovery")
    assert recovery.shape == (len(runs), 2)
    assert recovery[0].tolist() == [epoch["recovery"] for epoch in first]
    assert [one.title for one in looked.maps] == MODULES
    for one in looked.maps:
        count = {kind: one.kind.count(kind) for kind in set(one.kind)}
        assert count == {"labelled": 10, "unlabelled": 10, "masked": 10}
        assert one.position.shape == (30, 2)
        assert np.isfinite(one.score).all()
        np.testing.assert_array_equal(
            one.score[np.array(one.kind) == "masked"], one.score[np.array(one.kind) == "unlabelled"]
        )


def test_a_second_sweep_trains_nothing_and_says_the_same(swept):
    folder, found, _, options = swept
    written = {p: p.stat().st_mtime_ns for p in (folder / "out").rglob("*") if p.is_file()}
    again = sweep("manifest", methods=["regression", S4AQA], **options)
    assert repr(again.rows) == repr(found.rows)
    assert {p: p.stat().st_mtime_ns for p in (folder / "out").rglob("*") if p.is_file()} == written


@pytest.fixture(scope="module")
def gridded(swept):
    _, _, common, _ = swept
    module = discovery.find("methods", "s4aqa")
    method = f"{S4AQA}:recovery=30:alignment=2"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "GRID", {"recovery": (0, 1), "alignment": (0.1, 1, 3)})
        return sweep("manifest", methods=[method], labels=["50%"], grid=True, **{**common, "seeds": 1})


def test_a_grid_is_every_combination_of_multiples(gridded):
    found = gridded
    cells = [(row["recovery"], row["alignment"]) for row in found.grid[0].rows]
    assert cells == list(product((0, 30), (0.2, 2, 6)))
    (full,) = rows_of(found, "grid", recovery=30, alignment=2)
    assert full["spearman"] == rows_of(found, "methods")[0]["spearman"]
    assert "optimistic" in found.grid[0].notes[0]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"labels": ["10%", "some"]}, r"labels: 'some' should be a percentage"),
        ({"labels": ["10%", ""]}, "labels: '' should be"),
        ({"labels": ["10%", "10.0%"]}, "10% and 10.0% are the same share"),
        ({"labels": ["40", "50%", "40"]}, "40 and 40 are the same share"),
        ({"ablation": True, "methods": ["regression"]}, "--ablation: no method asked for .* s4aqa"),
        ({"grid": True, "methods": ["regression", "vat"]}, "--grid: no method asked for .* s4aqa"),
        ({"grid": True, "methods": ["s4aqa:recovery=0"]}, "recovery=0, which has no multiples"),
        ({"methods": ["s4aqb"], "ablation": True}, "did you mean 's4aqa'"),
    ],
)
def test_mistakes_are_sentences_before_anything_is_trained(swept, options, sentence):
    _, _, common, _ = swept
    with pytest.raises(OptionError, match=sentence):
        sweep("manifest", **{"methods": ["regression"], **common, **options})


def test_figures_show_the_numbers_and_are_files(swept, gridded, tmp_path):
    _, found, common, _ = swept
    files = [
        *sweep_figures.write(found, traces(found, common["cache"]), tmp_path),
        *sweep_figures.write(gridded, Traces([], []), tmp_path),
    ]
    names = ["spearman-by-labels", "representations", "unlabelled-losses", "spearman-by-weights"]
    assert [file.stem for file in files] == names
    for file in files:
        assert file.read_bytes().startswith(b"\x89PNG")
        assert ET.parse(file.with_suffix(".svg")).getroot().tag.endswith("svg")
        check_pdf(file.with_suffix(".pdf"))


def lines(figure: Figure) -> dict:
    return {line.get_label(): line for axes in figure.axes for line in axes.get_lines()}


def test_lines_are_the_spearman_of_the_rows_and_floors_are_dashed(swept):
    _, found, _, _ = swept
    drawn = lines(sweep_figures.shares(found))
    for row in found.table.rows:
        line = drawn[row["method"]]
        assert line.get_ydata() == pytest.approx([row[share] for share in SHARES])
        assert line.is_dashed() is row["method"].startswith("floor")


def test_a_heat_map_has_the_cells_of_the_table(gridded):
    axes = sweep_figures.grid(gridded.grid[0].rows).axes[0]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("recovery", "alignment")
    shown = axes.get_images()[0].get_array()
    assert shown.ravel().tolist() == [row["spearman"] for row in gridded.grid[0].rows]


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        (["100%", "10%"], [1, 0]),
        (["1", "10", "100"], [0, 0.5, 1]),
        (["column:jury", "10%"], [0, 1]),
        (["10", "10%"], [0, 1]),
    ],
)
def test_where_shares_stand(shares, expected):
    where, _ = sweep_figures._positions(shares)
    assert [where[share] for share in shares] == pytest.approx(expected)


@pytest.mark.slow
def test_the_command_prints_the_tables_and_writes_rows_and_figures(swept, monkeypatch, capsys, tmp_path):
    folder, found, _, _ = swept
    monkeypatch.setenv("AQAKIT_CACHE", str(folder / "cache"))
    words = ["benchmark", "manifest", "--root", folder / "my.csv", "--backbone", BACKBONE, "--labels", "50%,100%"]
    words += ["--methods", f"regression,{S4AQA}", "--ablation", "--seeds", 2, "--epochs", 2, "--out", folder / "out"]
    words += ["--json", tmp_path / "s.json", "--figures", tmp_path / "figures"]
    monkeypatch.setattr(sys, "argv", ["aqakit", *map(str, words)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert not stopped.value.code
    out = capsys.readouterr().out
    assert "Spearman by share of labels" in out
    assert "ablation of s4aqa" in out
    assert len(json.loads((tmp_path / "s.json").read_text())) == len(found.rows)
    assert {file.suffix for file in (tmp_path / "figures").glob("*.*")} == {".pdf", ".png", ".svg"}
    assert {file.name for file in (tmp_path / "figures").iterdir() if file.is_dir()} == {"50%", "100%"}
    assert (tmp_path / "figures" / "100%" / "training-losses.png").exists()


def test_figures_of_one_share_are_those_of_a_report(swept, monkeypatch, capsys, tmp_path):
    folder, _, _, _ = swept
    monkeypatch.setenv("AQAKIT_CACHE", str(folder / "cache"))
    words = ["benchmark", "manifest", "--root", folder / "my.csv", "--backbone", BACKBONE, "--methods", "dae"]
    words += ["--epochs", 2, "--members", 2, "--out", tmp_path / "out", "--figures", tmp_path / "figures"]
    monkeypatch.setattr(sys, "argv", ["aqakit", *map(str, words)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert not stopped.value.code
    assert "by share of labels" not in capsys.readouterr().out
    report.write.write_report([tmp_path / "out"], tmp_path / "r.html", figures=tmp_path / "report", data=False)
    drawn, expected = ({file.name for file in (tmp_path / one).iterdir()} for one in ("figures", "report"))
    assert drawn == expected
    assert {"training-spread-dae.pdf", "training-losses.pdf", "training-losses.svg"} <= drawn


def test_what_method_files_declare_can_be_run():
    modules = {name: discovery.find("methods", name) for name in discovery.names("methods")}
    apart = [name for name, module in modules.items() if hasattr(module, "ABLATION") or hasattr(module, "GRID")]
    assert "s4aqa" in apart
    for name in apart:
        defaults = configuration.configure(name, modules[name].build, {})
        for changed in getattr(modules[name], "ABLATION", {}).values():
            configuration.configure(name, modules[name].build, changed)
        grid = getattr(modules[name], "GRID", {})
        assert len(grid) in (0, 2)  # a heat map has two sides
        assert all(defaults[option] and 1 in factors for option, factors in grid.items())
