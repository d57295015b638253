"""Videos of any container, and damage of any kind; each frame shows its own number, which is the oracle."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aqakit.errors import VideoError
from aqakit.recordings import video
from tests import hostile


def _numbers(path, wanted=None, **options):
    return [hostile.number_in(image) for _, image in video.stream(path, wanted, **options)]


@pytest.mark.parametrize("ending", hostile.CODECS)
def test_every_container_gives_every_frame_in_order(ending, tmp_path):
    path = hostile.write_video(tmp_path / f"v{ending}", 40)
    info = video.probe(path)
    assert (info.frames, info.promised, info.height, info.width) == (40, 40, hostile.HEIGHT, hostile.WIDTH)
    assert info.rate == pytest.approx(25, rel=0.03)
    assert info.duration == pytest.approx(1.6, rel=0.03)
    assert _numbers(path) == list(range(40))


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_a_folder_is_read_in_the_order_of_its_numbers(ending, tmp_path):
    path = hostile.write_pictures(tmp_path / "frames", 12, ending, first=95)  # 95 … 106
    assert video.probe(path).frames == 12
    assert _numbers(path, [11, 3, 4]) == [3, 4, 11]


def test_frames_keep_order_and_repetitions_and_take_a_table(tmp_path):
    path = hostile.write_video(tmp_path / "v.mp4", 20)
    images = video.frames(path, [7, 3, 3, 19])
    assert [hostile.number_in(i) for i in images] == [7, 3, 3, 19]
    clips = video.frames(path, np.array([[0, 1], [1, 2]]), size=(24, 32))
    assert clips.shape == (2, 2, 24, 32, 3)
    np.testing.assert_array_equal(clips[0, 1], clips[1, 0])


def test_numbers_are_places_where_the_rate_varies(tmp_path):
    times = np.cumsum(np.random.default_rng(1).integers(5, 200, 50)).tolist()
    path = hostile.write_video(tmp_path / "v.mkv", 50, times=times)
    assert video.probe(path).frames == 50
    assert _numbers(path, [0, 17, 33, 49]) == [0, 17, 33, 49]
    assert video.probe(path).rate == pytest.approx(49 / ((times[-1] - times[0]) / 1000), rel=1e-3)


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".webm"])
def test_jumping_to_a_late_frame_gives_the_frames_of_a_full_pass(ending, tmp_path):
    path = hostile.write_video(tmp_path / f"v{ending}", 250, gop=30)
    for first in (101, 119, 120, 121, 149, 150, 248):
        assert _numbers(path, range(first, min(first + 3, 250))) == list(range(first, min(first + 3, 250)))


def test_a_video_of_one_frame(tmp_path):
    path = hostile.write_video(tmp_path / "v.mp4", 1)
    assert video.probe(path).frames == 1
    assert video.frames(path, [0, 0]).shape == (2, hostile.HEIGHT, hostile.WIDTH, 3)


def test_hidden_reference_frames_of_vp8_are_not_counted(tmp_path):
    options = {"auto-alt-ref": "1", "lag-in-frames": "16", "arnr-maxframes": "5"}
    path = hostile.write_video(tmp_path / "v.webm", 60, options=options)
    assert video.probe(path).frames == 60
    assert _numbers(path) == list(range(60))


@pytest.mark.parametrize("clockwise", [90, 180, 270])
def test_frames_stand_upright(clockwise, tmp_path):
    plain = hostile.write_video(tmp_path / "plain.mp4", 3)
    turned = hostile.rotate(Path(shutil.copy(plain, tmp_path / "turned.mp4")), clockwise)
    upright = np.rot90(video.frames(plain, [2]), -clockwise // 90, axes=(1, 2))
    np.testing.assert_array_equal(video.frames(turned, [2]), upright)
    info = video.probe(turned)
    assert (info.height, info.width) == upright.shape[1:3]
    assert info.rotation == 360 - clockwise
    assert video.frames(turned, [2], size=(20, 30)).shape == (1, 20, 30, 3)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_resizing_agrees_with_pillow(interpolation, tmp_path):
    path = hostile.write_video(tmp_path / "v.mp4", 3, options={"crf": "0"})
    whole, small = (
        video.frames(path, [2])[0],
        video.frames(path, [2], size=(24, 32), interpolation=interpolation)[0],
    )
    expected = np.asarray(Image.fromarray(whole).resize((32, 24), Image.Resampling[interpolation.upper()]))
    assert np.abs(small.astype(float) - expected).mean() < 3
    again = video.frames(path, [2], size=lambda h, w: (h // 2, w // 2), interpolation=interpolation)[0]
    np.testing.assert_array_equal(small, again)


@pytest.mark.parametrize(("name", "make"), hostile.VIDEOS, ids=[name for name, _ in hostile.VIDEOS])
def test_hostile_files_are_refused_in_one_sentence(name, make, tmp_path):
    path = make(tmp_path)
    with pytest.raises(VideoError) as caught:
        list(video.stream(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_numbers_outside_the_video_are_refused(tmp_path):
    path = hostile.write_video(tmp_path / "v.avi", 5)
    for wrong in ([5], [-1], []):
        with pytest.raises(VideoError, match="requested"):
            video.frames(path, wrong)
    with pytest.raises(VideoError, match="resized"):
        video.frames(path, [0], size=(0, 5))


def test_a_file_cut_short_gives_what_is_there_and_says_so(tmp_path):
    path = hostile.write_video(tmp_path / "v.mp4", 100, container={"movflags": "faststart"}, gop=10)
    info, report = video.probe(hostile.cut_short(path, 0.75)), video.Report()
    assert 50 < info.frames < 95
    assert info.promised == pytest.approx(100, abs=5)  # frames that are shown out of order hide some
    images = [hostile.number_in(i) for i in video.frames(path, range(info.promised), report=report)]
    assert images[: info.frames - 10] == list(range(info.frames - 10))
    assert report.missing >= info.promised - info.frames
    assert report.decoded + report.missing == report.requested == info.promised
    assert len(set(images)) == report.decoded, "missing frames repeat the one before them"
    assert images == sorted(images)
    assert images[-1] == images[info.frames - 1], "missing frames at the end repeat the last readable one"
    assert f"{report.missing} missing" in report.sentence()
    assert "cut off" in report.sentence()


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".mov", ".webm", ".avi"])
def test_flipped_bytes_never_shift_the_frames_behind_them(ending, tmp_path):
    path = hostile.write_video(tmp_path / f"v{ending}", 120, gop=10, noise=120)
    whole, report = video.frames(path, range(120)), video.Report()
    found = video.frames(hostile.damage(path, 45, 55), range(120), report=report)
    assert (found != whole).any(), "the damage must matter"
    numbers = [hostile.number_in(image) for image in found]
    assert numbers[:40] == list(range(40))
    assert numbers[70:] == list(range(70, 120))
    assert report.decoded + report.missing == report.requested == 120


def test_an_unreadable_picture_is_replaced_by_the_one_before(tmp_path):
    path, report = hostile.write_pictures(tmp_path / "frames", 8), video.Report()
    (path / "img_5.png").write_bytes(b"nothing")
    assert _numbers(path, [0, 5, 7], report=report) == [0, 4, 7]
    assert (report.decoded, report.missing) == (2, 1)
    (path / "img_0.png").write_bytes(b"nothing")
    assert _numbers(path, [0, 1, 2]) == [1, 1, 2]


def test_too_few_readable_frames_are_an_error_that_counts_them(tmp_path):
    path = hostile.write_pictures(tmp_path / "frames", 9)
    for number in range(2, 8):
        (path / f"img_{number}.png").write_bytes(b"nothing")
    with pytest.raises(VideoError, match="only 3 of the 9 frames"):
        list(video.stream(path))


def test_files_are_found_again_after_they_change(tmp_path):
    path = hostile.write_video(tmp_path / "v.mp4", 10)
    assert video.probe(path).frames == 10
    assert video.probe(hostile.write_video(path, 15)).frames == 15


def test_names_are_never_taken_for_protocols_or_patterns(tmp_path):
    path = hostile.write_video(tmp_path / "http:x%03d.mkv", 3)
    assert _numbers(path) == [0, 1, 2]


def test_memory_does_not_grow_with_length(tmp_path):
    path = hostile.write_video(tmp_path / "v.mp4", 250)
    code = (
        "import resource, sys; from aqakit.recordings import video\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "size = dict(size=(480, 640))\n"
        "list(zip(range(60), video.stream(sys.argv[1], **size))); before = peak()\n"
        "for _ in video.stream(sys.argv[1], **size): pass\n"
        "print((peak() - before) / 1024)"
    )
    grown = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert float(grown.stdout) < 20, "250 frames of 0.9 MB must not be held"


def test_real_videos(shared_videos):
    expected = {"aqa7_diving_054.avi": 103, "platform_dive_handstand.gif": 21, "golf_swing.mp4": 264}
    for name, count in expected.items():
        report = video.Report()
        images = video.frames(shared_videos / name, range(0, count, 20), size=(64, 64), report=report)
        assert video.probe(shared_videos / name).frames == count
        assert report.decoded == report.requested == len(images)
        assert images.std() > 20
