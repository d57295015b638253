"""Several processes, as ``torchrun`` starts them: the same weights in each, the steps of one with larger batches."""

import json
import runpy
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from aqakit.system import distributed
from aqakit.training import train as training
from tests.features.test_dataset import make_manifest
from tests.forks import fork, wait

BACKBONE = "c3d_small:size=16:frames=4:clips=3:width=2"
TRAIN = f"""
import sys
import torch
from safetensors.torch import save_file
from aqakit.system import processes
from aqakit.training import train

def fit(members, *args, **more):
    history = whole(members, *args, **more)
    weights = {{f"{{k}}.{{n}}": t for k, one in enumerate(members) for n, t in one.assessor.state_dict().items()}}
    save_file(weights, f"{{sys.argv[1]}}-rank{{processes.rank()}}.safetensors")
    return history

whole, train.fit = train.fit, fit
options = {{
    "cached": {{"members": 2, "dropout": 0}},  # whose random numbers differ between processes
    "live": {{"finetune": True, "freeze_norm": True, "members": 1, "dropout": 0}},
    "unlabelled": {{
        "members": 2, "labels": "50%", "labelled_share": float(sys.argv[4]),
        "base": "usdl:dropout=0", "noise": 0, "ramp": 0
    }},
}}
train.train(
    "mean_teacher" if sys.argv[3] == "unlabelled" else "dae", data="manifest", root="my.csv", backbone="{BACKBONE}",
    out=sys.argv[1], cache=sys.argv[1] + "-cache", protocol="all", epochs=4, batch_size=int(sys.argv[2]),
    learning_rate=1e-2, seed=3, **options[sys.argv[3]],
)
"""


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run the script: in this process, or in several, with what ``torchrun`` tells each."""
    (tmp_path / "train.py").write_text(TRAIN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "fit", training.fit)  # so that what the script sets is taken back

    def run(out: str, batch_size: int, features: str, processes: int, share: float = 0.5) -> None:
        words = ["train.py", out, str(batch_size), features, str(share)]
        if processes == 1:
            monkeypatch.setattr(sys, "argv", words)
            runpy.run_path("train.py")
            return
        monkeypatch.setattr(sys, "argv", words)
        with socket.create_server(("localhost", 0)) as free:
            port = free.getsockname()[1]
        shared = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
        ranks = [{"RANK": str(k), "LOCAL_RANK": str(k), **shared} for k in range(processes)]
        logs = [tmp_path / f"{out}-rank{k}.log" for k in range(processes)]
        running = [fork(lambda: runpy.run_path("train.py"), *given) for given in zip(ranks, logs)]
        assert [wait(child) for child in running] == [0] * processes, [log.read_text() for log in logs]

    return run


@pytest.mark.parametrize("features", ["cached", pytest.param("live", marks=pytest.mark.slow)])
def test_two_processes_take_the_steps_of_one_with_twice_the_batch(tmp_path: Path, train, features: str) -> None:
    make_manifest(tmp_path, 12)
    train("one", 4, features, processes=1)  # first: what it imports need not be imported in each of the two
    train("two", 2, features, processes=2)
    check_equal(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("batch_size", "share"), [(4, 0.5), (3, 2 / 3)])
def test_with_unlabelled_rows_too(tmp_path: Path, train, batch_size: int, share: float) -> None:
    """Half a batch of 3 is 2 labelled rows in each of two processes, 4 of 6 in one."""
    make_manifest(tmp_path, 16)
    train("two", batch_size, "unlabelled", processes=2, share=0.5)
    train("one", 2 * batch_size, "unlabelled", processes=1, share=share)
    check_equal(tmp_path)


def check_equal(tmp_path: Path) -> None:
    first, second = (load_file(tmp_path / f"two-rank{rank}.safetensors") for rank in (0, 1))
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
    alone = load_file(tmp_path / "one-rank0.safetensors")
    for name, tensor in first.items():
        # a hundredth of a step of the optimiser, which enlarges what rounding leaves of a gradient of almost zero
        torch.testing.assert_close(tensor, alone[name], rtol=1e-3, atol=1e-4)
    curves = [json.loads((tmp_path / name / "run.json").read_text())["losses"] for name in ("two", "one")]
    for two, one in zip(*curves, strict=True):
        assert two == pytest.approx(one, rel=1e-4)
    assert curves[0][0] != curves[0][-1]


def test_shares_cover_a_batch_and_their_weights_make_its_mean(monkeypatch) -> None:
    values = torch.tensor([2.0, 4.0, 9.0, 1.0, 6.0])
    monkeypatch.setenv("WORLD_SIZE", "2")
    for count in (1, 2, 5):
        total, seen = 0.0, []
        for rank in ("0", "1"):
            monkeypatch.setenv("RANK", rank)
            part, weight = distributed.shard(torch.arange(count))
            total += weight * float(values[part].mean()) / 2
            seen += part.tolist() if weight else []
        assert sorted(seen) == list(range(count))
        assert total == pytest.approx(float(values[:count].mean()))
