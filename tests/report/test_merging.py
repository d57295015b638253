"""Several sources in one table: what is merged, what is refused, and where each number stands."""

import json

import numpy as np
import pytest

from aqakit.errors import DataError, OptionError
from aqakit.report.merging import collect
from aqakit.report.pivot import pivot
from tests.cli.test_commands import aqakit
from tests.report.test_tables import parsed, row

PLACES = {"aqa7": ("diving", "gym_vault"), "fis_v": ("fis_v",)}


@pytest.fixture
def files(tmp_path):
    """A benchmark of two tasks, one of another data set, and the numbers in them."""
    rng, known, written = np.random.default_rng(0), {}, []
    for data, tasks in PLACES.items():
        rows = []
        for task in tasks:
            for method in ("dae", "usdl", "floor: constant"):
                value = round(float(rng.uniform(0.2, 0.9)), 3)
                rule = "–" if "floor" in method else "held-out"
                where = data if data == task else f"{data} {task}"
                rows.append(row(method, value, "a", data=data, task=task, rule=rule, labels=None))
                known[method, where] = value
        written.append(tmp_path / f"{data}.json")
        written[-1].write_text(json.dumps(rows))
    return written, known


def test_every_number_stands_in_its_row_and_column(files):
    paths, known = files
    found, notes = collect(paths)
    assert not notes
    table = pivot(found, ["spearman"])
    assert {(r["method"], c): float(r[c].text) for r in table.rows for c in r if c != "method"} == known
    turned = pivot(found, ["spearman"], "data")
    assert {(c, r["data"]): float(r[c].text) for r in turned.rows for c in r if c != "data"} == known
    assert [r["method"] for r in table.rows] == ["dae", "usdl", "floor: constant"]


def test_the_command_writes_what_it_prints(files, monkeypatch, capsys, tmp_path):
    paths, known = files
    words = [
        "table",
        *paths,
        "--metrics",
        "spearman,mae",
        "--markdown",
        tmp_path / "t.md",
        "--json",
        tmp_path / "t.json",
    ]
    assert aqakit(monkeypatch, *words) == 0
    out = capsys.readouterr().out
    assert "protocol: official; rule: held-out; seeds: 3; members: 5" in " ".join(out.split())
    (read,) = parsed((tmp_path / "t.md").read_text())
    assert len(read[0]) == 1 + 2 * 3
    assert read[0][1][0] == "aqa7 diving, Spearman ρ ↑"
    assert all(f"{value:.3f}" in out for value in known.values())
    rows = json.loads((tmp_path / "t.json").read_text())
    assert {r["source"] for r in rows} == {str(path) for path in paths}


def test_letters_hold_within_one_source(tmp_path):
    """Bold by letters in one file; by intervals where a second file adds a method to the same data."""
    near = [row("dae", 0.80, "a"), row("usdl", 0.79, "b")]
    (tmp_path / "one.json").write_text(json.dumps(near))
    (tmp_path / "two.json").write_text(json.dumps([row("tpt", 0.5, "a")]))
    one = pivot(collect([tmp_path / "one.json"])[0], ["spearman"])
    both = pivot(collect([tmp_path / "one.json", tmp_path / "two.json"])[0], ["spearman"])
    bold = [[r["method"] for r in t.rows if any(getattr(c, "bold", False) for c in r.values())] for t in (one, both)]
    assert bold == [["dae"], ["dae", "usdl"]]
    assert "same letter" in one.bold
    assert "which is no test" in both.bold


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a list of result rows"),
        ('{"method": "dae"}', "is not a list of result rows"),
        ("[3]", "is not a list of result rows"),
        ('[{"a": 1}]', "row 1 has no method"),
        ('[{"split": "test", "intervals": "as predicted", "spearman": 0.5}]', "give the run folder instead"),
        ('[{"method": "a", "task": "t", "rule": "last", "spearman": "0.5"}]', "spearman is '0.5', which is no number"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_what_is_no_result_is_refused(tmp_path, content, sentence):
    file = tmp_path / "x.json"
    file.write_text(content)
    with pytest.raises(DataError, match=sentence) as caught:
        collect([file])
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        ([row("usdl", 0.5, "a", rule="last")], r"rules are mixed: held-out \(.*one.json\) and last \(.*two.json\)"),
        (
            [row("usdl", 0.5, "a", protocol="event-held-out")],
            "set: protocols are mixed: official .* and event-held-out",
        ),
        ([row("usdl", 0.5, "a"), row("usdl", 0.5, "a")], "usdl on set is in it twice"),
        ([row("floor: constant", 0.3, None, rule="–")], "floor: constant on set is not the same in .*one.json and"),
    ],
)
def test_what_cannot_stand_beside_each_other_is_refused(tmp_path, second, sentence):
    first = [row("dae", 0.6, "a"), row("floor: constant", 0.0, None, rule="–")]
    for name, rows in (("one", first), ("two", second)):
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))
    with pytest.raises(OptionError, match=sentence):
        collect([tmp_path / "one.json", tmp_path / "two.json"])


def test_a_method_before_and_after_is_named_by_its_source_and_taken_once_if_it_is_the_same(tmp_path):
    floor = row("floor: constant", 0.0, None, rule="–")
    for name, value in (("before", 0.6), ("after", 0.7), ("again", 0.7)):
        (tmp_path / f"{name}.json").write_text(json.dumps([row("dae", value, "a"), row("usdl", 0.5, "a"), floor]))
    found, _ = collect([tmp_path / "before.json", tmp_path / "after.json"])
    shown = {one.method: one.row["spearman"] for one in found}
    assert shown == {"dae (before)": 0.6, "dae (after)": 0.7, "usdl": 0.5, "floor: constant": 0.0}
    assert all(one.row["group"] is None for one in found if "dae" in one.method)  # letters are of one source
    found, _ = collect([tmp_path / "after.json", tmp_path / "again.json"])
    assert [one.method for one in found] == ["dae", "usdl", "floor: constant"]


def test_two_manifests_are_two_data_sets_and_one_however_it_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    roots = {"one": "squats.csv", "two": str(tmp_path / "squats.csv"), "three": "dives.csv"}
    for name, root in roots.items():
        rows = [row(name, 0.6, "a", data="manifest", task="manifest", root=root)]
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))
    found, _ = collect([tmp_path / "one.json", tmp_path / "two.json"])
    assert {one.where for one in found} == {"manifest"}
    found, _ = collect([tmp_path / f"{name}.json" for name in roots])
    assert [one.where for one in found] == ["manifest (squats)", "manifest (squats)", "manifest (dives)"]


def test_one_rule_of_several_is_taken(tmp_path):
    rows = [row("dae", 0.6, "a"), row("dae", 0.7, None, rule="best-test (optimistic)", optimistic=True)]
    (tmp_path / "one.json").write_text(json.dumps([*rows, row("floor: constant", 0.0, None, rule="–")]))
    (tmp_path / "two.json").write_text(json.dumps([row("usdl", 0.5, "a"), row("floor: constant", 0.0, None, rule="–")]))
    paths = [tmp_path / "one.json", tmp_path / "two.json"]
    found, _ = collect(paths, rule="held-out")
    assert [one.method for one in found] == ["dae", "floor: constant", "usdl"]
    with pytest.raises(OptionError, match="no row has the rule 'best'; did you mean 'best-test'"):
        collect(paths, rule="best")
    with pytest.raises(OptionError, match="is given twice"):
        collect([paths[0], paths[0]])
    with pytest.raises(OptionError, match="did you mean 'kendall'"):
        pivot(found, ["kendal"])
    assert pivot(collect(paths, rule="best-test")[0], ["spearman"]).facts["rule"] == "best-test (optimistic)"


def test_other_test_samples_are_said(tmp_path):
    (tmp_path / "one.json").write_text(json.dumps([row("dae", 0.6, "a"), row("usdl", 0.5, "a", samples=70)]))
    (note,) = pivot(collect([tmp_path / "one.json"])[0], ["spearman"]).notes
    assert note == "set: not the same test samples, so no comparison: dae 353, usdl 70."
