"""A full disk: one sentence with the file's name, nothing half-written, and nothing lost after making space."""

import errno
import gc
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aqakit.report import layout
from aqakit.system import files, tensors
from aqakit.training import loop
from tests.cli.test_commands import aqakit
from tests.releases import write_manifest
from tests.training.test_run import BACKBONE, make_manifest

SMALL = "c3d_small:size=16:frames=4:clips=2:width=2"
Words = Callable[[Path, Path], list[Any]]
"""The command that reads data from one folder and writes into another."""


def extract(data: Path, out: Path) -> list[Any]:
    return ["extract", "manifest", "--root", data / "mine.csv", "--backbone", SMALL, "--pack"]


def members(data: Path, out: Path) -> list[Any]:
    words = ["train", "regression", "--data", "manifest", "--root", data / "my.csv", "--backbone", BACKBONE]
    return [*words, "--epochs", 3, "--members", 2, "-o", out / "run"]


def live(data: Path, out: Path) -> list[Any]:
    words = ["train", "regression", "--data", "manifest", "--root", data / "mine.csv", "--backbone", SMALL]
    return [*words, "--finetune", "--epochs", 2, "-o", out / "run"]


def benchmark(data: Path, out: Path) -> list[Any]:
    words = ["benchmark", "manifest", "--root", data / "my.csv", "--backbone", BACKBONE, "--methods", "regression,dae"]
    return [*words, "--epochs", 2, "-o", out / "runs", "--json", out / "table.json"]


COMMANDS: dict[str, Words] = {one.__name__: one for one in (extract, members, live)}
ALL = COMMANDS | {"benchmark": benchmark}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    make_manifest(folder, 12)
    write_manifest(folder, 6)
    return folder


@pytest.fixture(autouse=True)
def every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_SECONDS_BETWEEN_CHECKPOINTS", -1.0)


def run(name: str, data: Path, out: Path) -> int:
    """Call a command whose cache is in the folder that it writes into, and return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AQAKIT_CACHE", str(out / "cache"))
        return aqakit(patch, *ALL[name](data, out))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


class Disk:
    """Counts the files that are written, and is full when the ``last`` one is half-written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, last: int | None = None) -> None:
        self.written, self.last, self.failed = 0, last, Path()
        self.write = files.atomic_path
        for module in (files, tensors, layout):
            monkeypatch.setattr(module, "atomic_path", self.atomic_path)

    @contextmanager
    def atomic_path(self, file: Path) -> Iterator[Path]:
        with self.write(file) as temporary:
            yield temporary
            self.written += 1
            if self.written == self.last:
                self.failed = file
                temporary.write_bytes(temporary.read_bytes()[:100])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def check(name: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], moments: int | None) -> None:
    expected = tmp_path / "whole"
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(patch)
        assert run(name, data, expected) == 0
    count = disk.written
    chosen = range(1, count + 1) if moments is None else random.Random(0).sample(range(1, count + 1), moments)
    for last in chosen:
        out = tmp_path / f"{last}"
        with pytest.MonkeyPatch.context() as patch:
            disk = Disk(patch, last)
            capsys.readouterr()
            assert run(name, data, out) == 1
        (said,) = [line for line in capsys.readouterr().err.splitlines() if "aqakit: " in line]
        assert said == f"aqakit: {disk.failed}: No space left on device"
        assert not [name for name in contents(out) if Path(name).name.startswith(".")]  # nothing half-written
        assert run(name, data, out) == 0
        assert contents(out) == contents(expected)
        shutil.rmtree(out)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_a_sentence_and_nothing_is_lost(
    name: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(name, data, tmp_path, capsys, 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_at_every_file(name: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(name, data, tmp_path, capsys, None)


@pytest.mark.slow
def test_a_report_on_a_full_disk_is_a_sentence(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("members", data, tmp_path) == 0
    words = ["report", tmp_path / "run", "--no-data", "-o", tmp_path / "r" / "r.html", "--figures", tmp_path / "r"]
    (tmp_path / "r").mkdir()
    for last in (1, 4):
        with pytest.MonkeyPatch.context() as patch:
            disk = Disk(patch, last)
            capsys.readouterr()
            assert aqakit(patch, *words) == 1
        assert capsys.readouterr().err.splitlines()[-1] == f"aqakit: {disk.failed}: No space left on device"
        assert not list(tmp_path.glob("r/.*"))
    with pytest.MonkeyPatch.context() as patch:
        assert aqakit(patch, *words) == 0


@contextmanager
def mounted(folder: Path, kibibytes: int) -> Iterator[Path]:
    """A disk of a few KiB in memory."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_twenty_disks_of_other_sizes(name: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(0)
    (tmp_path / "whole").mkdir()
    assert run(name, data, tmp_path / "whole") == 0
    expected = contents(tmp_path / "whole")
    needed = sum(-(-len(content) // 4096) * 4 for content in expected.values())
    with mounted(tmp_path / "disk", 2 * needed + 2000) as disk:
        total = shutil.disk_usage(disk).free
        for _ in range(20):
            gc.collect()  # frames that are still mapped keep the room of their file
            (disk / "out").mkdir()
            (disk / "fill").write_bytes(bytes(total - chance.randrange(needed * 900) // 4096 * 4096))
            capsys.readouterr()
            assert run(name, data, disk / "out") == 1
            error = capsys.readouterr().err.splitlines()[-1]
            assert error.startswith(f"aqakit: {disk}/out")
            assert error.endswith(": No space left on device")
            (disk / "fill").unlink()
            assert run(name, data, disk / "out") == 0
            assert contents(disk / "out") == expected
            shutil.rmtree(disk / "out")
