"""``aqakit pose``: files, folders, sentences."""

import csv
import json

import numpy as np
import pytest

from aqakit.backbones.parts.blazepose import networks
from aqakit.recordings import video
from tests import blazepose
from tests.cli.test_commands import aqakit


@pytest.fixture
def squares(monkeypatch, tmp_path):
    """Networks that find squares; and two videos of one, and one of none."""
    monkeypatch.setattr(networks, "locate", blazepose.files)
    monkeypatch.setattr(networks, "Networks", blazepose.Squares)
    for name, where in (("one", 30.0), ("two", 60.0), ("none", np.nan)):
        path = np.full((20, 1, 2), where) + np.arange(20)[:, None, None]
        blazepose.write_squares(tmp_path / f"{name}.mkv", path, [12])
    return tmp_path


def test_one_video_gives_a_table_a_drawing_and_json(squares, monkeypatch, capsys):
    words = ["--overlay", squares / "o.mp4", "--json", squares / "j.json", "--smooth", "one-euro"]
    assert aqakit(monkeypatch, "pose", squares / "one.mkv", "-o", squares / "new" / "one.csv", *words) == 0
    assert "20 frames in" in capsys.readouterr().err
    rows = list(csv.DictReader((squares / "new" / "one.csv").open()))
    assert len(rows) == 20
    assert float(rows[3]["time_s"]) == pytest.approx(0.1, abs=1e-3)
    (said,) = json.loads((squares / "j.json").read_text())
    assert (said["frames"], said["found"], said["share_in_view"]) == (20, 20, 1.0)
    assert said["unit"].startswith("pixels")
    assert video.probe(squares / "o.mp4").frames == 20


def test_several_videos_go_into_folders_and_one_without_anybody_is_said(squares, monkeypatch, capsys):
    videos = [squares / f"{name}.mkv" for name in ("one", "none", "two")]
    code = aqakit(monkeypatch, "pose", *videos, "-o", squares / "out", "--overlay", squares / "drawn")
    assert code == 1
    err = capsys.readouterr().err.replace("\n", "")
    assert "none.mkv: nobody is found in its 20 frames" in err
    assert sorted(p.name for p in (squares / "out").iterdir()) == ["one.csv", "two.csv"]
    assert sorted(p.name for p in (squares / "drawn").iterdir()) == ["one.mp4", "two.mp4"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--subject", "him"], "subject 'him' should be"),
        (["--network", "best"], "--network best is not one of full, lite, heavy"),
        (["--smooth", "much"], "--smooth much is not one of"),
        (["--overlay", "o.avi"], "o.avi should end with .mp4"),
    ],
)
def test_a_wrong_option_is_a_sentence_and_nothing_is_written(squares, monkeypatch, capsys, words, sentence):
    monkeypatch.chdir(squares)
    assert aqakit(monkeypatch, "pose", "one.mkv", "-o", "a.csv", *words) == 2
    assert sentence in capsys.readouterr().err.replace("\n", "")
    assert not (squares / "a.csv").exists()


def test_without_networks_it_says_how_to_get_them(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("AQAKIT_CACHE", str(tmp_path))
    assert aqakit(monkeypatch, "pose", tmp_path / "a.mp4", "-o", tmp_path / "a.csv") == 1
    assert "aqakit weights get blazepose-full" in capsys.readouterr().err.replace("\n", " ")
