"""``aqakit predict`` as a coach gives it recordings: folders, patterns, a manifest; and what stands in its files."""

import csv
import json
import shutil
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from PIL import Image

import aqakit as package
from tests.cli.test_commands import aqakit
from tests.releases import write_video
from tests.training.test_run import BACKBONE, make_manifest


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on signals whose score is multiplied by a difficulty, and three recordings in a folder."""
    folder = tmp_path_factory.mktemp("predict")
    manifest = make_manifest(folder)
    run = package.train(
        "dae", data="manifest", root=manifest, backbone=BACKBONE, out=folder / "run", epochs=3, target="total",
        cache=folder / "cache",
    )  # fmt: skip
    for k in (2, 10, 9):
        (folder / "new").mkdir(exist_ok=True)
        shutil.copy(folder / f"{k}.npy", folder / "new")
    return run


def scored(monkeypatch, capsys, *words) -> list[dict]:
    assert aqakit(monkeypatch, "predict", *words, "--json", "-") == 0
    return json.loads(capsys.readouterr().out)


def test_a_folder_and_an_unexpanded_pattern_are_the_files_in_it(monkeypatch, capsys, trained):
    place = trained.folder.parent / "new"
    (place / "notes.md").write_text("none of them")
    files = [place / f"{k}.npy" for k in (2, 9, 10)]
    one_by_one = scored(monkeypatch, capsys, trained.folder, *files, "--difficulty", 2)
    for given in (place, place / "*.npy", place.parent / "ne?" / "*.npy"):
        rows = scored(monkeypatch, capsys, trained.folder, given, "--difficulty", 2)
        assert [row["recording"] for row in rows] == list(map(str, files))
        assert [row["score"] for row in rows] == [row["score"] for row in one_by_one]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("none/*.npy", "none/*.npy: no file matches this pattern"),
        ("empty", "empty is a folder without a table"),
    ],
)
def test_nothing_to_score_is_a_sentence(monkeypatch, capsys, trained, tmp_path, given, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert aqakit(monkeypatch, "predict", trained.folder, given) == 1
    assert sentence in capsys.readouterr().err
    words = ["predict", trained.folder, given, trained.folder.parent / "2.npy", "--difficulty", 2, "--json", "-"]
    assert aqakit(monkeypatch, *words) == 1
    out, err = capsys.readouterr()
    assert (len(json.loads(out)), sentence in err) == (1, True)


def test_each_row_has_its_own_difficulty_its_run_and_its_date(monkeypatch, capsys, trained, tmp_path):
    file = trained.folder.parent / "two.csv"
    file.write_text("id,path,score,difficulty\na,2.npy,,1.6\nb,2.npy,,3.2\nc,9.npy,,\n")
    before = datetime.now(UTC).replace(microsecond=0)
    table = tmp_path / "s.csv"
    rows = scored(monkeypatch, capsys, trained.folder, "--manifest", file, "--difficulty", 2, "--csv", table)
    assert [row["difficulty"] for row in rows] == [1.6, 3.2, 2]
    assert rows[1]["score"] == pytest.approx(2 * rows[0]["score"], abs=1e-3)
    assert {row["run"] for row in rows} == {str(trained.folder)}
    times = [datetime.fromisoformat(row["date"]) for row in rows]
    assert all(before <= time <= datetime.now(UTC) + timedelta(seconds=1) for time in times)
    assert {"familiar", "unfamiliar", "in_training", "held_90", "held_out_samples", "worth"} <= set(rows[0])
    assert [one["in_training"] for one in rows] == [name not in trained.ids("test") for name in ("r02", "r02", "r09")]
    written = list(csv.DictReader(table.open()))
    assert [(row["score"], row["date"]) for row in written] == [(str(row["score"]), row["date"]) for row in rows]


def test_digits_are_those_that_mean_something(monkeypatch, capsys, trained):
    (row,) = scored(monkeypatch, capsys, trained.folder, trained.folder.parent / "2.npy", "--difficulty", 2)
    exact = trained.predict(trained.folder.parent / "2.npy", difficulty=2)
    step = 10.0 ** (np.floor(np.log10(trained.labels.scale.span)) - 4)
    for name, value in (("score", float(exact.mean)), ("std", float(exact.std))):
        assert row[name] == pytest.approx(value, abs=step / 2 * 1.001)
        assert np.round(row[name] / step) * step == pytest.approx(row[name], abs=1e-12)
    assert len(str(row["familiar"])) <= 6


def test_segments_are_of_one_recording(monkeypatch, capsys, trained, tmp_path):
    (tmp_path / "parts.txt").write_text("1 40 reach\n")
    words = ["predict", trained.folder, trained.folder.parent / "new", "--segments", tmp_path / "parts.txt"]
    assert aqakit(monkeypatch, *words) == 2
    assert "segments are the parts of one recording, and 3 are to be scored" in capsys.readouterr().err


def test_a_folder_of_frames_is_one_video_and_a_folder_of_videos_is_several(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("AQAKIT_CACHE", str(tmp_path / "cache"))
    for k in range(6):
        write_video(tmp_path / "films" / f"{k}.avi", frames=16, seed=k)
    rows = [f"{k},films/{k}.avi,{k}" for k in range(6)]
    (tmp_path / "my.csv").write_text("\n".join(["id,path,score", *rows]))
    frames = tmp_path / "films" / "frames"
    frames.mkdir()
    for k in range(16):
        Image.new("RGB", (32, 32), (16 * k, 0, 0)).save(frames / f"{k}.png")
    words = ["--data", "manifest", "--root", tmp_path / "my.csv", "--backbone", "c3d_small", "--finetune"]
    assert aqakit(monkeypatch, "train", "regression", *words, "--epochs", 1, "-o", tmp_path / "run") == 0
    capsys.readouterr()
    rows = scored(monkeypatch, capsys, tmp_path / "run", tmp_path / "films")
    assert [row["recording"] for row in rows] == [
        *(str(tmp_path / "films" / f"{k}.avi") for k in range(6)),
        str(frames),
    ]
    (alone,) = scored(monkeypatch, capsys, tmp_path / "run", frames)
    assert alone["score"] == rows[-1]["score"]
