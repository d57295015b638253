"""Runs that read motion: their recordings are scored on the page and drawn as curves."""

import numpy as np
import pytest
from fastapi.testclient import TestClient

import aqakit
from aqakit.web import learning
from aqakit.web.app import create_app
from aqakit.web.cards import card
from aqakit.web.motion import CHANNELS, curves, with_suffix
from tests.training.test_run import BACKBONE, make_manifest
from tests.web.test_desk import LOCAL
from tests.web.test_server import LIMITS, ended, send


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("motion")


@pytest.fixture(scope="module")
def run(folder):
    options = {
        "root": make_manifest(folder, 12),
        "cache": folder / "cache",
        "epochs": 1,
        "members": 2,
        "protocol": "all",
    }
    return aqakit.train("regression", data="manifest", backbone=BACKBONE, out=folder / "run", **options)


@pytest.fixture(scope="module")
def client(folder, run):
    cards = {"tiny": card("tiny", run.folder)}
    app = create_app(folder / "kept", {"tiny": run.folder}, cards, limits=LIMITS, local=True)
    with TestClient(app, **LOCAL) as client:
        yield client


def test_a_table_of_motion_is_scored_as_predict_does(client, run, folder):
    job = ended(client, send(client, folder / "3.npy").json())
    assert job["status"] == "finished", job
    result = job["result"]
    assert result["score"] == pytest.approx(float(run.predict(folder / "3.npy").mean), rel=1e-5)
    assert (result["video"], result["motion"]["length"], result["motion"]["channels"]) == (None, 120, 4)
    table = np.load(folder / "3.npy")
    for name, curve in zip(result["motion"]["names"], result["motion"]["values"], strict=True):
        assert curve == pytest.approx(table[:, int(name.split()[1]) - 1], rel=1e-4)
    assert [result["clips"][0]["first"], result["clips"][-1]["last"]] == [0, 119]
    page = client.get(f"/api/scores/{job['id']}/report").text
    assert "120 rows of 4 channels" in page


def test_what_is_no_table_gets_a_sentence_without_our_paths(client, folder):
    (folder / "wrong.csv").write_text("a,b\n1,x\n" * 9)
    job = ended(client, send(client, folder / "wrong.csv").json())
    assert job["status"] == "failed"
    assert job["problem"].startswith("wrong.csv")
    assert "/tmp" not in job["problem"]


def test_a_card_tells_what_a_run_reads_and_it_can_be_improved(run):
    assert card("tiny", run.folder).reads == "signal"
    learning.check(run)


def test_the_channels_that_move_most_are_drawn(tmp_path):
    time = np.linspace(0, 1, 900)
    table = np.stack([k * np.sin(9 * time + k) for k in range(10)], 1)
    np.save(tmp_path / "a.npy", table)
    found = curves(tmp_path / "a.npy", "signal")
    assert found.names == [f"column {k}" for k in range(11 - CHANNELS, 11)]
    assert (found.length, len(found.rows), found.rows[-1]) == (900, 300, 899)


@pytest.mark.parametrize(
    ("name", "suffix"), [("a.CSV", ".csv"), ("a.txt.gz", ".txt.gz"), ("../../x.npy", ".npy"), ("a", ""), ("a./b", "")]
)
def test_a_path_ends_as_the_file_did(tmp_path, name, suffix):
    (tmp_path / "id").write_text("x")
    with with_suffix(tmp_path / "id", name) as path:
        assert path.name == f"recording{suffix}"
        assert path.read_text() == "x"
    assert not path.exists()
