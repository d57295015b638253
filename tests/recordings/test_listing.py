"""Which recordings are meant by folders and patterns; a shell is the oracle."""

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from aqakit.errors import DataError
from aqakit.recordings import listing
from aqakit.recordings.listing import expand, kinds, walk
from tests.walkers import openpose_folder, pixels


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Videos in two folders, a folder of frames, a folder of joints, and what is no recording."""
    for name in (
        "b10.mp4",
        "b9.MP4",
        "sub/c.mov",
        ".hidden.mp4",
        "notes.md",
        "manifest.csv",
        "run/run.json",
        "run/x.mp4",
        "cover.jpg",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "frames").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "frames" / "1.png")
    openpose_folder(tmp_path, [[frame] for frame in pixels("openpose25")[:3]])
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_stands_for_the_recordings_in_it(place):
    assert expand([place], "video") == [place / name for name in ("b9.MP4", "b10.mp4", "frames", "sub/c.mov")]
    assert expand(["sub", "sub/c.mov", Path("frames")], "video") == [Path("sub/c.mov"), Path("frames")]
    assert expand([place], "skeleton") == [place / "walk"]


def test_the_folder_of_a_run_is_no_recording(place):
    assert kinds(place / "walk") == ("skeleton",)
    (place / "walk" / "run.json").write_text("{}")
    assert kinds(place / "walk") == ()
    assert place / "walk" not in walk(place)


def test_a_folder_that_is_a_recording_stays_one(place):
    assert expand([place / "frames"], "video") == [place / "frames"]
    assert expand([place / "walk"], "skeleton") == [place / "walk"]
    Image.new("RGB", (4, 4)).save(place / "frames" / "2.png")
    (place / "frames" / "masks").mkdir()
    assert expand([place / "frames"], "video") == [place / "frames"]
    (place / "frames" / "a.mp4").write_bytes(b"")
    assert expand([place / "frames"], "video") == [place / "frames" / "a.mp4"]
    (frames := place / "several").mkdir()
    for k in (1, 2):
        (frames / f"{k}.json").write_text(json.dumps(pixels("coco17").tolist()))
    assert expand([frames], "skeleton") == [frames / "1.json", frames / "2.json"]


@pytest.mark.parametrize("pattern", ["*.mp4", "b?.MP4", "**/*.mov", "[bc]1?.*", "sub/*"])
def test_a_pattern_is_read_as_a_shell_does(place, pattern):
    shell = subprocess.run(
        f"shopt -s globstar; ls -d {pattern}", shell=True, executable="/bin/bash", capture_output=True
    )
    assert sorted(map(str, expand([pattern], "video"))) == sorted(shell.stdout.decode().split())


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(place):
    (place / "a[1].mp4").write_bytes(b"")
    (place / "a1.mp4").write_bytes(b"")
    assert expand(["a[1].mp4", "absent[1].mp4"], "video") == [Path("a[1].mp4"), Path("absent[1].mp4")]
    assert expand(["a[1].*"], "video") == [Path("a[1].mp4")]


@pytest.mark.parametrize(
    ("given_", "sentence"),
    [
        ("empty", "empty is a folder without a video"),
        ("walk", "walk is a folder without a video"),
        ("*.avi", "no file matches this pattern; is it right, seen from"),
    ],
)
def test_nothing_is_a_sentence(place, given_, sentence):
    with pytest.raises(DataError, match=sentence.replace("*", r"\*")):
        expand(["b10.mp4", given_], "video")


def test_a_folder_that_contains_itself_is_listed_once(place):
    (place / "sub" / "again").symlink_to(place)
    assert expand([place], "video")[-1] == place / "sub" / "c.mov"


@given(st.lists(st.integers(0, 10**6), unique=True))
def test_numbers_are_sorted_as_numbers(numbers):
    names = sorted((Path(f"dive-{n}.mp4") for n in numbers), key=listing.natural)
    assert [int(name.stem[5:]) for name in names] == sorted(numbers)


def test_what_is_empty_can_be_said_beside_the_rest(place):
    said: list[str] = []
    assert expand(["empty", "b10.mp4", "*.avi"], "video", said) == [Path("b10.mp4")]
    assert [one.split(" ")[0].rstrip(":") for one in said] == ["empty", "*.avi"]
