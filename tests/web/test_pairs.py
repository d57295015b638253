"""Judgements of two videos: which was better, what contradicts, and which two to ask for next."""

import warnings

import numpy as np
import pytest
from fastapi.testclient import TestClient

from aqakit.scores import paired_comparison
from aqakit.web import pairs
from aqakit.web.app import create_app
from aqakit.web.desk_models import Judgement
from aqakit.web.hub import Hub
from tests.web.test_desk import LOCAL
from tests.web.test_server import LIMITS
from tests.web.test_truth import card

SCORES = {"a": (50, 8), "b": (52, 8), "c": (80, 1), "d": (20, 1)}


def id_of(name):
    return name * 22


@pytest.fixture
def client(tmp_path):
    app = create_app(tmp_path, {}, {}, limits=LIMITS, local=True)
    app.state.hub = Hub(tmp_path, {}, {"r": card()}, LIMITS)
    for name, (score, std) in SCORES.items():
        app.state.hub.jobs.add(f"{name}.mp4", "r", None, 1, job_id=id_of(name))
        done = "UPDATE jobs SET status = 'finished', score = ?, std = ? WHERE id = ?"
        app.state.hub.jobs.change(done, score, std, id_of(name))
    return TestClient(app, **LOCAL)


def judge(client, first, second, better="first"):
    told = {"first": id_of(first), "second": id_of(second), "better": better}
    return client.post("/api/pairs", json=told).status_code


def teaching(client, *skip):
    return client.get("/api/pairs", params={"run": "r", "skip": [f"{id_of(a)}.{id_of(b)}" for a, b in skip]}).json()


def asked(told):
    return {row["name"][0] for row in told["next"]}


def test_the_first_pair_is_the_one_of_which_the_run_is_least_sure(client):
    assert asked(teaching(client)) == {"a", "b"}
    assert asked(teaching(client, "ab")) != {"a", "b"}


def test_the_next_pair_is_that_of_the_scale_of_all_judgements(client):
    told = ["ab", "bd", "ac"]  # no two pairs that are left are alike
    for first, second in told:
        assert judge(client, first, second) == 201
    names = sorted(SCORES)
    better, worse = ([names.index(pair[k]) for pair in told] for k in (0, 1))
    scale = paired_comparison.fit(4, better, worse)
    free = [(i, j) for i in range(4) for j in range(i + 1, 4) if names[i] + names[j] not in told]
    i, j = scale.next_pair(free)
    assert asked(teaching(client)) == {names[i], names[j]}
    assert teaching(client)["count"] == 3


def test_two_that_are_equal_are_half_a_win_of_each(client):
    for _ in range(3):
        judge(client, "a", "b", "equal")
    judge(client, "c", "a")
    hub = client.app.state.hub
    items = [id_of(name) for name in "abc"]
    better, worse, weight = zip(*pairs.directed(pairs.judged(hub.jobs), items), strict=True)
    assert sum(weight) == 4
    strength = paired_comparison.fit(3, better, worse, weight).strength
    assert abs(strength[0] - strength[1]) < abs(strength[2] - strength[0]) / 2
    assert np.argmax(strength) == 2
    assert not any("both ways" in note for note in teaching(client)["notes"])


@pytest.mark.parametrize(
    ("told", "words"), [(["ab", "ba"], "both ways: a.mp4 and b.mp4"), (["ab", "bc", "ca"], "a circle"), (["ab"], None)]
)
def test_contradictions_are_said(client, told, words):
    for first, second in told:
        judge(client, first, second)
    assert [note for note in teaching(client)["notes"] if words and words in note] or words is None
    assert words is not None or teaching(client)["notes"] == []


def test_judgements_are_taken_back_and_go_with_their_videos(client):
    judge(client, "a", "b")
    judge(client, "c", "d", "second")
    (last, first) = teaching(client)["last"]
    assert (last["names"], last["better"]) == (["c.mp4", "d.mp4"], "second")
    assert client.delete(f"/api/pairs/{last['number']}").status_code == 204
    assert client.delete(f"/api/pairs/{last['number']}").status_code == 404
    assert [one["number"] for one in teaching(client)["last"]] == [first["number"]]
    assert client.delete(f"/api/scores/{id_of('a')}").status_code == 204
    assert teaching(client)["count"] == 0


def test_what_cannot_be_judged_is_refused(client):
    assert judge(client, "a", "a") == 400
    assert judge(client, "a", "x") == 404
    assert judge(client, "a", "b", "perhaps") == 422
    assert client.get("/api/pairs", params={"run": "other"}).status_code == 404
    for name in "abc":
        client.delete(f"/api/scores/{id_of(name)}")
    assert teaching(client)["next"] == []
    assert "two scored videos" in teaching(client)["notes"][0]
    stranger = TestClient(client.app, base_url=LOCAL["base_url"])
    assert judge(stranger, "a", "b") == stranger.get("/api/pairs?run=r").status_code == 403


def test_a_judgement_of_nothing_is_not_stored(client):
    assert not pairs.add(client.app.state.hub.jobs, Judgement(first=id_of("a"), second=id_of("y"), better="equal"))
    assert teaching(client)["count"] == 0


def test_an_empty_desk_has_no_pair_and_no_statistics_of_nothing(client):
    for name in SCORES:
        client.delete(f"/api/scores/{id_of(name)}")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        told = teaching(client)
    assert told["next"] == []
    assert "two scored videos" in told["notes"][0]
