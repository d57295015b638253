"""Two videos paired in time, and a video made for browsers."""

import threading
import time

import av
import numpy as np
import pytest
from fastapi import HTTPException
from fastapi.testclient import TestClient

from aqakit.errors import VideoError
from aqakit.recordings import video
from aqakit.web import viewer
from aqakit.web.aligning import videos as align
from aqakit.web.app import create_app
from aqakit.web.hub import Hub
from aqakit.web.jobs import new_id
from aqakit.web.limits import Limits
from aqakit.web.viewing import transcode
from tests.hostile import write_video
from tests.web.test_desk import LOCAL

RATE = 25


def moving(moment):
    """A bright square that crosses the picture on a curve, over a still background."""
    picture = np.full((48, 64, 3), 40, np.uint8)
    picture[:, ::8] = 90
    x, y = 4 + 50 * moment, 20 + 16 * np.sin(5 * moment)
    picture[int(y) : int(y) + 8, int(x) : int(x) + 8] = 240
    return picture


def clip(path, moments):
    return write_video(path, len(moments), show=lambda k: moving(moments[k]))


def test_the_same_clip_at_half_speed_is_paired_with_twice_the_time(tmp_path):
    first = clip(tmp_path / "a.mp4", np.linspace(0, 1, 50))
    second = clip(tmp_path / "b.mp4", np.linspace(0, 1, 100))
    found = align(first, second, Limits())
    a, b = np.array(found["pairs"]).T
    assert (np.diff(a) > 0).all()
    assert (np.diff(b) >= 0).all()
    assert np.abs(b - 2 * a).max() <= 3 / RATE
    assert found["seconds"] == pytest.approx([2, 4], abs=0.05)
    back = np.array(align(second, first, Limits())["pairs"])
    assert np.abs(back[:, 1] - back[:, 0] / 2).max() <= 3 / RATE


def test_a_pause_is_waited_for(tmp_path):
    steady = np.linspace(0, 1, 60)
    first = clip(tmp_path / "a.mp4", steady)
    second = clip(tmp_path / "b.mp4", np.concatenate([steady[:30], np.full(25, steady[30]), steady[30:]]))
    a, b = np.array(align(first, second, Limits())["pairs"]).T
    early, late = a < 25 / RATE, a > 35 / RATE
    assert np.abs(b[early] - a[early]).max() <= 3 / RATE
    assert np.abs(b[late] - a[late] - 25 / RATE).max() <= 3 / RATE


def test_a_video_is_made_that_browsers_play(tmp_path):
    source = write_video(tmp_path / "a.avi", 30, codec="mpeg4")
    assert transcode(source, tmp_path / "out", Limits()) == {"kind": "video/mp4"}
    with av.open(str(tmp_path / "out")) as made:
        stream = made.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
    before, after = (video.frames(path, range(30)).astype(float) for path in (source, tmp_path / "out"))
    assert np.abs(before - after).mean() < 6
    with pytest.raises(VideoError, match="30 frames"):
        transcode(source, tmp_path / "out", Limits(frames=29))


def test_the_pace_of_a_video_stays(tmp_path):
    shown = [0, 40, 80, 500, 540, 900, 940, 980]
    source = write_video(tmp_path / "a.mkv", len(shown), times=shown)
    transcode(source, tmp_path / "out", Limits())
    assert video.times(tmp_path / "out") == pytest.approx(np.array(shown) / 1000, abs=0.002)


@pytest.fixture
def client(tmp_path):
    app = create_app(tmp_path, {}, {}, limits=Limits(seconds=60), local=True)
    app.state.hub = Hub(tmp_path, {}, {}, Limits(seconds=60))
    return TestClient(app, **LOCAL)


def stored(client, path, name):
    job_id, hub = new_id(), client.app.state.hub
    (hub.videos / job_id).write_bytes(path.read_bytes())
    hub.jobs.add(name, "r", None, 1, job_id=job_id)
    return job_id


@pytest.mark.slow
def test_endpoints_pair_and_convert_and_name_what_cannot_be_read(client, tmp_path):
    good = stored(client, clip(tmp_path / "a.mp4", np.linspace(0, 1, 20)), "a.mp4")
    (tmp_path / "text").write_text("no video " * 50)
    bad = stored(client, tmp_path / "text", "text.mp4")
    pairs = client.get("/api/alignment", params={"a": good, "b": good}).json()["pairs"]
    assert [a for a, _ in pairs] == pytest.approx([b for _, b in pairs], abs=0.05)
    refused = client.get("/api/alignment", params={"a": good, "b": bad})
    assert refused.status_code == 400
    assert refused.json()["detail"].startswith("text.mp4 cannot be read as a video")
    made = client.get(f"/api/scores/{good}/playable")
    assert made.headers["content-type"] == "video/mp4"
    assert made.content[4:8] == b"ftyp"
    assert not list(tmp_path.glob("playable-*"))
    assert client.get("/api/alignment", params={"a": good, "b": new_id()}).status_code == 404


def test_few_look_at_recordings_at_the_same_time_and_few_wait(monkeypatch):
    monkeypatch.setattr(viewer, "_ONE", threading.BoundedSemaphore(1))
    monkeypatch.setattr(viewer, "_ROOM", threading.BoundedSemaphore(2))
    monkeypatch.setattr(viewer, "PATIENCE", 0.2)
    with viewer._turn():
        with pytest.raises(HTTPException, match="503"), viewer._turn():  # waits in vain
            pass
        with viewer._ROOM:
            began = time.monotonic()
            with pytest.raises(HTTPException, match="503"), viewer._turn():
                pass
            assert time.monotonic() - began < 0.1
    with viewer._turn():
        pass
