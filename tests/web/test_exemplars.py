"""The owner watches the training videos that resemble a scored one; nobody else does, and no other file is sent."""

import av
import pytest
from fastapi.testclient import TestClient

from aqakit.errors import DataError
from aqakit.web import exemplars
from aqakit.web.app import create_app
from aqakit.web.cards import card
from tests.web.test_desk import LOCAL
from tests.web.test_server import LIMITS, folder, run, videos  # noqa: F401 (fixtures)


@pytest.fixture
def client(run, tmp_path):  # noqa: F811
    exemplars._videos.cache_clear()
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
    exemplars._videos.cache_clear()
    sample = run.training_summary.ids[0]
    path = exemplars.learnt_from(run.folder, sample)
    assert path == videos[int(sample[1:])]
    path.rename(path.with_suffix(".away"))
    try:
        with pytest.raises(DataError, match=f"the video of {sample} is gone"):
            exemplars.learnt_from(run.folder, sample)
    finally:
        path.with_suffix(".away").rename(path)
    exemplars._videos.cache_clear()
    (folder / "my.csv").rename(folder / "away.csv")
    try:
        with pytest.raises(DataError, match="cannot be read"):
            exemplars.learnt_from(run.folder, sample)
    finally:
        (folder / "away.csv").rename(folder / "my.csv")
