"""Killed thirty times at random moments, every job ends as if it had not been."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("job", ["extract", "cached", "members", "live", "benchmark"])
def test_killed_thirty_times_the_end_is_the_same(job: str, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tests.kills", job, str(tmp_path / "work"), "30"]
    done = subprocess.run(words, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1])["killed"] == 30
