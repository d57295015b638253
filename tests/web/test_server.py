"""The page's server: a queue that loses nothing, a worker that may die, and what strangers are refused."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient

import aqakit
import aqakit.web
from aqakit.errors import DataError, OptionError, VideoError
from aqakit.explanation import occlusion
from aqakit.explanation.contributions import explain
from aqakit.recordings.video import probe
from aqakit.web.app import create_app
from aqakit.web.hub import Hub
from aqakit.web.jobs import ATTEMPTS, MIGRATIONS, Jobs, new_id
from aqakit.web.limits import Limits
from aqakit.web.scorer import Worker
from aqakit.web.server import card, named
from tests.hostile import cut_short, write_video

BACKBONE = "c3d_small:size=16:frames=4:clips=3:width=2"
LIMITS = Limits(upload=2**20, seconds=60)
URL = "http://localhost"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("web")


@pytest.fixture(scope="module")
def videos(folder):
    return [write_video(folder / f"{n}.mp4", 30 + n) for n in range(12)]


@pytest.fixture(scope="module")
def run(folder, videos):
    rows = [f"v{n},{path.name},{10 + 5 * n},g{n % 4}" for n, path in enumerate(videos)]
    (folder / "my.csv").write_text("\n".join(["id,path,score,group", *rows]) + "\n")
    options = {"epochs": 2, "validation": 0.25, "cache": folder / "cache", "root": folder / "my.csv"}
    return aqakit.train("dae", data="manifest", backbone=BACKBONE, out=folder / "tiny", **options)


@pytest.fixture(scope="module")
def client(folder, run):
    app = create_app(folder / "served", {"tiny": run.folder}, {"tiny": card("tiny", run.folder)}, limits=LIMITS)
    with TestClient(app, base_url=URL) as client:
        yield client


def send(client, path, **query):
    return client.post("/api/scores", params={"run": "tiny", "name": path.name} | query, content=path.read_bytes())


def ended(client, job, within=60):
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        found = client.get(f"/api/scores/{job['id']}").json()
        if found["status"] in ("finished", "failed"):
            return found
        time.sleep(0.05)
    raise AssertionError(f"not done within {within} s: {found}")


def followed(client, job):
    with client.stream("GET", f"/api/scores/{job['id']}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        return [json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: ")]


def test_a_video_is_followed_to_the_answer_that_predict_gives(client, run, videos):
    response = send(client, videos[3])
    assert response.status_code == 202
    *_, last = followed(client, response.json())
    assert last["status"] == "finished", last
    result, answer = last["result"], run.predict(videos[3])
    assert result["score"] == pytest.approx(float(answer.mean), rel=1e-5)
    for interval in result["intervals"]:
        scale = run.labels.scale
        low, high = (min(max(float(e), scale.low), scale.high) for e in answer.interval(interval["level"]))
        assert (interval["low"], interval["high"]) == pytest.approx((low, high), rel=1e-4)
    drawn, possible = result["curve"]["scores"], [torch.tensor(end) for end in (scale.low, scale.high)]
    assert scale.low <= drawn[0] < drawn[-1] <= scale.high
    low, high = (float(answer.cdf(end)) for end in possible)
    assert np.trapezoid(result["curve"]["density"], drawn) == pytest.approx(high - low, abs=0.05)
    explained = explain(run, videos[3])
    assert [c["contribution"] for c in result["clips"]] == pytest.approx([c.points for c in explained.clips], abs=1e-4)
    assert [(c["first"], c["last"]) for c in result["clips"]] == [(c.first, c.last) for c in explained.clips]
    assert [e["id"] for e in result["exemplars"]] == [e.id for e in explained.exemplars]
    assert result["clips"][1]["start"] == pytest.approx(result["clips"][1]["first"] / 25)
    assert all(c["still"].startswith("data:image/jpeg;base64,") for c in result["clips"])
    moments = result["moments"]
    assert len(moments) == 6
    assert [moments[0]["first"], moments[1]["last"]] == [result["clips"][0]["first"], result["clips"][0]["last"]]
    grey = occlusion.occlusion(run, videos[3], 1, cells=1, moments=2)[:, 0, 0]
    assert [-moments[2]["contribution"], -moments[3]["contribution"]] == pytest.approx(grey[[0, -1]], abs=1e-4)
    assert client.get(f"/api/scores/{last['id']}/video").content == videos[3].read_bytes()


def test_a_video_that_cannot_be_read_gets_a_sentence_without_our_paths(client, folder):
    text = folder / "text.mp4"
    text.write_text("this is no video\n" * 50)
    halved = cut_short(write_video(folder / "halved.mp4", 40), 0.5)  # the index of an MP4 is at its end
    mostly_gone = cut_short(write_video(folder / "gone.mkv", 100), 0.45)
    sentences = ["cannot be read as a video", "cannot be read as a video", "is cut off: only"]
    for path, sentence in zip((text, halved, mostly_gone), sentences, strict=True):
        job = ended(client, send(client, path).json())
        assert job["status"] == "failed"
        assert job["problem"].startswith(path.name)
        assert sentence in job["problem"]
        assert str(folder) not in job["problem"]


def test_what_is_left_of_a_cut_video_is_scored_with_a_note(client, folder):
    job = ended(client, send(client, cut_short(write_video(folder / "cut.mkv", 100), 0.8)).json())
    assert job["status"] == "finished", job
    assert any("cut.mkv is cut off" in note for note in job["result"]["notes"])


def test_too_large_is_413_whether_it_is_said_or_not(client, folder):
    large = bytes(LIMITS.upload + 1)
    pieces = (large[i : i + 65536] for i in range(0, len(large), 65536))
    for content in (large, pieces):
        response = client.post("/api/scores", params={"run": "tiny"}, content=content)
        assert response.status_code == 413
        assert "larger than 1 MB" in response.json()["detail"]
    kept = sqlite3.connect(folder / "served" / "jobs.sqlite").execute("SELECT id FROM jobs").fetchall()
    assert {p.name for p in (folder / "served" / "videos").iterdir()} <= {row[0] for row in kept}


@pytest.mark.parametrize(
    ("query", "content", "status"),
    [
        ({"run": "../tiny"}, b"x", 404),
        ({}, b"x", 422),
        ({"run": "tiny", "difficulty": "nan"}, b"x", 422),
        ({"run": "tiny", "difficulty": "-1"}, b"x", 422),
        ({"run": "tiny"}, b"", 400),
    ],
)
def test_what_is_wrong_with_an_upload_is_said(client, query, content, status):
    assert client.post("/api/scores", params=query, content=content).status_code == status


def test_the_name_of_a_file_is_shown_and_nothing_else(client, folder, videos):
    name = "../../<b>evil</b>\n.mp4"
    job = send(client, videos[0], name=name).json()
    assert job["name"] == name.replace("\n", "")
    assert ended(client, job)["status"] == "finished"
    assert (folder / "served" / "videos" / job["id"]).exists()
    assert not list(folder.parent.glob("*evil*"))


@pytest.mark.parametrize(
    "path", ["/api/scores/none", "/api/scores/apSG1NbKixKKR5lX-5tZ9A", "/api/scores/..%2f..%2fjobs", "/x"]
)
def test_what_is_not_there_is_not_found(client, path):
    assert client.get(path).status_code in (404, 422)


def test_the_page_needs_nothing_from_elsewhere_and_may_run_nothing_inline(client):
    page = client.get("/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for name in ("", *(path.name for path in (Path(aqakit.web.__file__).parent / "static").iterdir())):
        response = client.get("/" + name)
        assert response.status_code == 200
        text = response.text.replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text
        assert "https://" not in text
        assert " style=" not in text
        assert " onclick=" not in text


def test_what_is_deleted_is_gone(client, folder, videos):
    scorer = client.app.state.hub.scorers[0]
    done = ended(client, send(client, videos[0]).json())
    os.kill(scorer.worker_id, signal.SIGSTOP)  # so that the next ones are being scored, and waiting
    jobs = [done, *(send(client, path).json() for path in videos[:2])]
    while client.get(f"/api/scores/{jobs[1]['id']}").json()["status"] == "queued":
        time.sleep(0.02)
    for job in jobs:
        assert client.delete(f"/api/scores/{job['id']}").status_code == 204
        assert client.get(f"/api/scores/{job['id']}").status_code == 404
        assert client.delete(f"/api/scores/{job['id']}").status_code == 404
        assert not (folder / "served" / "videos" / job["id"]).exists()
    assert client.get("/healthz").json()["waiting"] == 0
    os.kill(scorer.worker_id, signal.SIGCONT)
    assert ended(client, send(client, videos[1]).json())["status"] == "finished"  # and the worker is none the worse


def test_other_names_and_other_sites_are_refused(client):
    assert client.get("/api/runs", headers={"host": "evil.example"}).status_code == 403
    assert client.get("/api/runs", headers={"origin": "http://evil.example"}).status_code == 403
    assert client.get("/api/runs", headers={"origin": URL}).status_code == 200
    assert client.get("/api/runs", headers={"origin": "http://["}).status_code == 403


def test_runs_limits_and_health_are_told(client):
    told = client.get("/api/runs").json()
    assert told["runs"][0]["name"] == "tiny"
    assert told["upload_limit"] == LIMITS.upload
    assert client.get("/healthz").json()["status"] == "ok"
    paths = client.get("/api/openapi.json").json()["paths"]
    assert {"/healthz", "/api/runs", "/api/scores", "/api/scores/{job_id}", "/api/scores/{job_id}/events"} <= set(paths)


@pytest.mark.slow
def test_a_worker_killed_in_mid_video_is_replaced_and_the_video_tried_once_more(client, videos):
    scorer = client.app.state.hub.scorers[0]
    first = ended(client, send(client, videos[1]).json())  # so that the worker is ready
    os.kill(scorer.worker_id, signal.SIGSTOP)  # so that it surely is in mid-video
    job = send(client, videos[1]).json()
    while client.get(f"/api/scores/{job['id']}").json()["status"] == "queued":
        time.sleep(0.02)
    os.kill(scorer.worker_id, signal.SIGKILL)
    found = ended(client, job)
    assert found["status"] == "finished", found
    assert found["result"]["score"] == first["result"]["score"]


def test_the_api_asks_for_the_token_and_the_page_does_not(folder, run):
    app = create_app(folder / "closed", {"tiny": run.folder}, {}, limits=LIMITS, token="sesame")
    client = TestClient(app, base_url=URL)
    assert client.get("/").status_code == 200
    assert client.get("/api/runs").status_code == 401
    assert client.get("/api/openapi.json", headers={"authorization": "Bearer sesam"}).status_code == 401
    assert client.get("/api/openapi.json", headers={"authorization": "Bearer sesame"}).status_code == 200


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"seconds": 0.2}, "longer than 0.2 s"),
        pytest.param({"memory": 2**20}, "memory|stopped", marks=pytest.mark.slow),
    ],
)
def test_a_worker_has_no_more_time_and_memory_than_it_is_given(folder, run, videos, limits, words):
    jobs = Jobs(folder / "alone.sqlite")
    jobs.add("a.mp4", "tiny", None, 1, job_id=new_id())
    job = jobs.take()
    worker = Worker({"tiny": run.folder}, replace(LIMITS, **limits))
    messages = list(worker.ask(job, videos[0]))
    worker.kill()
    problem = worker.failure or messages[-1]["problem"]
    assert any(word in problem for word in words.split("|")), problem


@pytest.mark.parametrize(
    ("limits", "words"),
    [({"duration": 1.0}, "1 s long"), ({"frames": 29}, "30 frames"), ({"pixels": 3071}, "64 × 48")],
)
def test_long_and_large_videos_are_refused_by_name(videos, limits, words):
    info = probe(videos[0])  # 30 frames of 64 × 48 pixels in 1.2 s
    LIMITS.check(info)
    with pytest.raises(VideoError, match=words):
        replace(LIMITS, **limits).check(info)


def test_the_queue_is_first_in_first_out_and_survives(tmp_path):
    jobs = Jobs(tmp_path / "jobs.sqlite")
    ids = [new_id() for _ in range(3)]
    for job_id in ids:
        jobs.add("a.mp4", "run", 2.5, 10, job_id=job_id)
    assert [jobs.get(job_id).ahead for job_id in ids] == [0, 1, 2]
    assert jobs.take().id == ids[0]
    jobs.finish(ids[0], {"score": 1.0})
    assert jobs.take().id == ids[1]
    again = Jobs(tmp_path / "jobs.sqlite")  # as after a kill: nothing was closed
    again.recover()
    assert again.get(ids[0]).result == {"score": 1.0}
    for _ in range(ATTEMPTS + 1):  # an orderly end of the server is no attempt
        assert again.take().id == ids[1]
        again.release(ids[1])
    assert again.take().id == ids[1]
    assert (again.waiting(), again.stored()) == (2, 30)
    assert again.expire(keep=-1, forget=1e9) == [ids[0]]
    assert not again.get(ids[0]).video
    assert again.get(ids[0]).result == {"score": 1.0}
    again.expire(keep=-1, forget=-1)
    assert again.get(ids[0]) is None


def test_a_video_that_takes_the_server_down_again_and_again_is_given_up(tmp_path):
    jobs = Jobs(tmp_path / "jobs.sqlite")
    job_id = new_id()
    jobs.add("a.mp4", "run", None, 10, job_id=job_id)
    for _ in range(ATTEMPTS):
        assert jobs.take().id == job_id
        jobs.recover()
    assert jobs.take() is None
    assert f"{ATTEMPTS} times" in jobs.get(job_id).problem


def test_a_file_of_a_newer_schema_is_refused(tmp_path):
    Jobs(tmp_path / "jobs.sqlite").close()
    database = sqlite3.connect(tmp_path / "jobs.sqlite")
    assert database.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
    assert database.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    database.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(DataError, match="newer aqakit"):
        Jobs(tmp_path / "jobs.sqlite")


def test_a_folder_belongs_to_one_server_and_odd_files_in_it_go(client, folder, tmp_path):
    with pytest.raises(OptionError, match="another server"), Hub.open(folder / "served", {}, {}, LIMITS):
        pass
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "half").write_bytes(b"x")
    Hub(tmp_path, {}, {}, LIMITS)
    assert not list((tmp_path / "videos").iterdir())


def test_runs_have_names_that_tell_them_apart(tmp_path):
    assert list(named([tmp_path / "a" / "run", tmp_path / "b" / "run", tmp_path / "a" / "run"])) == ["a/run", "b/run"]
    with pytest.raises(OptionError, match="same names"):
        named([tmp_path / "x" / "a" / "run", tmp_path / "y" / "a" / "run"])


@contextlib.contextmanager
def serving(run, folder, port, *words):
    command = [sys.executable, "-m", "aqakit", "serve", str(run), "--folder", str(folder), "--port", str(port), *words]
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
    try:
        for _ in range(1800):  # a busy machine may take minutes
            with contextlib.suppress(httpx.TransportError):
                client.get("/healthz")
                break
            assert process.poll() is None, "the server ended"
            time.sleep(0.1)
        yield process, client
    finally:
        process.terminate()
        process.wait(timeout=20)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 10])
def test_a_server_that_is_killed_with_a_queue_finishes_it_after_a_restart(run, videos, tmp_path, count):
    port = free_port()
    with serving(run.folder, tmp_path, port) as (process, client):
        jobs = [send(client, path).json() for path in videos[:count]]  # the worker is still importing
        process.kill()
        process.wait()
    with serving(run.folder, tmp_path, port) as (_, client):
        found = [ended(client, job) for job in jobs]
        assert [job["status"] for job in found] == ["finished"] * count
        scores = [job["result"]["score"] for job in found]
        assert scores == pytest.approx([float(run.predict(path).mean) for path in videos[:count]], rel=1e-5)
