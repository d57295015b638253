"""All that the desk holds as one archive, and the end of all of it."""

import csv
import io
import json
import zipfile

import pytest
from fastapi.testclient import TestClient

from aqakit.datasets import manifest
from aqakit.datasets.parts import pairs
from aqakit.web.app import create_app
from aqakit.web.export import archive
from aqakit.web.hub import Hub
from aqakit.web.jobs import new_id
from tests.web.test_desk import LOCAL
from tests.web.test_server import LIMITS
from tests.web.test_truth import card

WORDS = "delete everything"


@pytest.fixture
def client(tmp_path):
    (tmp_path / "run" / "more").mkdir(parents=True)
    (tmp_path / "run" / "more" / "run.json").write_text("{}")
    kept = tmp_path / "kept"
    kept.mkdir()
    app = create_app(kept, {}, {}, limits=LIMITS, local=True)
    hub = app.state.hub = Hub(
        kept, {"r/s": tmp_path / "run"}, {"r/s": card(title="dives · dae", trust=["a", "b"])}, LIMITS
    )
    for k, truth in enumerate([40.5, None, None, 70.0]):
        job_id = new_id()
        (hub.videos / job_id).write_bytes(bytes([k]) * 3_000_000)
        name = "=SUM(1).MOV" if k else 'a "b", c.mp4'
        hub.jobs.add(name, "r/s", 2.5, 1, job_id=job_id, athlete="Élodie", tags="x,y", notes="two\nlines")
        hub.jobs.change("UPDATE jobs SET truth = ?, judges = ? WHERE id = ?", truth, "7 8" if truth else "", job_id)
    return TestClient(app, **LOCAL)


def ids(client):
    return [row["id"] for row in client.get("/api/scores?order=asc").json()["rows"]]


def exported(client, **query):
    got = client.get("/api/export", params=query)
    assert got.headers["content-type"] == "application/zip"
    made = zipfile.ZipFile(io.BytesIO(got.content))
    assert made.testzip() is None
    return made


def table(made, name):
    return list(csv.DictReader(io.StringIO(made.read(name).decode(), newline="")))


def test_scores_are_exported_as_they_are_listed(client):
    made = exported(client)
    assert set(made.namelist()) == {"README.txt", "scores.csv", "scores.json", "pairs.csv"}
    rows, listed = table(made, "scores.csv"), client.get("/api/scores?order=asc").json()["rows"]
    assert [row["name"] for row in rows] == [row["name"] for row in listed]
    first = rows[0]
    assert (first["athlete"], first["tags"], first["notes"], first["truth"]) == ("Élodie", "x, y", "two\nlines", "40.5")
    assert (first["method"], first["trust"], first["judges"]) == ("dives · dae", "a; b", "7 8")
    told = json.loads(made.read("scores.json"))
    assert [{name: row[name] for name in ("id", "tags", "truth")} for row in told] == [
        {name: row[name] for name in ("id", "tags", "truth")} for row in listed
    ]


def test_the_manifest_and_the_pairs_can_be_trained_on(client, tmp_path):
    a, b, c, d = ids(client)
    for first, second, better in ((a, b, "first"), (d, b, "equal")):
        client.post("/api/pairs", json={"first": first, "second": second, "better": better})
    made = exported(client, videos=True)
    made.extractall(tmp_path / "out")
    found = {sample.id: sample for sample in manifest.samples(tmp_path / "out" / "manifest.csv")}
    assert set(found) == {a, b, d}  # nothing can be learnt from the other one
    assert {name: sample.score for name, sample in found.items()} == {a: 40.5, b: None, d: 70.0}
    assert (found[a].judges, found[a].group, found[a].difficulty) == ((7, 8), "Élodie", 2.5)
    assert found[d].sources["video"].read_bytes() == bytes([3]) * 3_000_000
    told = pairs.read(tmp_path / "out" / "pairs.csv")
    assert {(one.better, one.worse, one.weight) for one in told} == {(a, b, 1), (d, b, 0.5), (b, d, 0.5)}
    assert f"videos/{c}.mov" in made.namelist()


def test_runs_are_exported_and_a_video_that_goes_meanwhile_is_left_out(client):
    assert "runs/r-s/more/run.json" in exported(client, runs=True).namelist()
    hub = client.app.state.hub
    pieces = archive(hub.jobs, hub.cards, hub.videos)
    got = next(pieces)
    (hub.videos / ids(client)[2]).unlink()
    made = zipfile.ZipFile(io.BytesIO(got + b"".join(pieces)))
    assert len([name for name in made.namelist() if name.startswith("videos/")]) == 3


def test_the_archive_is_sent_in_pieces(client):
    hub = client.app.state.hub
    sizes = [len(piece) for piece in archive(hub.jobs, hub.cards, hub.videos)]
    assert len(sizes) > 8
    assert max(sizes) < 2**21


def test_everything_is_deleted_behind_the_words(client):
    first, second, *_ = ids(client)
    client.post("/api/pairs", json={"first": first, "second": second, "better": "first"})
    for words in ("", "yes", "DELETE"):
        assert client.delete("/api/scores", params={"confirm": words}).status_code == 400
    assert TestClient(client.app, base_url=LOCAL["base_url"]).delete("/api/scores?confirm=x").status_code == 403
    assert len(ids(client)) == 4
    assert client.delete("/api/scores", params={"confirm": WORDS}).status_code == 204
    hub = client.app.state.hub
    assert ids(client) == []
    assert not list(hub.videos.iterdir())
    assert hub.jobs.read("SELECT * FROM pairs") == []
    assert hub.jobs.stored() == 0
