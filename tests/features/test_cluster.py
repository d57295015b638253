"""``aqakit extract`` by several processes and machines: the same files, whoever made them and whoever died."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from aqakit.errors import OptionError
from aqakit.features.cluster import map_distributed, shares
from aqakit.features.dataset import extract_dataset
from tests.cli.test_commands import aqakit
from tests.features.test_dataset import contents, make_manifest

TOKEN = secrets.token_hex(32)
COUNT = 60
PATIENCE = 300.0
SLOW = """'''A network that takes its time and leaves a trace of who read what.'''
import os, time
from pathlib import Path
from aqakit.backbones.c3d_small import C3DSmall, PAPER

class Slow(C3DSmall):
    def read(self, path, window=None, **more):
        Path(os.environ["AQAKIT_TRACES"], f"{path.stem}.{os.getpid()}").touch()
        time.sleep(0.3)
        yield from super().read(path, window, **more)

def build() -> Slow:
    network = Slow(size=16, frames=4, clips=3, width=2)
    network.source = "the seed of the run"
    return network
"""


def command(manifest: Path, cache: Path, *more: str) -> list[str]:
    words = ["extract", "manifest", "--root", manifest, "--backbone", "slow", "--cache", cache, *more]
    return [sys.executable, "-m", "aqakit", *map(str, words)]


def files(cache: Path) -> list[Path]:
    return list(cache.rglob("[!.]*.safetensors"))


def same(first: Path, second: Path) -> bool:
    expected, found = contents(first), contents(second)
    return expected.keys() == found.keys() and all(torch.equal(found[n], t) for n, t in expected.items())


def family(parent: int) -> dict[int, str]:
    """A process and all that it started, with their command lines."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()[1:]]
    found = {parent: ""}
    for pid, ppid, words in sorted(rows, key=lambda row: int(row[0])):
        if int(ppid) in found:
            found[int(pid)] = words
    return found


def kill(process: subprocess.Popen) -> None:
    for pid in family(process.pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


def until(true, log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)


@pytest.fixture
def plugin(tmp_path, monkeypatch) -> Path:
    """The folder of the traces that the backbone ``slow`` leaves."""
    folder, traces = tmp_path / "plugins" / "backbones", tmp_path / "traces"
    folder.mkdir(parents=True)
    traces.mkdir()
    (folder / "slow.py").write_text(SLOW)
    monkeypatch.setenv("AQAKIT_PLUGINS", str(folder.parent))
    monkeypatch.setenv("AQAKIT_TRACES", str(traces))
    return traces


@pytest.fixture
def secret(monkeypatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def two_machines(secret, tmp_path) -> Iterator[tuple[str, list[subprocess.Popen]]]:
    """A cluster of two nodes with a core each, and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1"]
    start += ["--node-ip-address=127.0.0.1", f"--object-store-memory={100 * 2**20}"]
    nodes = []
    try:
        for words in (["--head", f"--port={address[10:]}", "--include-dashboard=false"], [f"--address={address}"]):
            log = tmp_path / f"node{len(nodes)}.log"
            with log.open("w") as out:
                nodes.append(subprocess.Popen([*start, *words], stdout=out, stderr=out))
            until(lambda log=log: "Ray runtime started" in log.read_text(), log)
        yield address, nodes
    finally:
        for node in reversed(nodes):
            kill(node)


@pytest.mark.slow
def test_two_processes_make_the_same_files(tmp_path, secret, plugin) -> None:
    pytest.importorskip("ray")
    manifest = make_manifest(tmp_path, COUNT)
    broken = tmp_path / "5.avi"
    broken.write_bytes(broken.read_bytes()[:200])
    alone = extract_dataset("manifest", root=manifest, backbones=["slow"], cache=tmp_path / "alone")
    asked = command(manifest, tmp_path / "shared", "--workers", "2")
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == alone.sentence()
    assert (tmp_path / "shared" / "failures.csv").read_text().count("5.avi") == 1
    assert same(tmp_path / "alone", tmp_path / "shared")
    others = {trace.suffix for trace in plugin.iterdir()} - {f".{os.getpid()}"}
    assert len(others) == 2


@pytest.mark.slow
def test_a_machine_that_dies_costs_only_what_it_had_in_hand(tmp_path, two_machines, plugin) -> None:
    pytest.importorskip("ray")
    address, (_, doomed) = two_machines
    manifest, shared, log = make_manifest(tmp_path, COUNT), tmp_path / "shared", tmp_path / "log"
    with log.open("w") as out:
        running = subprocess.Popen(command(manifest, shared, "--cluster", address), stdout=out, stderr=out)

    def reads() -> list[Path]:
        mine = {f".{pid}" for pid in family(doomed.pid)}
        return [trace for trace in plugin.iterdir() if trace.suffix in mine]

    until(lambda: len(reads()) > 3, log)
    kill(doomed)
    before = len(files(shared))
    assert running.wait(PATIENCE) == 0
    told = log.read_text()
    assert 1 < before < COUNT
    assert "with a worker that died and are retried" in told
    assert f"{COUNT} recordings have their features ({3 * COUNT} clips)" in told
    again = len(list(plugin.iterdir())) - COUNT
    print(f"{before} of {COUNT} were there at the kill, {again} were read twice\n{told}")
    assert 0 < again < COUNT // 2
    extract_dataset("manifest", root=manifest, backbones=["slow"], cache=tmp_path / "alone")
    assert same(tmp_path / "alone", shared)


@pytest.mark.slow
def test_what_kills_its_process_is_named_and_all_else_is_done(secret) -> None:
    pytest.importorskip("ray")

    def prepare():  # sent as it is: the workers do not know this file
        def work(items):
            for n in items:
                if n == 5:
                    os._exit(1)
                yield n * n

        return work

    assert dict(map_distributed(range(12), prepare, workers=1)) == {n: n * n if n != 5 else None for n in range(12)}


@pytest.mark.slow
def test_a_fault_of_the_work_is_raised_where_it_was_asked_for(secret) -> None:
    pytest.importorskip("ray")

    def prepare():
        raise OptionError("the engine cannot run this")

    with pytest.raises(OptionError, match=r"^the engine cannot run this"):
        list(map_distributed(range(3), prepare, workers=1))


@pytest.mark.parametrize("workers", [0, 1, 3, 4, 7, 11, 12, 99])
def test_all_actors_find_room_on_the_machines(workers: int) -> None:
    machines = [{"CPU": 8.0}, {"CPU": 3.0}, {"memory": 1e9}]
    actors, share = shares(machines, workers)
    assert actors == (min(workers, 11) if workers else 2)
    cores = share["num_cpus"]
    assert sum(m.get("CPU", 0) // cores for m in machines) >= actors
    assert sum(m.get("CPU", 0) // (cores + 1) for m in machines) < actors  # and leave no core idle that they could use


def test_without_a_processor_there_is_a_sentence() -> None:
    with pytest.raises(OptionError, match="no processor"):
        shares([{"memory": 1e9}])


def test_a_cluster_that_is_not_there_is_a_sentence(tmp_path, monkeypatch, capsys) -> None:
    pytest.importorskip("ray")
    manifest = make_manifest(tmp_path, 1)
    words = ["extract", "manifest", "--root", manifest, "--backbone", "c3d_small", "--cluster", "127.0.0.1:9"]
    assert aqakit(monkeypatch, *words, "--cache", tmp_path) == 2
    assert "no Ray cluster answers at 127.0.0.1:9" in capsys.readouterr().err


def test_without_ray_there_is_a_sentence(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    manifest = make_manifest(tmp_path, 1)
    with pytest.raises(OptionError, match=r"pip install 'aqakit\[scale\]'"):
        extract_dataset("manifest", root=manifest, backbones=["c3d_small"], cache=tmp_path, workers=2)
