"""Files are whole or not there, are named when they cannot be written, and leave nothing behind."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from aqakit.errors import DataError, OptionError
from aqakit.system import files, tensors
from aqakit.system.files import atomic_path, write_text
from aqakit.system.output import write_output


def write_half(file: Path) -> None:
    """As on a disk that becomes full; the error has no name."""
    file.write_text("half")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_a_failure_names_the_file_and_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    write_text(file, "before")
    with pytest.raises(OSError, match="No space left") as caught, atomic_path(file) as temporary:
        write_half(temporary)
    assert caught.value.filename == str(file)
    assert file.read_text() == "before"
    assert names(tmp_path) == ["a.json"]
    with pytest.raises(FileNotFoundError) as missing:
        write_text(tmp_path / "none" / "a.json", "")
    assert missing.value.filename == str(tmp_path / "none" / "a.json")
    with pytest.raises(OSError, match="other"), atomic_path(file):
        (tmp_path / "other").read_text()
    with pytest.raises(ZeroDivisionError), atomic_path(file) as temporary:
        temporary.write_text(f"{1 / 0}")
    assert names(tmp_path) == ["a.json"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_have_the_mode_that_the_umask_gives(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_text(tmp_path / "a.json", "{}")
        tensors.save(tmp_path / "a.safetensors", {"a": torch.ones(2)})
    finally:
        os.umask(before)
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {mode}


def test_what_a_killed_process_left_is_swept_away(tmp_path: Path) -> None:
    code = f"""
import os, pathlib
from aqakit.system.files import atomic_path
with atomic_path(pathlib.Path({str(tmp_path)!r}) / "a.json") as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    (left,) = tmp_path.iterdir()
    with atomic_path(tmp_path / "b.json") as own:
        own.write_text("not yet")
        other = tmp_path / ".c.json.elsewhere.1-00000000"
        old = tmp_path / ".d.json.elsewhere.1-00000000"
        for file in (other, old, tmp_path / ".hidden", tmp_path / "plain"):
            file.touch()
        os.utime(old, (time.time() - 100_000,) * 2)
        files.sweep(tmp_path)
        assert not left.exists()
        assert not old.exists()
        assert own.exists()
        assert other.exists()  # another machine may still write it
    assert names(tmp_path) == [other.name, ".hidden", "b.json", "plain"]


def test_an_output_takes_away_what_a_killed_process_left_of_it(tmp_path: Path) -> None:
    file, other = tmp_path / "table[1].json", tmp_path / "table1.json"
    left = [files.temporary_path(one) for one in (file, other)]
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    left = [one.with_name(one.name.replace(f".{os.getpid()}-", f".{int(dead.stdout)}-")) for one in left]
    for one in left:
        one.write_text("half")
    write_output(file, "whole")
    assert file.read_text() == "whole"
    assert [one.exists() for one in left] == [False, True]


def test_the_largest_recording_is_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AQAKIT_LARGEST", raising=False)
    files.check_size(Path("a"), 2**28)
    with pytest.raises(DataError, match=r"^a holds 268,435,457 bytes or more, and the limit is 268,435,456; .*256"):
        files.check_size(Path("a"), 2**28 + 1)
    monkeypatch.setenv("AQAKIT_LARGEST", "512")
    files.check_size(Path("a"), 2**28 + 1)
    for text in ("", "-1", "0", "1e3", "\u0664", "many"):
        monkeypatch.setenv("AQAKIT_LARGEST", text)
        with pytest.raises(OptionError, match="AQAKIT_LARGEST="):
            files.largest()
