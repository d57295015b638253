"""Times that run backwards, jump or vary; each frame shows its own number, and FFmpeg counts at a constant rate."""

from pathlib import Path

import av
import numpy as np
import pytest

from aqakit.errors import VideoError
from aqakit.recordings import video
from aqakit.recordings.video import files
from aqakit.recordings.video.clock import constant_rate, goes_back, spacing
from tests import hostile
from tests.ffmpeg import needs_ffmpeg, pictures


def numbers(path: Path, wanted=None, **options) -> list[int]:
    return [hostile.number_in(image) for _, image in video.stream(path, wanted, **options)]


def copied(source: Path, target: Path, time=None) -> Path:
    """Copy packets into another container, each shown at ``time(place)``: as it was decoded, if there is no rule."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        track = new.add_stream_from_template(old.streams.video[0])
        for place, packet in enumerate(p for p in old.demux(video=0) if p.size):
            step = round(1 / (25 * packet.time_base))
            packet.pts, packet.dts = step * (time or int)(place), step * (place - 4 if time else place)
            packet.stream = track
            new.mux(packet)
    return target


CODECS = {"libx264": {"bf": "2"}, "mpeg4": {"bf": "2", "b": "20M"}, "libx265": {"x265-params": "log-level=none"}}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
def test_without_composition_times_frames_are_counted_as_they_are_decoded(codec, ending, tmp_path):
    source = hostile.write_video(tmp_path / "a.mkv", 60, codec=codec, options=CODECS[codec])
    path = copied(source, tmp_path / f"b{ending}")
    report = video.Report()
    assert numbers(path, report=report) == list(range(60))
    assert (report.decoded, report.missing) == (60, 0)
    assert numbers(path, [3, 4, 50]) == [3, 4, 50]


def test_also_after_a_jump_to_a_late_frame(tmp_path):
    source = hostile.write_video(tmp_path / "a.mkv", 250, options={"bf": "3"}, gop=30)
    path = copied(source, tmp_path / "b.mp4")
    for first in (0, 101, 121, 150, 199, 247):
        assert numbers(path, range(first, first + 3)) == list(range(first, first + 3))


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_and_where_composition_times_end_in_the_middle(ending, tmp_path):
    source = hostile.write_video(tmp_path / "a.mkv", 96, options={"bf": "3"}, gop=24)
    with av.open(str(source)) as old:
        order = np.argsort(np.argsort([packet.pts for packet in old.demux(video=0) if packet.size])).tolist()
    path = copied(source, tmp_path / f"b{ending}", lambda place: order[place] if place < 48 else place)
    assert numbers(path) == list(range(96))


@pytest.mark.parametrize("ending", [".mkv", ".mp4", ".webm", ".mov", ".flv"])
@pytest.mark.parametrize("jump", [3_600_000, 100_000_000])
def test_a_clock_that_jumps_changes_neither_frames_nor_rate(ending, jump, tmp_path):
    times = [40 * k + jump * (k >= 30) for k in range(60)]
    codec = "libx264" if ending == ".flv" else None
    path = hostile.write_video(tmp_path / f"v{ending}", 60, times=times, codec=codec)
    info = video.probe(path)
    assert (info.frames, info.promised) == (60, 60)
    assert info.rate == pytest.approx(25, rel=0.06)
    assert info.duration == pytest.approx(2.4, rel=0.06)
    assert numbers(path) == list(range(60))


@pytest.mark.parametrize("counts", [(5, 5), (18, 10), (33, 10), (10, 40)])
def test_a_clock_that_is_set_back_does_not_reorder_frames(counts, tmp_path):
    data = b""
    for part, count in enumerate(counts):
        begin = 0 if part else 900
        times = [1000 * begin + 40 * k for k in range(count)]
        shift = part * counts[0]
        path = tmp_path / f"{part}.ts"
        hostile.write_video(path, count, codec="libx264", times=times, show=lambda k, s=shift: hostile.picture(k + s))
        data += path.read_bytes()
    (tmp_path / "v.ts").write_bytes(data)
    assert numbers(tmp_path / "v.ts") == list(range(sum(counts)))
    assert video.probe(tmp_path / "v.ts").rate == pytest.approx(25, rel=0.1)


def test_what_a_clock_says():
    assert spacing([0, 40, 80, 120], 0.001) == 40
    assert spacing([0, 40, 80, 3_600_080, 3_600_120], 0.001) == 40
    assert spacing([0, 600_000, 1_200_000], 0.001) == 600_000, "one frame in ten minutes is no jump"
    assert spacing([7], 0.001) == 0
    order = np.arange(100)
    assert not goes_back(order.tolist())
    assert not goes_back(np.argsort(order ^ 7).tolist()), "frames of eight are reordered"
    assert goes_back([*range(50, 100), *range(50)])


VARIED = {
    "even": lambda rng, n: np.full(n, 40),
    "jittered": lambda rng, n: rng.integers(20, 60, n),
    "some twice as long": lambda rng, n: rng.choice([33, 33, 33, 67], n),
    "pauses": lambda rng, n: rng.choice([20, 40, 400], n, p=[0.6, 0.35, 0.05]),
    "two rates": lambda rng, n: np.r_[np.full(n // 2, 17), np.full(n - n // 2, 40)],
}


@needs_ffmpeg
@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".webm"])
@pytest.mark.parametrize("kind", VARIED)
def test_pictures_at_a_constant_rate_are_those_that_ffmpeg_writes(kind, ending, tmp_path):
    times = VARIED[kind](np.random.default_rng(3), 70).cumsum()
    path = hostile.write_video(tmp_path / f"v{ending}", 70, times=(times - times[0]).tolist())
    theirs = [hostile.number_in(image) for image in pictures(path)]
    assert numbers(path, rate="constant") == theirs
    assert video.probe(path, "constant").frames == len(theirs)
    assert video.probe(path).varies == (theirs != list(range(70)))
    some = [0, 5, 6, 7, len(theirs) - 1]
    assert numbers(path, some, rate="constant") == [theirs[k] for k in some]
    assert numbers(path) == list(range(70)), "frames as they are stored, as ever"


def test_pictures_at_a_constant_rate_repeat_a_frame_while_the_next_is_late(tmp_path):
    assert constant_rate(range(9), [1] * 9, alone=True) == [1] * 9
    assert constant_rate([5, 6, 7], [1] * 3, alone=True) == [1] * 3, "a late start is no repetition"
    assert sum(constant_rate([5, 6, 7], [1] * 3, alone=False)) == 8
    times = [40 * k + 400 * (k >= 10) for k in range(20)]
    path = hostile.write_video(tmp_path / "v.mkv", 20, times=times)
    assert video.probe(path).varies
    assert numbers(path, rate="constant") == [*range(9), *[9] * 10, 10, *range(10, 20)]
    report = video.Report()
    assert numbers(path, range(30), rate="constant", report=report)[-1] == 19
    assert (report.requested, report.decoded, report.missing) == (30, 30, 0)


def test_too_many_pictures_are_refused(tmp_path, monkeypatch):
    times = [40 * k + 100_000 * (k >= 10) for k in range(20)]
    path = hostile.write_video(tmp_path / "v.mkv", 20, times=times)
    monkeypatch.setattr(files, "MOST_PICTURES", 2000)
    with pytest.raises(VideoError, match="clock jumps"):
        video.probe(path, "constant")


def test_folders_and_containers_without_times_are_counted_one_by_one(tmp_path):
    folder = hostile.write_pictures(tmp_path / "frames", 5)
    assert numbers(folder, rate="constant") == [0, 1, 2, 3, 4]
    path = hostile.write_video(tmp_path / "v.avi", 12)
    assert numbers(path, rate="constant") == list(range(12))
    assert not video.probe(path).varies
