"""Repetitions and comparisons as a person asks for them."""

import json

import numpy as np
import pytest

from tests.cli.test_commands import aqakit, trained  # noqa: F401  a fixture
from tests.recordings.test_repetitions import bumps


@pytest.fixture(scope="module")
def exercise(tmp_path_factory):
    """A table of four channels with three repetitions, and one in which the second channel is half as large."""
    folder = tmp_path_factory.mktemp("exercise")
    channel, _ = bumps([60, 60, 60], [40, 40, 40, 40], height=50)
    table = channel[:, None] * [1.0, 0.8, -0.5, 0.3]
    np.savetxt(folder / "three.csv", table, delimiter=",")
    np.savetxt(folder / "smaller.csv", table * [1, 0.5, 1, 1], delimiter=",")
    np.savetxt(folder / "still.csv", np.ones((60, 4)), delimiter=",")
    return folder


def test_repetitions_are_listed_drawn_and_written(monkeypatch, capsys, exercise, tmp_path):
    words = ["repetitions", exercise / "three.csv", "--figure", tmp_path / "f.png", "--json", tmp_path / "r.json"]
    assert aqakit(monkeypatch, *words) == 0
    assert "3 repetitions" in capsys.readouterr().out
    rows = json.loads((tmp_path / "r.json").read_text())
    assert [row["repetition"] for row in rows] == [1, 2, 3]
    assert rows[0]["seconds"] == pytest.approx(2, abs=0.2)
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")


def test_no_repetition_is_said_and_exits_with_one(monkeypatch, capsys, exercise):
    assert aqakit(monkeypatch, "repetitions", exercise / "still.csv") == 1
    assert "no repetition found" in capsys.readouterr().err


def test_two_recordings_are_compared_in_names_and_seconds(monkeypatch, capsys, exercise, tmp_path):
    words = ["compare", exercise / "three.csv", exercise / "smaller.csv", "--figure", tmp_path / "f.svg"]
    assert aqakit(monkeypatch, *words, "--rows", 1, "--json", "-") == 0
    found = json.loads(capsys.readouterr().out)[0]
    assert found["differences"][0]["channel"] == "column 2"
    assert "<svg" in (tmp_path / "f.svg").read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["repetitions", "none.csv"], "none.csv: no such file"),
        (["repetitions", "{}/three.csv", "--layout", "coco"], "did you mean 'coco17'"),
        (["repetitions", "{}/three.csv", "--figure", "x.jpg"], "give a .pdf, .png or .svg file"),
        (["compare", "{}/three.csv", "none.csv"], "none.csv: no such file"),
    ],
)
def test_mistakes_are_sentences(monkeypatch, capsys, exercise, words, sentence):
    assert aqakit(monkeypatch, *(word.format(exercise) for word in words)) != 0
    err = capsys.readouterr().err
    assert sentence in " ".join(err.split())
    assert "Traceback" not in err


def test_every_repetition_is_scored(monkeypatch, capsys, trained, exercise):  # noqa: F811
    files = [exercise / "three.csv", exercise / "still.csv"]
    assert aqakit(monkeypatch, "predict", trained / "run", *files, "--repetitions", "--json", "-") == 1
    shown = capsys.readouterr()
    rows = json.loads(shown.out)
    assert [row["recording"].rpartition(" #")[2][:1] for row in rows] == ["1", "2", "3"]
    assert "still.csv: no repetition found" in shown.err
