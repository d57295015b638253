"""A coach works while the server is killed thirty times: what was acknowledged stays, and nothing is there twice."""

import contextlib
import csv
import io
import os
import random
import signal
import threading
import time
import zipfile
from collections import Counter

import httpx
import pytest

from tests.forks import wait
from tests.web.test_lost import expected, forked  # noqa: F401 (fixture)
from tests.web.test_server import folder, free_port, run, serving, videos  # noqa: F401 (fixtures)

pytestmark = pytest.mark.slow
KILLS, FIRST, MOST = 30, 8, 50


class Coach(threading.Thread):
    """Uploads, corrects, judges, deletes and exports, each until the server answers, and remembers what it answered."""

    def __init__(self, port, videos):  # noqa: F811
        super().__init__(daemon=True)
        self.port, self.videos, self.chance = port, videos, random.Random(1)
        self.began, self.stop = threading.Event(), threading.Event()
        self.held = {}  # id -> number of the file, of what was accepted and not deleted
        self.tried = set()  # names that were sent
        self.truth, self.deleted, self.judged = {}, set(), {}
        self.done, self.cut_off = Counter(), Counter()
        self.wrong = None

    def run(self):
        try:
            for _ in range(FIRST):
                self.upload()
            self.began.set()
            acts = [self.upload, self.correct, self.correct, self.judge, self.judge, self.delete, self.export]
            while not self.stop.is_set():
                self.chance.choice(acts)()
                time.sleep(self.chance.uniform(0, 0.1))
        except BaseException as error:
            self.wrong = error
            raise

    def ask(self, method, path, **more):
        """The answer; None if the server was killed before it."""
        with contextlib.suppress(httpx.TransportError):
            found = httpx.request(method, f"http://127.0.0.1:{self.port}{path}", timeout=60, verify=False, **more)
            assert found.status_code < 500, found.text
            return found
        self.cut_off[method] += 1
        time.sleep(0.02)
        return None

    def upload(self):
        if len(self.held) >= MOST:
            return
        which = len(self.tried) % len(self.videos)
        answer = None
        while answer is None and not self.stop.is_set():
            name = f"{len(self.tried)}.mp4"  # a new one for each try: a coach cannot know whether the last one arrived
            self.tried.add(name)
            answer = self.ask("POST", "/api/scores", params={"run": "tiny", "name": name}, content=self.body(which))
        if answer is not None:
            assert answer.status_code == 202, answer.text
            self.held[answer.json()["id"]] = which
            self.done["upload"] += 1

    def body(self, which):
        return self.videos[which].read_bytes()

    def certain(self, *request, **more):
        """The answer to a request that may be repeated."""
        deadline = time.monotonic() + 120
        while (answer := self.ask(*request, **more)) is None:
            assert time.monotonic() < deadline
        return answer

    def correct(self):
        one, told = self.chance.choice(list(self.held)), round(self.chance.uniform(10, 60), 1)
        answer = self.certain("PATCH", f"/api/scores/{one}", json={"truth": told, "athlete": "Ana"})
        assert answer.json()["truth"] == told, answer.text
        self.truth[one] = told
        self.done["correct"] += 1

    def judge(self):
        answer = self.ask("GET", "/api/pairs", params={"run": "tiny"})
        if answer is None or len(pair := answer.json()["next"]) < 2:
            return
        first, second = (row["id"] for row in pair)
        told = {"first": first, "second": second, "better": self.chance.choice(["first", "second", "equal"])}
        answer = self.ask("POST", "/api/pairs", json=told)
        if answer is not None:
            assert answer.status_code == 201, answer.text
            self.judged[frozenset((first, second))] = told
            self.done["judge"] += 1

    def delete(self):
        if len(self.held) <= FIRST:
            return
        one = self.chance.choice(list(self.held)[FIRST:])  # the first ones are compared
        assert self.certain("DELETE", f"/api/scores/{one}").status_code in (204, 404)  # 404: the last try did it
        self.deleted.add(one)
        del self.held[one]
        self.truth.pop(one, None)
        self.done["delete"] += 1

    def export(self):
        answer = self.ask("GET", "/api/export", params={"videos": "true"})
        if answer is not None:
            self.check_archive(answer.content)
            self.done["export"] += 1

    def check_archive(self, content):
        archive = zipfile.ZipFile(io.BytesIO(content))
        rows = {row["id"]: row for row in csv.DictReader(io.StringIO(archive.read("scores.csv").decode()))}
        assert set(self.held) <= set(rows)
        assert not self.deleted & set(rows)
        assert {one: float(rows[one]["truth"]) for one in self.truth} == self.truth
        for one, which in self.held.items():
            assert archive.read(f"videos/{one}.mp4") == self.body(which)


def finished(client, within=240):
    deadline = time.monotonic() + within
    while client.get("/healthz").json()["waiting"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return listed(client)


def listed(client):
    found = client.get("/api/scores", params={"limit": 500}).json()
    assert found["total"] == len(found["rows"])
    return found["rows"]


def test_killed_thirty_times_a_desk_keeps_what_it_acknowledged(run, videos, expected, tmp_path):  # noqa: F811
    port, chance, kept = free_port(), random.Random(2), tmp_path / "kept"
    coach = Coach(port, videos)
    with serving(run.folder, kept, port) as (_, client):
        coach.start()
        assert coach.began.wait(60)
        while sum(row["status"] == "finished" for row in listed(client)) < FIRST:
            time.sleep(0.2)
    for _ in range(KILLS):
        child = forked(run.folder, kept, port)
        time.sleep(chance.uniform(0.3, 7.0))
        os.kill(child, signal.SIGKILL)
        assert wait(child) == -signal.SIGKILL
        assert coach.wrong is None
    with serving(run.folder, kept, port) as (_, client):
        coach.stop.set()
        coach.join(timeout=60)
        assert coach.wrong is None
        rows = finished(client)
        archive = client.get("/api/export", params={"videos": "true"}).content
        pairs = list(csv.DictReader(io.StringIO(zipfile.ZipFile(io.BytesIO(archive)).read("pairs.csv").decode())))
        coach.check_archive(archive)
        assert all(client.get(f"/api/scores/{one}").status_code == 404 for one in coach.deleted)
    found = {row["id"]: row for row in rows}
    names = Counter(row["name"] for row in rows)
    assert set(coach.held) <= set(found)
    assert set(names.values()) == {1}
    assert set(names) <= coach.tried
    assert {one: found[one]["truth"] for one in found if found[one]["truth"] is not None} == coach.truth
    assert {row["status"] for row in rows} == {"finished"}
    wanted = [expected[which] for which in coach.held.values()]
    assert [found[one]["score"] for one in coach.held] == pytest.approx(wanted, rel=1e-4)
    assert {file.name for file in (kept / "videos").iterdir()} == set(found)
    judged_once(pairs, {pair: told for pair, told in coach.judged.items() if pair <= set(found)})
    print(f"{KILLS} kills; acknowledged {dict(coach.done)}; cut off {dict(coach.cut_off)}; {len(rows)} in the list")
    assert min(coach.done[act] for act in ("upload", "correct", "judge", "delete", "export")) > 5


def judged_once(pairs, told):
    """Each pair of videos was judged once, as it was acknowledged."""
    weight = Counter()
    for row in pairs:
        weight[frozenset((row["better"], row["worse"]))] += float(row["weight"])
    assert set(weight.values()) <= {1.0}
    assert set(told) <= set(weight)
    ways = {(row["better"], row["worse"]) for row in pairs}
    for one in told.values():
        ends = (one["first"], one["second"])
        assert (ends in ways, ends[::-1] in ways) == (one["better"] != "second", one["better"] != "first")
