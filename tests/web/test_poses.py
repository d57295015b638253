"""The joints that a run finds in a video are drawn over it, where they are and when they are there."""

from types import SimpleNamespace

import av
import numpy as np
import pytest
from fastapi.testclient import TestClient

import aqakit
from aqakit.backbones import blazepose
from aqakit.errors import DataError, VideoError
from aqakit.recordings import clips
from aqakit.web.app import create_app
from aqakit.web.cards import card
from aqakit.web.limits import Limits
from aqakit.web.poses import FINE, finder, pose
from tests.blazepose import Squares, write_squares
from tests.web.test_desk import LOCAL
from tests.web.test_desk_page import violations
from tests.web.test_page import SIZES, browser, opened, playwright  # noqa: F401 (fixtures)
from tests.web.test_server import LIMITS, ended, folder, free_port, run, send, serving, videos  # noqa: F401 (fixtures)


def looking():
    """A run that follows squares."""
    backbone = blazepose.BlazePose(
        Squares(),
        "squares",
        plan=clips.parse("uniform:count=2:frames=4"),
        subject="largest",
        share=0.1,
        gap=0.05,
        smooth="none",
        layout="joints",
    )
    return SimpleNamespace(backbones={"b": backbone}, sample=lambda path: SimpleNamespace(rate="stored"), folder="run")


def test_joints_are_told_as_shares_of_the_picture_at_the_times_of_its_frames(tmp_path):
    where = np.stack([np.linspace(40, 80, 30), np.full(30, 48.0)], 1)[:, None]
    where[12:20] = np.nan
    found = pose(write_squares(tmp_path / "a.mkv", where, [12]), looking(), Limits())
    assert found.times == pytest.approx(np.arange(30) / 30, abs=1e-3)
    places = np.array([[np.nan if x is None else x for x in frame] for frame in found.places]).reshape(30, 33, 2)
    assert np.isnan(places[14:18]).all()  # longer than the gap that is filled
    seen = np.flatnonzero(~np.isnan(places[:, 0, 0]))
    assert len(seen) > 15
    middle = places[seen].mean(1) / FINE * [128, 96]
    np.testing.assert_allclose(middle, where[seen, 0] + 0.5, atol=2)


def test_who_is_not_looked_for_or_not_there_is_a_sentence(tmp_path):
    empty = write_squares(tmp_path / "a.mkv", np.full((20, 1, 2), np.nan), [12])
    with pytest.raises(DataError, match="nobody is found"):
        pose(empty, looking(), Limits())
    with pytest.raises(VideoError, match="the limit is 10"):
        pose(empty, looking(), Limits(frames=10))
    blind = looking()
    blind.backbones = {}
    assert finder(blind) is None
    with pytest.raises(DataError, match="does not look for joints"):
        pose(empty, blind, Limits())


def test_a_run_that_looks_for_nobody_offers_nothing(run, videos, tmp_path):  # noqa: F811
    made = card("tiny", run.folder)
    assert not made.finds_joints
    app = create_app(tmp_path, {"tiny": run.folder}, {"tiny": made}, limits=LIMITS, local=True)
    with TestClient(app, **LOCAL) as client:
        job = ended(client, send(client, videos[0]).json())
        answer = client.get(f"/api/scores/{job['id']}/pose")
        assert (answer.status_code, "does not look for joints" in answer.json()["detail"]) == (400, True)


def cut(source, out, first, count):
    """Write some frames of a video."""
    with av.open(str(source)) as read, av.open(str(out), "w") as container:
        track = container.add_stream("libx264", rate=30)
        for number, frame in enumerate(read.decode(video=0)):
            if number == first:
                (track.width, track.height), track.pix_fmt = (frame.width // 2 * 2, frame.height // 2 * 2), "yuv420p"
            if first <= number < first + count:
                picture = frame.to_ndarray(format="rgb24")
                container.mux(track.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(track.encode(None))
    return out


@pytest.fixture(scope="module")
def golf(shared_videos, shared_weights, tmp_path_factory):
    place = tmp_path_factory.mktemp("golf")
    lines = ["id,path,score,group"]
    for k in range(4):
        cut(shared_videos / "golf_swing.mp4", place / f"g{k}.mp4", 20 * k, 40)
        lines.append(f"g{k},g{k}.mp4,{50 + 5 * k},h{k}")
    (place / "golf.csv").write_text("\n".join(lines) + "\n")
    backbone = f"blazepose:weights={shared_weights / 'blazepose'}:network=lite:plan=uniform/count=2/frames=8"
    options = {"epochs": 2, "members": 2, "protocol": "all", "cache": place / "cache", "root": place / "golf.csv"}
    made = aqakit.train("regression", data="manifest", backbone=backbone, out=place / "run", **options)
    port = free_port()
    with serving(made.folder, place / "kept", port) as (_, client):
        ids = []
        for k in range(2):
            query = {"run": "run", "name": f"g{k}.mp4"}
            sent = client.post("/api/scores", params=query, content=(place / f"g{k}.mp4").read_bytes())
            ids.append(ended(client, sent.json())["id"])
        yield f"http://127.0.0.1:{port}/", ids, client


def inked(page, canvas, places):
    """Whether something is drawn at each of these places, shares of the picture, of a canvas over a video."""
    return page.evaluate(
        """([name, places]) => {
        const canvas = document.querySelector(name), video = canvas.parentElement.querySelector("video");
        const scale = Math.min(canvas.width / video.videoWidth, canvas.height / video.videoHeight);
        const [wide, tall] = [scale * video.videoWidth, scale * video.videoHeight], pen = canvas.getContext("2d");
        return places.map(([x, y]) => pen.getImageData(
            Math.round((canvas.width - wide) / 2 + wide * x), Math.round((canvas.height - tall) / 2 + tall * y), 1, 1
        ).data[3] > 0);
        }""",
        [canvas, places],
    )


@pytest.mark.slow
def test_the_skeleton_is_where_and_when_the_body_is(browser, golf):  # noqa: F811
    address, ids, client = golf
    told = client.get(f"/api/scores/{ids[0]}/pose", timeout=60).json()
    hips = [told["joints"].index(f"{side}_hip") for side in ("left", "right")]
    for page in opened(browser, address, *SIZES[0], "light"):
        page.goto(f"{address}#{ids[0]}")
        page.wait_for_selector("#show-bones:not([hidden])", timeout=60_000)
        assert page.is_hidden("#bones")
        page.click("#show-bones")
        page.wait_for_selector("#bones:not([hidden])", timeout=60_000)
        for number in (10, 30):
            page.evaluate(f"document.querySelector('#video').currentTime = {(number + 0.5) / 30}")
            page.wait_for_function("() => !document.querySelector('#video').seeking")
            page.wait_for_timeout(300)
            frame = told["places"][number]
            assert all(inked(page, "#bones", [[frame[2 * k] / FINE, frame[2 * k + 1] / FINE] for k in hips]))
            assert not any(inked(page, "#bones", [[0.02, 0.02], [0.98, 0.5]]))
        assert violations(page) == []
        page.click("#show-bones")
        assert page.is_hidden("#bones")
        page.goto(f"{address}#compare/{ids[0]}/{ids[1]}")
        page.wait_for_selector("#compare-show-bones-1:not([hidden])", timeout=60_000)
        page.click("#compare-show-bones-1")
        page.wait_for_selector("#compare-bones-1:not([hidden])", timeout=60_000)
        assert page.is_hidden("#compare-bones-0")
        assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[0][0]
        assert violations(page) == []
