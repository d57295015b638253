"""``aqakit new``: the manifest that it writes, the recipe that it proposes, and that its commands run as printed."""

import io
import json
import shlex
import zipfile
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from PIL import Image

from aqakit.backbones.parts.blazepose import networks
from aqakit.backbones.parts.building import build_backbones
from aqakit.backbones.weights import here
from aqakit.datasets import synthetic_dives
from aqakit.discovery import parse_spec
from aqakit.recordings import video
from tests import blazepose
from tests.cli.test_commands import aqakit
from tests.releases import write_kinematics, write_video
from tests.walkers import pixels

SMALLER = {"train": ["--epochs", "1"]}
"""Options that make a printed command short."""


@pytest.fixture(autouse=True)
def _cache(monkeypatch, tmp_path):
    monkeypatch.setenv("AQAKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def dives(tmp_path_factory):
    """Small rendered dives in two folders, whose names need quotes, and their scores by id."""
    place = tmp_path_factory.mktemp("new") / "Anna's dives"
    (place / "rome").mkdir(parents=True)
    for k, dive in enumerate(synthetic_dives.dives(6)):
        synthetic_dives.render(dive, place / ("rome" if k % 2 else "") / f"dive {k}.mp4", size=64)
    return place


def new(monkeypatch, capsys, folder, *words) -> tuple[dict, str]:
    """What the command writes as JSON, and what it says to a person."""
    assert aqakit(monkeypatch, "new", folder, *words, "--json", "-") == 0
    out, err = capsys.readouterr()
    (row,) = json.loads(out)
    return row, err


def fill(file: Path, **values) -> None:
    """Write scores, and other columns, into a workbook as a spreadsheet program does."""
    book = openpyxl.load_workbook(file)
    sheet = book.worksheets[0]
    names = [cell.value for cell in sheet[1]]
    for line in range(2, sheet.max_row + 1):
        for name, value in ({"score": 40 + 3 * line} | values).items():
            sheet.cell(line, names.index(name) + 1, value)
    book.save(file)


def run(monkeypatch, commands) -> None:
    for command in commands:
        program, *words = shlex.split(command)
        assert program == "aqakit"
        assert aqakit(monkeypatch, *words, *SMALLER.get(words[0], [])) == 0, command


def test_the_printed_commands_run(monkeypatch, capsys, dives):
    row, said = new(monkeypatch, capsys, dives)
    assert (row["reads"], row["recordings"], row["backbone"]) == ("video", 6, "hog_hof")
    assert "needs no weights" in said
    assert row["manifest"].endswith("manifest.xlsx")
    fill(dives / "manifest.xlsx", difficulty=3.1)
    again, said = new(monkeypatch, capsys, dives)
    assert again["scored"] == 6
    assert "nothing was changed" in said
    run(monkeypatch, again["commands"])
    assert "dive 5" in capsys.readouterr().out
    assert new(monkeypatch, capsys, dives)[0]["recordings"] == 6  # the run is no recording


def test_the_sheet_has_names_pictures_and_columns_to_fill(monkeypatch, capsys, dives):
    new(monkeypatch, capsys, dives)
    sheet = openpyxl.load_workbook(dives / "manifest.xlsx").worksheets[0]
    assert [cell.value for cell in sheet[1]] == ["picture", "id", "video", "score", "group", "difficulty"]
    names = [sheet.cell(line, 2).value for line in range(2, 8)]
    assert names == [f"dive {k}" for k in (0, 2, 4)] + [f"rome/dive {k}" for k in (1, 3, 5)]
    assert [image.anchor._from.row for image in sheet._images] == list(range(1, 7))
    with zipfile.ZipFile(dives / "manifest.xlsx") as archive:
        stored = [archive.read(name) for name in archive.namelist() if "media/" in name]
    shown = np.asarray(Image.open(io.BytesIO(stored[0])).convert("RGB"), float)
    source = dives / sheet.cell(2, 3).value
    frame = video.frames(source, [video.probe(source).frames // 2], size=shown.shape[:2])[0]
    assert np.abs(shown - frame).mean() < 6  # of 255: JPEG
    csv = (dives / "manifest.csv").read_text().splitlines()
    assert csv[:2] == ["id,video,score,group,difficulty", "dive 0,dive 0.mp4,,,"]


def test_again_only_new_recordings_are_added(monkeypatch, capsys, tmp_path):
    for name in ("b2", "b10"):
        write_video(tmp_path / f"{name}.avi")
    new(monkeypatch, capsys, tmp_path)
    fill(tmp_path / "manifest.xlsx", group="Zoë")
    filled = "id;video;score;group\r\nb2;b2.avi;7,5;Zoë\r\nb10;b10.avi;8;Zoë".encode("cp1252")
    (tmp_path / "manifest.csv").write_bytes(filled)
    before = (tmp_path / "manifest.xlsx").read_bytes()
    write_video(tmp_path / "=1+1.avi")
    row, said = new(monkeypatch, capsys, tmp_path)
    assert said.count(": 1 row added.\n") == 2
    assert "Nothing that is filled in was changed." in said
    assert (tmp_path / "manifest.csv").read_bytes() == filled + b"\r\n=1+1;=1+1.avi;;\r\n"
    sheet = openpyxl.load_workbook(tmp_path / "manifest.xlsx").worksheets[0]
    rows = [[cell.value for cell in line][1:5] for line in sheet.iter_rows(min_row=2)]
    assert rows == [["b2", "b2.avi", 46, "Zoë"], ["b10", "b10.avi", 49, "Zoë"], ["=1+1", "=1+1.avi", None, None]]
    assert len(sheet._images) == 3
    assert (tmp_path / "manifest.before.xlsx").read_bytes() == before
    assert row["scored"] == 2
    after = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    new(monkeypatch, capsys, tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == after


def test_a_manifest_of_ones_own_is_added_to_under_its_own_names(monkeypatch, capsys, tmp_path):
    for name in ("a", "b"):
        write_video(tmp_path / f"{name}.avi")
    (tmp_path / "manifest.csv").write_text("name;file;points\nfirst;a.avi;7,5\n")
    row, _ = new(monkeypatch, capsys, tmp_path)
    assert (tmp_path / "manifest.csv").read_text() == "name;file;points\nfirst;a.avi;7,5\nb;b.avi;\n"
    assert row["manifest"].endswith("manifest.csv")
    sheet = openpyxl.load_workbook(tmp_path / "manifest.xlsx").worksheets[0]
    assert [sheet.cell(line, 2).value for line in (2, 3)] == ["first", "b"]
    (tmp_path / "manifest.csv").write_text("id,features,score\nfirst,a.avi,7\n")
    assert aqakit(monkeypatch, "new", tmp_path, "--reads", "video") == 1
    assert "manifest.csv has no column 'video'" in capsys.readouterr().err


@pytest.fixture
def people(monkeypatch, tmp_path):
    """Networks that find squares, and videos of squares: with joints that turn about the middle."""
    monkeypatch.setattr(networks, "locate", blazepose.files)
    monkeypatch.setattr(networks, "Networks", blazepose.Squares)
    (tmp_path / "pose_landmarker_full.task").write_bytes(b"")
    for k in range(6):
        path = np.full((24, 1, 2), 30.0) + (k + 1) * np.arange(24)[:, None, None] / 4
        blazepose.write_squares(tmp_path / "films" / f"{k}.mkv", path, [12])
    return tmp_path / "films"


@pytest.fixture(autouse=True)
def _films(tmp_path):
    (tmp_path / "films").mkdir()


def test_where_people_are_found_joints_come_first(monkeypatch, capsys, people):
    row, said = new(monkeypatch, capsys, people, "--weights", people.parent / "pose_landmarker_full.task")
    assert (row["method"], row["backbone"]) == ("trees", "movement:dimensions=2")
    assert "found in 6 of the 6 videos" in said
    assert row["commands"][0].startswith(f"aqakit pose {people} -o {people / 'joints'}")
    assert aqakit(monkeypatch, *shlex.split(row["commands"][0])[1:]) == 0
    capsys.readouterr()
    assert sorted(p.name for p in (people / "joints").iterdir()) == [f"{k}.csv" for k in range(6)]
    write_video(people / "7.mkv")
    again, said = new(monkeypatch, capsys, people, "--weights", people.parent / "pose_landmarker_full.task")
    assert (again["recordings"], again["kinds"]) == (7, ["video"])  # the joints are no recordings of their own
    assert "joints/7.csv" in (people / "manifest.csv").read_text()
    assert "found in 3 of the 4 videos" in said


@pytest.mark.slow
def test_the_commands_for_people_run(monkeypatch, capsys, people):
    row, _ = new(monkeypatch, capsys, people, "--weights", people.parent / "pose_landmarker_full.task")
    fill(people / "manifest.xlsx")
    monkeypatch.setitem(SMALLER, "train", [])
    run(monkeypatch, row["commands"])
    assert "in words" in capsys.readouterr().out


def test_videos_without_people_take_a_pretrained_network(monkeypatch, capsys, people):
    for file in people.iterdir():
        file.unlink()
    write_video(people / "noise.avi")
    folder = people.parent / "cache" / "weights"
    model = folder / "mobilenet"
    model.mkdir(parents=True)
    (model / "config.json").write_text('{"model_type": "mobilenet_v2"}')
    (model / "model.safetensors").write_bytes(b"")
    (folder / "pose_landmarker_full.task").write_bytes(b"")
    row, said = new(monkeypatch, capsys, people)
    assert "A person is found in 0 of the 1 videos" in said
    assert row["backbone"] == f"huggingface:weights={model}"
    (folder / "rgb_imagenet.pt").write_bytes(b"")
    assert new(monkeypatch, capsys, people)[0]["backbone"] == "i3d:weights=rgb_imagenet.pt"
    (model / "config.json").write_text('{"model_type": "bert"}')
    assert not here.is_model(model)


def _signals(folder: Path) -> None:
    for k in range(3):
        np.savetxt(folder / f"{k}.csv", np.random.default_rng(k).normal(size=(60, 4)), delimiter=",")
    np.savetxt(folder / "odd.csv", np.ones((60, 3)), delimiter=",")


def _jigsaws(folder: Path) -> None:
    write_kinematics(folder / "a.txt")


def _joints(folder: Path) -> None:
    np.save(folder / "a.npy", pixels("blazepose33").astype(np.float32))


def _unknown_joints(folder: Path) -> None:
    np.save(folder / "a.npy", np.random.default_rng(0).normal(size=(40, 7, 3)))


def _features(folder: Path) -> None:
    np.savez(folder / "a.npz", features=np.ones((5, 8), np.float32))


@pytest.mark.parametrize(
    ("write", "reads", "backbone"),
    [
        (_signals, None, "kinematics:channels=4"),
        (_jigsaws, None, "kinematics"),
        (_joints, None, "movement:dimensions=2"),
        (_unknown_joints, None, "skeleton:joints=7:dimensions=3"),
        (_features, "features", "precomputed:width=8"),
    ],
)
def test_the_backbone_reads_the_recordings(monkeypatch, capsys, tmp_path, write, reads, backbone):
    folder = tmp_path / "films"
    write(folder)
    row, said = new(monkeypatch, capsys, folder, *(["--reads", reads] if reads else []))
    assert row["backbone"] == backbone
    (built,) = build_backbones([parse_spec(backbone)], 0).values()
    assert built.reads == row["reads"]
    first = folder / (folder / "manifest.csv").read_text().splitlines()[1].split(",")[1]
    assert len(list(built.read(first))) > 0
    assert ("odd.csv: it has 3 columns; most others have 4 columns" in said) == (write is _signals)


def test_a_mixed_folder_takes_the_most_frequent_or_what_is_asked_for(monkeypatch, capsys, tmp_path):
    folder = tmp_path / "films"
    _signals(folder)
    write_video(folder / "one.avi")
    frames = folder / "two"
    frames.mkdir()
    for k in range(4):
        Image.new("RGB", (32, 32), (k, 0, 0)).save(frames / f"{k}.png")
    (folder / "torn.mp4").write_bytes(b"torn")
    row, said = new(monkeypatch, capsys, folder, "--reads", "video")
    assert (row["reads"], row["recordings"], row["kinds"]) == ("video", 2, ["video", "signal"])
    assert "holds 2 videos and 4 tables of motion" in said
    assert "torn.mp4 cannot be read as a video" in said
    assert (folder / "manifest.csv").read_text().splitlines()[1:] == ["one,one.avi,,,", "two,two,,,"]
    for name in ("manifest.csv", "manifest.xlsx"):
        (folder / name).unlink()
    assert new(monkeypatch, capsys, folder)[0]["reads"] == "signal"


@pytest.mark.parametrize(
    ("make", "words", "sentence"),
    [
        (lambda f: None, [], "films holds no recordings: videos"),
        (lambda f: (f / "a.mp4").write_bytes(b"?"), [], "none of 1 files can be used as a recording:"),
        (lambda f: write_video(f / "a.avi"), ["--reads", "features"], "no recording of the kind features, but 1 of"),
        (lambda f: write_video(f / "a.avi"), ["--reads", "films"], "--reads films is not one of video"),
        (lambda f: write_video(f / "a.avi"), ["--weights", "README.md"], "README.md holds no weights"),
        (lambda f: Image.new("RGB", (8, 8)).save(f / "1.png"), [], "is one recording, a folder of its frames"),
        (lambda f: (f / "manifest.csv").write_text("id,score\n"), [], "manifest.csv has an error to correct"),
    ],
)
def test_what_cannot_be_started_with_is_a_sentence(monkeypatch, capsys, tmp_path, make, words, sentence):
    folder = tmp_path / "films"
    make(folder)
    before = sorted(folder.iterdir())
    assert aqakit(monkeypatch, "new", folder, *words) != 0
    assert sentence in capsys.readouterr().err.replace("\n", "")
    assert sorted(folder.iterdir()) == before
