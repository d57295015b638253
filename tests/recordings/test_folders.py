"""Folders of pictures: one sequence or a refusal that names what is there; the kind by content; gaps are said."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aqakit.errors import VideoError
from aqakit.recordings import video
from aqakit.recordings.video import folders
from tests import hostile


def fill(folder: Path, *names: str) -> Path:
    """Pictures, of which the k-th shows k; FORMAT after a bar, if it is not that of the ending."""
    folder.mkdir(exist_ok=True)
    for k, name in enumerate(names):
        name, _, kind = name.partition("|")
        Image.fromarray(hostile.picture(k)).save(
            folder / name, format=kind or None, **({"quality": 95} if "jp" in name else {})
        )
    return folder


def numbers(path: Path, **options) -> list[int]:
    return [hostile.number_in(image) for _, image in video.stream(path, **options)]


SEVERAL = {
    "flow fields": (["img_1.jpg", "img_2.jpg", "flow_x_1.jpg", "flow_y_1.jpg"], ["img_*.jpg (2)", "flow_x_*.jpg (1)"]),
    "two endings": (["f1.jpg", "f2.jpg", "f1.png"], ["f*.jpg (2)", "f*.png (1)"]),
    "endings in two cases": (["f1.jpg", "f2.JPG"], ["f*.jpg (1)", "f*.JPG (1)"]),
    "copies": (["0.jpg", "1.jpg", "1 (copy).jpg"], ["*.jpg (2)", "* (copy).jpg (1)"]),
    "numbered copies": (["0.jpg", "1.jpg", "1 (2).jpg"], ["* (2).jpg (1)"]),
    "two prefixes": (["a_1.png", "a_2.png", "b_3.png"], ["a_*.png (2)", "b_*.png (1)"]),
    "prefixes in two cases": (["IMG_1.png", "img_2.png"], ["IMG_*.png (1)", "img_*.png (1)"]),
    "two cameras": (["cam1_001.png", "cam1_002.png", "cam2_001.png", "cam2_002.png"], ["cam1_*.png (2)"]),
    "a cover": (["1.png", "2.png", "cover.png"], ["cover.png (1)", "*.png (2)"]),
    "no numbers": (["a.png", "b.png"], ["a.png (1)", "b.png (1)"]),
}


@pytest.mark.parametrize("kind", SEVERAL)
def test_several_sequences_are_refused_and_named(kind, tmp_path):
    names, said = SEVERAL[kind]
    folder = fill(tmp_path / "frames", *names)
    with pytest.raises(VideoError) as caught:
        video.probe(folder)
    assert str(caught.value).startswith(str(folder))
    for pattern in said:
        assert pattern in str(caught.value)


def test_a_picture_of_another_size_is_refused_by_name(tmp_path):
    folder = fill(tmp_path / "frames", "1.png", "2.png", "3.png")
    with Image.open(folder / "2.png") as picture:
        width, height = picture.size
        picture.rotate(90, expand=True).save(folder / "2.png")  # a turned camera is none of another size
        picture.resize((width, height + 2)).save(folder / "3.png")
    assert len(list(video.stream(folder, [0, 1]))) == 2
    with pytest.raises(VideoError, match=rf"3\.png has {width} × {height + 2} pixels"):
        list(video.stream(folder))


def test_a_number_that_is_there_twice_is_refused(tmp_path):
    with pytest.raises(VideoError, match=r"1\.png and 01\.png|01\.png and 1\.png"):
        video.probe(fill(tmp_path / "frames", "01.png", "1.png", "2.png"))


ONE = {
    "plain": ["1.png", "2.png", "10.png"],
    "zeros": ["0009.png", "0010.png", "0011.png"],
    "a constant number before": ["take2_cam1_8.png", "take2_cam1_9.png", "take2_cam1_10.png"],
    "a constant number behind": ["8_v2.png", "9_v2.png", "10_v2.png"],
    "one picture": ["frame7.png"],
    "very large": [f"{10**30 + k}.png" for k in range(3)],
}


@pytest.mark.parametrize("kind", ONE)
def test_one_sequence_is_read_in_the_order_of_its_numbers(kind, tmp_path):
    folder = fill(tmp_path / "frames", *ONE[kind])
    (folder / "labels_1.txt").write_text("no picture")
    (folder / "._frame1.png").write_bytes(b"a file of macOS")
    assert numbers(folder) == list(range(len(ONE[kind])))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP", "TIFF"])
@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_the_kind_of_a_picture_is_that_of_its_content(kind, ending, tmp_path):
    folder = fill(tmp_path / "frames", *(f"{k}{ending}|{kind if k % 2 else 'PNG'}" for k in range(4)))
    report = video.Report()
    assert numbers(folder, report=report) == [0, 1, 2, 3]
    assert (report.decoded, report.missing) == (4, 0)


def test_gaps_are_said_but_steps_are_none(tmp_path):
    report = video.Report()
    folder = fill(tmp_path / "gaps", "3.png", "4.png", "7.png", "8.png")
    assert numbers(folder, report=report) == [0, 1, 2, 3]
    assert (video.probe(folder).gaps, report.gaps) == (2, 2)
    assert "2 missing" in report.sentence()
    assert not report.ok
    assert video.probe(fill(tmp_path / "steps", "0.png", "5.png", "10.png")).gaps == 0
    assert video.probe(fill(tmp_path / "one", "5.png")).gaps == 0


def test_a_jpeg_without_its_end_is_damaged(tmp_path):
    folder, report = fill(tmp_path / "frames", *(f"{k}.jpg" for k in range(4))), video.Report()
    whole = (folder / "2.jpg").read_bytes()
    (folder / "2.jpg").write_bytes(whole[:-40])
    assert len(numbers(folder, report=report)) == 4
    assert (report.decoded, report.corrupt) == (4, 1)
    assert "1 damaged" in report.sentence()


def test_a_folder_is_listed_once_while_it_does_not_change(tmp_path, monkeypatch):
    folder = hostile.write_pictures(tmp_path / "frames", 6)
    os.utime(folder, times=(time.time() - 60, time.time() - 60))
    listed, real = [], folders._survey
    monkeypatch.setattr(folders, "_survey", lambda path: listed.append(path) or real(path))
    for _ in range(5):
        assert video.probe(folder).frames == 6
    assert len(listed) == 1
    (folder / "img_5.png").rename(folder / "img_9.png")
    assert video.probe(folder).gaps == 4
    (folder / "img_9.png").unlink()
    assert video.probe(folder).frames == 5, "a folder that has just changed is listed every time"


def test_verifying_counts_what_reading_would_replace(tmp_path):
    folder = hostile.write_pictures(tmp_path / "frames", 10)
    for k in (2, 3, 7):
        (folder / f"img_{k}.png").write_bytes(b"broken")
    found = video.verify(folder)
    assert (found.requested, found.decoded, found.missing) == (10, 7, 3)
    found = video.verify(folder, [[0, 1], [6, 7, 8]])
    assert (found.requested, found.decoded, found.missing) == (5, 4, 1)
    for k in range(10):
        (folder / f"img_{k}.png").write_bytes(b"broken") if k else None
    assert video.verify(folder).missing == 9
    assert np.array_equal(video.frames(folder, [0])[0], video.frames(folder, [0])[0])
