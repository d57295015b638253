"""Many visitors at once, hostile files and odd requests: nothing is lost, and the server stays."""

import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.web.siege import besieged, health_watched
from tests.web.test_server import ended, folder, free_port, run, send, serving, videos  # noqa: F401 (fixtures)

pytestmark = pytest.mark.slow
CLIENTS = 20


@pytest.fixture(scope="module")
def server(run, tmp_path_factory):  # noqa: F811
    with serving(run.folder, tmp_path_factory.mktemp("load"), free_port()) as (process, client):
        yield process, client


def memory(process):
    """Megabytes of the server itself."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())[1]) / 1024


def test_200_requests_of_20_clients_are_all_answered_and_answered_right(server, run, videos):  # noqa: F811
    process, client = server
    expected = [float(run.predict(path).mean) for path in videos]
    assert ended(client, send(client, videos[0]).json())["status"] == "finished"
    before, waits, stop = memory(process), [], threading.Event()

    def look():
        with httpx.Client(base_url=client.base_url) as other:
            while not stop.is_set():
                for path in ("/healthz", "/api/runs", "/"):
                    started = time.perf_counter()
                    assert other.get(path).status_code == 200
                    waits.append(time.perf_counter() - started)
                time.sleep(0.02)

    def visit(number):
        with httpx.Client(base_url=client.base_url, timeout=60) as own:
            sent = [(n % len(videos), send(own, videos[n % len(videos)])) for n in range(number, number + 10)]
            assert all(response.status_code == 202 for _, response in sent)
            return [(which, ended(own, response.json(), within=300)) for which, response in sent]

    watcher = threading.Thread(target=look)
    watcher.start()
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = [one for found in pool.map(visit, range(CLIENTS)) for one in found]
    stop.set()
    watcher.join()
    assert len({job["id"] for _, job in answers}) == 10 * CLIENTS
    assert all(job["status"] == "finished" for _, job in answers)
    assert [job["result"]["score"] for _, job in answers] == pytest.approx([expected[w] for w, _ in answers], rel=1e-5)
    p95, after = np.quantile(waits, 0.95), memory(process)
    print(f"p95 {1000 * p95:.0f} ms of {len(waits)}; {before:.0f} MB before, {after:.0f} MB after")
    assert p95 < 0.15
    assert after < before + 100


def test_a_siege_of_800_connections_keeps_no_honest_visitor_out(server, run, videos):  # noqa: F811
    process, client = server
    port = client.base_url.port
    expected = [float(run.predict(path).mean) for path in videos]
    jobs = [send(client, videos[n % len(videos)]).json() for n in range(60)]  # so that it scores all the time
    waits, uploads, sent = [], [], []

    def visitor():
        return httpx.Client(base_url=client.base_url, timeout=60, verify=False)  # certificates take a while to load

    def ask(_):
        with visitor() as own:
            for n in range(200):
                started = time.perf_counter()
                path = ("/", "/healthz", "/api/runs", f"/api/scores/{jobs[n % len(jobs)]['id']}")[n % 4]
                assert own.get(path).status_code == 200
                waits.append(time.perf_counter() - started)

    def upload(number):
        with visitor() as own:
            time.sleep(number)
            started = time.perf_counter()
            response = send(own, videos[number % len(videos)])
            uploads.append(time.perf_counter() - started)
            assert response.status_code == 202, response.text
            sent.append((number % len(videos), response.json()))

    pool = ThreadPoolExecutor(CLIENTS + 10)
    with health_watched(port) as health, besieged(port, 400, 400) as returned, pool:
        asked, uploaded = pool.map(ask, range(CLIENTS)), pool.map(upload, range(10))
        assert [*asked, *uploaded] == [None] * (CLIENTS + 10)
    found = [(which, ended(client, job, within=300)) for which, job in sent]
    assert [job["result"]["score"] for _, job in found] == pytest.approx([expected[w] for w, _ in found], rel=1e-5)
    assert all(ended(client, job, within=300)["status"] == "finished" for job in jobs)
    print(f"health: {len(health)} answers, longest {max(health):.3f} s; uploads: longest {max(uploads):.2f} s")
    print(f"{len(waits)} requests, longest {max(waits):.3f} s; {returned[0]} connections were cut off and came back")
    assert process.poll() is None
    assert (len(waits), len(uploads)) == (200 * CLIENTS, 10)
    assert max(health) <= 0.5
    assert max(uploads) <= 10


def test_500_mutated_videos_do_not_take_the_server_down(server, videos):  # noqa: F811
    process, client = server
    chance = np.random.default_rng(0)
    original = [np.frombuffer(path.read_bytes(), np.uint8) for path in videos]

    def mutated(number):
        data = original[number % len(original)].copy()
        places = chance.integers(0, len(data), 2 ** chance.integers(0, 9))
        data[places] = chance.integers(0, 256, len(places), np.uint8)
        if number % 3 == 0:
            data = data[: chance.integers(1, len(data))]
        if number % 5 == 0:
            data = np.insert(data, chance.integers(0, len(data)), chance.integers(0, 256, 64, np.uint8))
        return data.tobytes()

    contents = [mutated(n) for n in range(500)]
    found = []
    for first in range(0, 500, 100):
        sent = [client.post("/api/scores", params={"run": "tiny"}, content=c) for c in contents[first : first + 100]]
        found += [ended(client, response.json(), within=300) for response in sent]
    lost = [job["problem"] for job in found if "the process that scored it stopped" in (job["problem"] or "")]
    finished = sum(job["status"] == "finished" for job in found)
    print(f"{finished} of 500 scored, {500 - finished} refused, {len(lost)} took the worker with them")
    assert process.poll() is None
    assert client.get("/healthz").json() == {"status": "ok", "waiting": 0}
    assert ended(client, send(client, videos[0]).json())["status"] == "finished"


def test_schemathesis_finds_no_server_error(server):
    pytest.importorskip("schemathesis")
    command = [Path(sys.executable).with_name("st"), "run", f"{server[1].base_url}/api/openapi.json"]
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    words = ["--checks", checks, "--max-examples", "50", "--request-timeout", "20", "--seed", "0"]
    done = subprocess.run([*command, *words], capture_output=True, text=True, env=os.environ | {"NO_COLOR": "1"})
    print(done.stdout[-3000:])
    assert done.returncode == 0, done.stdout
