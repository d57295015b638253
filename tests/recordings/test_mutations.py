"""Mutated pickles, arrays, tensors, JSON and videos: no crash, no code run, bounded memory and time, one sentence."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def read_mutated(kind: str, folder: Path, seed: int, count: int) -> dict[str, float]:
    """In a child process, so that a crash is seen."""
    words = [sys.executable, "-W", "ignore", "-m", "tests.mutations", kind, str(folder), str(seed), str(count)]
    done = subprocess.run(words, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        pytest.param("files", 10, id="some"),
        pytest.param("files", 20_000, id="all", marks=pytest.mark.slow),
        pytest.param("videos", 1000, id="videos", marks=pytest.mark.slow),
    ],
)
def test_every_mutated_file_is_read_or_refused_in_a_sentence(tmp_path: Path, kind: str, count: int) -> None:
    found = read_mutated(kind, tmp_path, count, count)
    assert found["files"] == count
    assert found["mebibytes"] < 1024
    assert found["seconds"] < 10
