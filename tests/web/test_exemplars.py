"""The owner sees the training recordings that resemble a scored one; nobody else does, and no other file is sent."""

import base64
import io

import av
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from aqakit.errors import DataError
from aqakit.recordings import video
from aqakit.web import exemplars
from aqakit.web.app import create_app
from aqakit.web.cards import card
from tests.web import squats
from tests.web.test_desk import LOCAL
from tests.web.test_server import LIMITS, folder, run, videos  # noqa: F401 (fixtures)


@pytest.fixture
def client(run, tmp_path):  # noqa: F811
    exemplars._recordings.cache_clear()
    app = create_app(tmp_path, {"tiny": run.folder}, {"tiny": card("tiny", run.folder)}, limits=LIMITS, local=True)
    with TestClient(app, **LOCAL) as client:
        yield client


def asked(client, sample, **more):
    return client.get("/api/exemplar", params={"run": "tiny", "sample": sample}, **more)


def test_a_training_video_is_sent_as_browsers_play_it(client, run, videos, tmp_path):  # noqa: F811
    sample = run.training_summary.ids[0]
    answer = asked(client, sample)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
    (tmp_path / "sent.mp4").write_bytes(answer.content)
    (path,) = [path for n, path in enumerate(videos) if f"v{n}" == sample]
    counts = []
    for one in (path, tmp_path / "sent.mp4"):
        with av.open(one) as container:
            counts.append(sum(1 for _ in container.decode(video=0)))
    assert counts[0] == counts[1]


def test_nothing_else_is_sent(client, run, videos):  # noqa: F811
    for name in ("v99", "../v0", str(videos[0])):
        answer = asked(client, name)
        assert answer.status_code == 404
        assert "from which this run has learnt" in answer.json()["detail"]
    assert asked(client, run.training_summary.ids[0], headers={"x-forwarded-for": "192.0.2.9"}).status_code == 403
    assert client.get("/api/exemplar", params={"run": "other", "sample": "v0"}).status_code == 404


def test_a_video_or_a_manifest_that_is_gone_is_said(run, videos, folder):  # noqa: F811
    exemplars._recordings.cache_clear()
    sample = run.training_summary.ids[0]
    path = exemplars.learnt_from(run.folder, sample)
    assert path == videos[int(sample[1:])]
    path.rename(path.with_suffix(".away"))
    try:
        with pytest.raises(DataError, match=f"the video of {sample} is gone"):
            exemplars.learnt_from(run.folder, sample)
    finally:
        path.with_suffix(".away").rename(path)
    exemplars._recordings.cache_clear()
    (folder / "my.csv").rename(folder / "away.csv")
    try:
        with pytest.raises(DataError, match="cannot be read"):
            exemplars.learnt_from(run.folder, sample)
    finally:
        (folder / "away.csv").rename(folder / "my.csv")


def seen(client, *samples, **more):
    return client.get("/api/exemplars", params={"run": "tiny", "sample": samples}, **more)


def test_videos_are_seen_before_they_are_played(client, run, videos):  # noqa: F811
    sample = run.training_summary.ids[0]
    found = seen(client, sample, "v99").json()
    assert [one["sample"] for one in found] == [sample, "v99"]
    kind, _, data = found[0]["picture"].partition(",")
    assert kind == "data:image/jpeg;base64"
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    (middle,) = video.frames(videos[int(sample[1:])], [video.probe(videos[int(sample[1:])]).frames // 2])
    assert picture.width / picture.height == pytest.approx(middle.shape[1] / middle.shape[0], rel=0.02)
    assert np.asarray(picture).mean() == pytest.approx(middle.mean(), abs=3)
    assert found[1]["picture"] is None
    assert "from which this run has learnt" in found[1]["problem"]
    assert seen(client, sample, headers={"x-forwarded-for": "192.0.2.9"}).status_code == 403
    assert seen(client, *map(str, range(11))).status_code == 422


def test_skeletons_and_tables_are_seen_as_bones_and_curves(tmp_path):
    (tmp_path / "bad.csv").write_text("a,b\n1,x\n")
    np.save(tmp_path / "table.npy", np.arange(30.0).reshape(10, 3))
    paths = [squats.write(tmp_path / "a.csv", 0.4, 20), tmp_path / "bad.csv"]
    bones, broken = exemplars.glimpses(paths, ["a", "b"], "skeleton", None)
    assert (len(bones.figure.times), bones.figure.bones, bones.problem) == (
        exemplars.FRAMES,
        list(squats.LAYOUT.bones),
        "",
    )
    assert broken.figure is None
    assert broken.problem.startswith("b")
    (table,) = exemplars.glimpses([tmp_path / "table.npy"], ["t"], "signal", None)
    assert table.curves.names == ["column 1", "column 2", "column 3"]
