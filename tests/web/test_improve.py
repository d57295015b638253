"""A new run is made of corrections and judgements, compared honestly, and chosen; or the page says why not."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from fastapi.testclient import TestClient

import aqakit
from aqakit.datasets import manifest
from aqakit.datasets.parts.pairs import Pair
from aqakit.errors import OptionError
from aqakit.training.members import held_out_parts
from aqakit.training.run import Run
from aqakit.web import learning
from aqakit.web.app import create_app
from aqakit.web.cards import card
from aqakit.web.hub import Hub
from aqakit.web.improver import Improver
from aqakit.web.jobs import new_id
from tests.hostile import write_video
from tests.web.test_desk import LOCAL
from tests.web.test_server import BACKBONE, LIMITS, ended, send


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("improve")


@pytest.fixture(scope="module")
def videos(folder):
    return [write_video(folder / f"{n}.mp4", 30 + n) for n in range(16)]


@pytest.fixture(scope="module")
def run(folder, videos):
    rows = [f"v{n},{path.name},{10 + 5 * n},g{n % 4}" for n, path in enumerate(videos[:10])]
    (folder / "my.csv").write_text("\n".join(["id,path,score,group", *rows]) + "\n")
    options = {"epochs": 2, "members": 2, "protocol": "all", "cache": folder / "cache", "root": folder / "my.csv"}
    return aqakit.train("regression", data="manifest", backbone=BACKBONE, out=folder / "tiny", **options)


def desk_video(path, name, score, athlete=""):
    row = {"id": name, "athlete": athlete, "truth": score, "judges": [], "difficulty": None}
    folder = path.parent / "desk"
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(path.read_bytes())
    return learning.sample_of(row, folder / name)


def test_a_lesson_is_a_manifest_of_old_and_corrected_recordings(run, videos, folder, tmp_path):
    known = [desk_video(videos[12], "new", 44.0, "Ana"), desk_video(videos[2], "seen", 99.0)]
    known += [desk_video(videos[12], "twice", 11.0), desk_video(videos[13], "better", None)]
    known.append(desk_video(videos[14], "idle", None))
    judged = [Pair("better", "new", 1.0), Pair("twice", "seen", 0.5)]
    learnt = learning.lesson(run, known, judged)
    file = tmp_path / "new.csv"
    file.write_text(learning.manifest_csv(learnt, run.labels))
    found = {sample.id: sample for sample in manifest.samples(file)}
    assert set(found) == {f"v{n}" for n in range(10)} | {"new", "better"}  # each recording once
    assert (found["new"].score, found["new"].group, found["better"].score) == (44.0, "Ana", None)
    assert found["v2"].score == 99.0  # corrected, and nothing to compare with
    assert learnt.added == ["new"]
    assert (found["v3"].group, found["better"].group) == ("g3", "better")
    assert {(p.better, p.worse, p.weight) for p in learnt.pairs} == {("better", "new", 1.0), ("new", "v2", 0.5)}
    assert {name: s.score for name, s in found.items() if name in ("v0", "v9")} == {"v0": 10, "v9": 55}


def test_a_recording_that_was_learnt_from_before_is_not_added_again(run, videos):
    learnt = learning.lesson(run, [desk_video(videos[2], "v2", 99.0)], [])
    assert [sample.score for sample in learnt.samples if sample.id == "v2"] == [99.0]
    assert learnt.added == []


def test_old_test_samples_stay_test_samples(folder, videos, run, tmp_path):
    rows = [f"v{n},{path},{10 + 5 * n},{'test' if n > 7 else 'train'}" for n, path in enumerate(videos[:10])]
    (tmp_path / "split.csv").write_text("\n".join(["id,path,score,split", *rows]) + "\n")
    options = {"epochs": 1, "members": 2, "cache": folder / "cache", "root": tmp_path / "split.csv"}
    old = aqakit.train("regression", data="manifest", backbone=BACKBONE, out=tmp_path / "run", **options)
    learnt = learning.lesson(old, [desk_video(videos[12], "new", 44.0)], [])
    assert learnt.test == {"v8", "v9"}
    assert {s.id: s.group for s in learnt.samples} == {f"v{n}": f"v{n}" for n in range(10)} | {"new": "new"}
    recipe = learning.recipe_of(old, learnt, tmp_path / "m.csv", tmp_path / "p.csv")
    assert (recipe.protocol, recipe.pairs, recipe.method) == ("split", None, "regression")
    (tmp_path / "m.csv").write_text(learning.manifest_csv(learnt, old.labels))
    (split,) = manifest.splits(manifest.samples(tmp_path / "m.csv"), tmp_path / "m.csv")["split"]
    assert (set(split.test), "new" in split.train) == ({"v8", "v9"}, True)


@pytest.mark.parametrize("seed", range(5))
def test_the_videos_of_an_athlete_are_held_out_together(run, videos, seed):
    known = [desk_video(videos[11 + k], f"n{k}", 30.0 + k, "Ana") for k in range(4)]
    alone = [desk_video(videos[15], "alone", 50.0)]
    learnt = learning.lesson(run, [*known, *alone], [])
    parts = held_out_parts(learnt.samples, 3, seed, whole_groups=True)
    assert [sum(name in part for name in ("n0", "n1", "n2", "n3")) for part in parts].count(0) == 2
    assert sorted(name for part in parts for name in part) == sorted(s.id for s in learnt.samples)


def test_a_run_that_nothing_can_be_compared_with_is_refused(folder, videos, run, tmp_path):
    options = {"epochs": 1, "validation": 0.3, "cache": folder / "cache", "root": folder / "my.csv"}
    single = aqakit.train("regression", data="manifest", backbone=BACKBONE, out=tmp_path / "single", **options)
    with pytest.raises(OptionError, match="--members 5"):
        learning.check(single)
    (folder / "my.csv").rename(folder / "away.csv")
    try:
        with pytest.raises(OptionError, match=r"is gone \(my.csv\)"):
            learning.check(run)
    finally:
        (folder / "away.csv").rename(folder / "my.csv")
    learning.check(run)


class Answers(SimpleNamespace):
    """A run whose answers are known."""

    def splits(self):
        return ["held-out"]

    def ids(self, split):
        return list(self.said)

    def truth(self, split):
        return np.array([self.true[name] for name in self.said])

    def prediction(self, split, recalibrated):
        return SimpleNamespace(mean=np.array(list(self.said.values())))

    def predict_samples(self, samples):
        return SimpleNamespace(mean=np.array([self.asked[s.id] for s in samples]))


@pytest.mark.parametrize(("gain", "verdict"), [(3.0, "better"), (-3.0, "worse"), (0.0, "same")])
def test_runs_are_compared_on_what_neither_has_learnt_from(gain, verdict):
    true = {f"s{k}": 10.0 * k for k in range(12)}
    off = dict(zip(true, [4.0, -4.0, 5.0, -5.0] * 3, strict=True))
    old_ids, added = list(true)[:8], list(true)[8:]
    noise = dict(zip(true, [0.5, 0.5, -0.5, -0.5] * 3, strict=True))
    before = {name: true[name] + off[name] for name in true}
    after = {n: true[n] + np.sign(off[n]) * (abs(off[n]) - gain + noise[n]) for n in true}
    old = Answers(said={n: before[n] for n in old_ids}, true=true, asked={n: before[n] for n in added})
    learnt = SimpleNamespace(samples=[SimpleNamespace(id=name, group=None) for name in true], added=added)
    found = learning.compare(old, Answers(said=after, true=true), learnt)
    assert found["verdict"] == verdict
    errors = {row["what"]: (row["samples"], row["old"], row["new"]) for row in found["rows"]}
    wanted = [np.mean([abs(after[n] - true[n]) for n in ids]) for ids in (added, old_ids)]
    assert errors["corrected"] == pytest.approx((4, 4.5, wanted[0]))
    assert errors["others"] == pytest.approx((8, 4.5, wanted[1]))


@pytest.fixture
def client(folder, run, tmp_path, monkeypatch):
    monkeypatch.setenv("AQAKIT_CACHE", str(folder / "cache"))
    cards = {"tiny": card("tiny", run.folder)}
    app = create_app(tmp_path / "kept", {"tiny": run.folder}, cards, limits=LIMITS, local=True)
    with TestClient(app, **LOCAL) as client:
        yield client


def improvement(client):
    return client.get("/api/improvement", params={"run": "tiny"}).json()


def settled(client, within=120):
    deadline = time.monotonic() + within
    while (found := improvement(client))["status"] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


@pytest.mark.slow
def test_a_new_run_stands_beside_the_old_one_until_it_is_chosen(client, run, videos, tmp_path):
    assert client.post("/api/improvement", params={"run": "tiny"}).status_code == 400
    jobs = [ended(client, send(client, path).json()) for path in videos[11:14]]
    for k, job in enumerate(jobs[:2]):
        assert client.patch(f"/api/scores/{job['id']}", json={"truth": 30.0 + k, "athlete": "Ana"}).status_code == 200
    told = {"first": jobs[2]["id"], "second": jobs[0]["id"], "better": "first"}
    assert client.post("/api/pairs", json=told).status_code == 201
    begun = client.post("/api/improvement", params={"run": "tiny"}).json()
    assert (begun["status"], begun["corrected"], begun["judged"]) == ("running", 2, 1)
    assert client.post("/api/improvement", params={"run": "tiny"}).status_code == 409
    done = settled(client)
    assert done["status"] == "finished", done
    assert done["comparison"]["learnt"] == 2
    rows = {row["what"]: row for row in done["comparison"]["rows"]}
    assert rows["corrected"]["samples"] == 2
    assert rows["others"]["samples"] == 10
    before = [abs(job["result"]["score"] - 30 - k) for k, job in enumerate(jobs[:2])]
    assert rows["corrected"]["old"] == pytest.approx(np.mean(before), rel=1e-4)
    new = Run.load(tmp_path / "kept" / "improved" / done["new"] / "run")
    assert {job["id"] for job in jobs[:2]} <= set(new.ids("held-out"))
    assert jobs[2]["id"] not in new.ids("held-out")  # nothing but a judgement is known of it
    assert any("too few" in note for note in done["comparison"]["notes"]) == (done["comparison"]["pairs"] == 0)
    told = client.get("/api/runs").json()
    assert [one["name"] for one in told["runs"]] == ["tiny", done["new"]]
    assert told["chosen"] is None
    assert "12 recordings" in told["runs"][1]["title"] or "13 recordings" in told["runs"][1]["title"]
    assert client.put("/api/chosen", params={"run": done["new"]}).status_code == 204
    assert client.get("/api/runs").json()["chosen"] == done["new"]
    scored = ended(client, send(client, videos[15], run=done["new"]).json())
    assert scored["result"]["score"] == pytest.approx(float(new.predict(videos[15]).mean), rel=1e-4)
    found = []
    again = Improver(tmp_path / "kept" / "improved", LIMITS, lambda name, *_: found.append(name))  # after a restart
    assert found == list(again.comparisons) == [done["new"]]
    assert client.delete("/api/improved", params={"run": "tiny"}).status_code == 404
    assert client.delete("/api/improved", params={"run": done["new"]}).status_code == 204
    assert client.get("/api/runs").json()["chosen"] is None
    assert not list((tmp_path / "kept" / "improved").iterdir())


@pytest.mark.slow
def test_training_is_stopped_and_leaves_nothing(client, videos, tmp_path):
    job = ended(client, send(client, videos[11]).json())
    client.patch(f"/api/scores/{job['id']}", json={"truth": 30.0})
    assert client.delete("/api/improvement").status_code == 404
    client.post("/api/improvement", params={"run": "tiny"})
    assert client.delete("/api/improvement").status_code == 204
    found = settled(client)
    assert (found["status"], found["problem"]) == ("failed", "it was stopped")
    assert not list((tmp_path / "kept").glob("improved/*"))


def test_what_a_killed_server_left_is_removed(tmp_path):
    (tmp_path / "improved" / f"r-improved-1{new_id()}").mkdir(parents=True)
    hub = Hub(tmp_path, {}, {}, LIMITS)
    assert not list((tmp_path / "improved").iterdir())
    assert hub.cards == {}


def test_the_choice_is_remembered_as_long_as_the_run_is_served(tmp_path, run):
    cards = {"tiny": card("tiny", run.folder)}
    hub = Hub(tmp_path, {}, cards, LIMITS)
    assert hub.chosen is None
    hub.choose("tiny")
    hub.jobs.close()
    assert Hub(tmp_path, {}, cards, LIMITS).chosen == "tiny"
    assert Hub(tmp_path, {}, {}, LIMITS).chosen is None
