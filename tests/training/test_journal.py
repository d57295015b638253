"""Scores of many recordings: nothing that was made is lost, and several processes give the same rows as one."""

import json
import os
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from aqakit.cli.app import app
from aqakit.errors import DataError
from aqakit.training.journal import Journal
from aqakit.training.scoring import score_recordings
from aqakit.types import Sample
from tests import forks
from tests.training.test_trust import train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(tmp_path_factory.mktemp("scores"), epochs=1)


@pytest.fixture
def files(run):
    return [run.folder.parent / f"{n}.npy" for n in range(6)]


def sample(folder, name="a", **more):
    path = folder / f"{name}.npy"
    if not path.exists():
        np.save(path, np.zeros(3))
    return Sample(name, {"signal": path}, **more)


def test_rows_come_back_unless_something_they_follow_from_changes(tmp_path):
    file, one = tmp_path / "scores.csv.part", sample(tmp_path)
    Journal(file, ["run", 1]).add(one, {"score": 0.1 + 0.2, "said": None})
    again = Journal(file, ["run", 1])
    assert again.get(one) == {"score": 0.1 + 0.2, "said": None}
    assert again.get(sample(tmp_path, "b")) is None
    assert again.get(sample(tmp_path, difficulty=3.0)) is None
    assert Journal(file, ["run", 2]).get(one) is None
    np.save(one.sources["signal"], np.zeros(4))
    assert Journal(file, ["run", 1]).get(one) is None


def test_what_was_cut_off_is_made_again_and_the_rest_is_kept(tmp_path):
    file, names = tmp_path / "part", "abcd"
    for name in names:
        Journal(file, 0).add(sample(tmp_path, name), {"score": name})
    whole = file.read_bytes()
    for size in range(len(whole)):
        file.write_bytes(whole[:size])
        kept = [Journal(file, 0).get(sample(tmp_path, name)) for name in names]
        lines = whole[:size].count(b"\n")
        assert kept == [{"score": name} for name in names[:lines]] + [None] * (4 - lines)


def test_a_file_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "part").mkdir()
    with pytest.raises(DataError, match="part: Is a directory; give another output file"):
        Journal(tmp_path / "part", 0)


def test_a_killed_command_goes_on_where_it_stopped(run, files, tmp_path):
    part, table = tmp_path / "rows.csv.part", tmp_path / "rows.csv"
    words = ["predict", str(run.folder), *map(str, files), "--difficulty", "3", "--csv", str(table)]
    assert CliRunner().invoke(app, words).exit_code == 0
    whole = table.read_bytes()
    table.unlink()

    def slowly():
        kept = Journal.add

        def add(self, sample, row):
            kept(self, sample, row)
            time.sleep(0.2)

        Journal.add = add
        app(words)

    forks.kill_when(forks.fork(slowly), lambda: part.exists() and part.read_bytes().count(b"\n") >= 2)
    assert not table.exists()
    lines = part.read_text().splitlines()
    assert 2 <= len(lines) < len(files)
    marked = [json.loads(line) for line in lines]
    marked[0][1]["std"] = 123.25  # shows that it is taken from the file
    part.write_text("".join(json.dumps(line) + "\n" for line in marked))
    assert CliRunner().invoke(app, words).exit_code == 0
    assert b"123.25" in table.read_bytes()
    assert undated(table.read_bytes()).splitlines()[2:] == undated(whole).splitlines()[2:]
    assert not part.exists()


def undated(table: bytes) -> bytes:
    """The rows without the times of scoring, which differ."""
    return re.sub(rb"\d{4}-\d\d-\d\dT[\d:+-]+", b"", table)


@pytest.mark.slow
def test_sixty_recordings_are_scored_once_although_a_process_is_killed(run, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    rng, files = np.random.default_rng(0), [tmp_path / f"{n}.npy" for n in range(60)]
    for file in files:
        np.save(file, rng.normal(size=(400, 4)).astype("float32").cumsum(0))
    journal, killed = Journal(tmp_path / "part", 0), []
    kept = journal.add

    def add(one, row):
        kept(one, row)
        if not killed:
            killed.append(actor())
            os.kill(killed[0], signal.SIGKILL)

    monkeypatch.setattr(journal, "add", add)
    rows, failed = score_recordings(run, files, 3.0, workers=2, journal=journal)
    assert killed
    assert not failed
    assert len((tmp_path / "part").read_text().splitlines()) == 60
    alone, _ = score_recordings(run, files, 3.0)
    assert [row["recording"] for row in rows] == list(map(str, files))
    for one, other in zip(rows, alone, strict=True):
        assert one["score"] == pytest.approx(other["score"], abs=1e-4)


def actor():
    """The process id of a worker of Ray that scores."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and b"ray::MapWorker" in (entry / "cmdline").read_bytes():
            return int(entry.name)
    raise AssertionError("no worker is there")
