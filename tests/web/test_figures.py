"""Skeletons on the page: drawn as bones that move, paired in time by their joints, and learnt from."""

import time

import numpy as np
import pytest
from fastapi.testclient import TestClient

from aqakit.errors import DataError
from aqakit.recordings.skeletons import LAYOUTS
from aqakit.training.run import Run
from aqakit.web import learning
from aqakit.web.aligning import DIFFERENCES, motion
from aqakit.web.app import create_app
from aqakit.web.cards import card
from aqakit.web.figures import FINE, figure
from aqakit.web.motion import channels, curves
from tests import walkers
from tests.training.test_run import make_manifest, train
from tests.web import squats
from tests.web.test_desk import LOCAL
from tests.web.test_server import LIMITS, ended, send


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("squats")


@pytest.fixture(scope="module")
def run(folder):
    return squats.train(folder)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


@pytest.fixture(scope="module")
def client(folder, run, tables):
    tabular = train(make_manifest(tables, 12, difficulty=False), tables / "run", "regression", epochs=1)
    runs = {"tiny": run.folder, "tables": tabular.folder}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AQAKIT_CACHE", str(folder / "cache"))
        cards = {name: card(name, path) for name, path in runs.items()}
        app = create_app(folder / "kept", runs, cards, limits=LIMITS, local=True)
        with TestClient(app, **LOCAL) as client:
            yield client


def upload(client, path, **query):
    job = ended(client, send(client, path, **query).json())
    assert job["status"] == "finished", job
    return job


def places(found):
    """(T, J, C) as drawn, NaN where nothing is."""
    values = np.array([[np.nan if x is None else x for x in frame] for frame in found.places])
    return values.reshape(len(values), len(found.joints), found.dimensions)


def test_a_squat_is_drawn_upright_facing_the_viewer_and_true_to_scale(tmp_path):
    found = figure(squats.write(tmp_path / "a.csv", 0.4))
    drawn, true = places(found), squats.joints(0.4)
    assert (found.dimensions, found.assumed, found.joints) == (3, False, list(squats.LAYOUT.joints))
    assert found.rate == pytest.approx(squats.RATE)
    assert max(found.size) == pytest.approx(FINE)
    unit = np.ptp(true[..., 1]) / found.size[1]
    left, right = (found.joints.index(f"{side}_shoulder") for side in ("left", "right"))
    assert (drawn[:, left, 0] > drawn[:, right, 0]).all()  # mirrored, as of those whom one faces
    knee = found.joints.index("left_knee")
    assert drawn[25, knee, 2] > drawn[0, knee, 2]  # towards the viewer
    lengths = [[np.linalg.norm(x[:, a] - x[:, b], axis=1) for a, b in found.bones] for x in (drawn * unit, true)]
    np.testing.assert_allclose(lengths[0], lengths[1], atol=2 * unit)
    assert (drawn[..., 1].min(), drawn[..., 1].max()) == pytest.approx((0, found.size[1]), abs=1)


def test_a_picture_stays_as_it_was_seen_and_missing_joints_are_not_drawn(tmp_path):
    layout, seen = LAYOUTS["coco17"], walkers.pixels("coco17")
    seen[5:20, 3] = np.nan
    names = ",".join(f"{name}_{axis}" for name in layout.joints for axis in "xy")
    (tmp_path / "a.csv").write_text(names + "\n" + walkers.rows(seen))
    found = figure(tmp_path / "a.csv")
    drawn = places(found)
    assert (found.dimensions, found.assumed) == (2, True)
    assert np.isnan(drawn[5:20, 3]).all()
    assert not np.isnan(drawn[20:, 3]).any()
    unit = max(np.ptp(seen[np.isfinite(seen[..., 0])], axis=0)) / FINE
    nose, ankle = layout.joints.index("nose"), layout.joints.index("left_ankle")
    apart = (seen[:, ankle] - seen[:, nose]) * [1, -1]  # rows of a picture count downwards
    np.testing.assert_allclose(drawn[:, ankle] - drawn[:, nose], apart / unit, atol=1.1)


def test_long_recordings_are_drawn_at_moments_evenly_over_the_time(tmp_path):
    found = figure(squats.write(tmp_path / "a.csv", 0.4, seconds=10), most=100)
    assert (len(found.times), found.times[0], found.times[-1]) == (100, 0, pytest.approx(249 / 25, abs=1e-3))


def test_joints_without_names_are_dots_and_have_curves(tmp_path):
    values = np.random.default_rng(0).normal(size=(40, 11, 2)).cumsum(0)
    np.save(tmp_path / "a.npy", values)
    found = figure(tmp_path / "a.npy")
    assert (len(found.joints), found.bones) == (11, [])
    track = channels(tmp_path / "a.npy", "skeleton")
    assert track.names[:2] == ("joint 1 x", "joint 1 y")
    assert curves(tmp_path / "a.npy", "skeleton").channels == 22


def test_the_layout_of_the_run_names_joints(tmp_path):
    np.save(tmp_path / "a.npy", walkers.metres("kinect22"))
    assert figure(tmp_path / "a.npy", "kinect22").joints == list(LAYOUTS["kinect22"].joints)
    assert "left knee angle" in channels(tmp_path / "a.npy", "skeleton", "kinect22").names


def test_a_slower_squat_is_paired_with_more_time(tmp_path):
    first, second = squats.write(tmp_path / "a.csv", 0.4), squats.write(tmp_path / "b.csv", 0.4, 4.0)
    found = motion(first, second, "skeleton", [None, None])
    a, b = np.array(found["pairs"]).T
    assert (np.diff(b) >= 0).all()
    assert np.abs(b - 2 * a).max() < 0.15
    assert found["seconds"] == pytest.approx([2, 4])
    assert len(found["differences"]) == DIFFERENCES


def test_a_deeper_squat_bends_the_knees_more_at_its_lowest_point(tmp_path):
    first, second = squats.write(tmp_path / "a.csv", 0.3), squats.write(tmp_path / "b.csv", 0.5)
    found = motion(first, second, "skeleton", [None, None])["differences"]
    (knee,) = [one for one in found if one["channel"] == "left knee angle"]
    assert knee["unit"] == "degrees"
    assert abs(knee["largest"]) > 15
    assert knee["at_a"] == pytest.approx(1, abs=0.3)


def test_recordings_of_other_channels_are_not_paired(tmp_path):
    for name, width in (("a", 3), ("b", 4)):
        np.save(tmp_path / f"{name}.npy", np.zeros((20, width)))
    with pytest.raises(DataError, match="cannot be compared"):
        motion(tmp_path / "a.npy", tmp_path / "b.npy", "signal", [None, None])


def test_the_page_gets_the_joints_of_a_skeleton_and_nothing_else(client, folder, tables):
    job = upload(client, folder / "squat4.csv")
    found = client.get(f"/api/scores/{job['id']}/figure").json()
    assert found == figure(folder / "squat4.csv").model_dump(mode="json") | {"bones": found["bones"]}
    table = upload(client, tables / "3.npy", run="tables")
    answer = client.get(f"/api/scores/{table['id']}/figure")
    assert (answer.status_code, "has no joints" in answer.json()["detail"]) == (400, True)
    apart = client.get("/api/alignment", params={"a": job["id"], "b": table["id"]})
    assert (apart.status_code, "two of a kind" in apart.json()["detail"]) == (400, True)
    other = upload(client, tables / "4.npy", run="tables")
    paired = client.get("/api/alignment", params={"a": table["id"], "b": other["id"]}).json()
    assert (paired["seconds"], paired["pairs"][0]) == ([4, 4], [0, 0])
    assert client.delete(f"/api/scores/{job['id']}").status_code == 204
    assert client.get(f"/api/scores/{job['id']}/figure").status_code == 404


def test_what_is_wrong_with_a_skeleton_is_said_without_our_paths(client, folder):
    job = upload(client, folder / "squat4.csv")
    client.app.state.hub.video(job["id"]).write_text("nose_x,nose_y\n1,b\n")
    said = client.get(f"/api/scores/{job['id']}/figure").json()["detail"]
    assert said.startswith("squat4.csv")
    assert "/tmp" not in said


@pytest.mark.slow
def test_a_new_run_learns_from_corrected_skeletons_and_outlives_the_one_before(client, folder, tmp_path):
    names = []
    for k, base in enumerate(["tiny", None]):
        job = upload(client, squats.write(tmp_path / f"new{k}.csv", 0.33 + 0.02 * k), run="tiny", athlete=f"Ana{k}")
        assert client.patch(f"/api/scores/{job['id']}", json={"truth": 20.0 + k}).status_code == 200
        asked = {"run": base or names[-1]}
        assert client.post("/api/improvement", params=asked).status_code == 202
        deadline = time.monotonic() + 120
        while (done := client.get("/api/improvement", params=asked).json())["status"] == "running":
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert done["status"] == "finished", done["problem"]
        names.append(done["new"])
        rows = {row["what"]: row["samples"] for row in done["comparison"]["rows"]}
        assert rows["corrected"] == 1  # the other one has been learnt from before
    assert client.delete("/api/improved", params={"run": names[0]}).status_code == 204
    new = Run.load(folder / "kept" / "improved" / names[1] / "run")
    learning.check(new)
    found = list((folder / "kept" / "improved" / names[1] / "recordings").iterdir())
    assert len(found) == 2
    assert all(path.exists() and path.suffix == ".csv" for path in found)
