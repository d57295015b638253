"""``aqakit rank``: from comparisons to a manifest."""

import csv
import json

import pytest

from aqakit.scores import paired_comparison
from tests.cli.test_commands import aqakit


def write(folder, *lines, header="better,worse"):
    (folder / "pairs.csv").write_text("\n".join([header, *lines]) + "\n")
    return folder / "pairs.csv"


def test_scores_are_those_of_the_scale_and_a_manifest_is_written(monkeypatch, capsys, tmp_path):
    file = write(tmp_path, "a.mp4,b.mp4", "b.mp4,c.mp4", "a.mp4,c.mp4", "b.mp4,c.mp4")
    assert aqakit(monkeypatch, "rank", file, "-o", tmp_path / "scores.csv", "--json", tmp_path / "s.json") == 0
    assert "the next comparison that tells most" in " ".join(capsys.readouterr().out.split())
    rows = json.loads((tmp_path / "s.json").read_text())
    assert [row["recording"] for row in rows] == ["a.mp4", "b.mp4", "c.mp4"]
    mid, low, high = paired_comparison.fit(3, [0, 1, 0, 1], [1, 2, 2, 2]).shares()
    for row, *ends in zip(rows, mid, low, high, strict=True):
        assert [row["score"], row["low_90"], row["high_90"]] == pytest.approx([100 * end for end in ends])
    assert [(row["won"], row["lost"]) for row in rows] == [(2, 0), (2, 1), (0, 3)]
    with (tmp_path / "scores.csv").open() as lines:
        written = list(csv.DictReader(lines))
    assert [row["path"] for row in written] == ["a.mp4", "b.mp4", "c.mp4"]
    assert [float(row["score"]) for row in written] == pytest.approx([row["score"] for row in rows], abs=1e-3)


def test_what_is_doubtful_is_said(monkeypatch, capsys, tmp_path):
    file = write(tmp_path, "a;b;2", "b;a;1", "c;d;1", header="Winner;Loser;Count")
    assert aqakit(monkeypatch, "rank", file) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "no comparison links 2 components" in said
    assert "said both ways: a and b" in said
    file = write(tmp_path, "a,b", "b,c", "c,a")
    assert aqakit(monkeypatch, "rank", file) == 0
    assert "a circle, each better than the next: a, b, c, a" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("lines", "header", "said"),
    [
        (["a,a"], "better,worse", "line 2: 'a' is compared with itself"),
        (["a,"], "better,worse", "line 2: worse is empty"),
        (["a,b"], "better,other_one", "there is no column 'worse'"),
        (["a,b,-1"], "better,worse,weight", "line 2: weight '-1'"),
        (["a,b,1e16"], "better,worse,weight", "line 2: weight '1e16' is larger than 1,000,000"),
        ([], "better,worse", "no rows follow the column names"),
    ],
)
def test_mistakes_are_sentences(monkeypatch, capsys, tmp_path, lines, header, said):
    assert aqakit(monkeypatch, "rank", write(tmp_path, *lines, header=header)) == 1
    shown = " ".join(capsys.readouterr().err.split())
    assert said in shown
    assert "Traceback" not in shown
