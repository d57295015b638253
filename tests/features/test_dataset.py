"""``aqakit extract``: a data set's features ahead of training, whatever happens in between."""

import csv
import sys
from pathlib import Path

import pytest
import torch

from aqakit.errors import OptionError
from aqakit.features import cache
from aqakit.features.dataset import extract_dataset
from tests.backbones.test_every_backbone import write_video
from tests.cli.test_commands import aqakit
from tests.forks import fork, kill_when

BACKBONE = "c3d_small:size=16:frames=4:clips=3:width=2"


def make_manifest(folder: Path, count: int) -> Path:
    with (folder / "my.csv").open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["id", "path", "score"])
        for n in range(3, 3 + count):
            write_video(folder / f"{n}.avi", n)
            rows.writerow([n, f"{n}.avi", n])
    return folder / "my.csv"


def contents(folder: Path) -> dict[Path, torch.Tensor]:
    files = sorted(folder.rglob("*.safetensors"))
    return {file.relative_to(folder): cache.load(file)["features"] for file in files}


def test_a_killed_run_is_finished_by_the_next_one(tmp_path: Path) -> None:
    manifest = make_manifest(tmp_path, 60)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    running = fork(lambda: extract_dataset("manifest", root=manifest, backbones=[BACKBONE], cache=cut))
    kill_when(running, lambda: len(list(cut.rglob("[!.]*.safetensors"))) >= 5)
    before = set(contents(cut))
    assert 5 <= len(before) < 60
    second = extract_dataset("manifest", root=manifest, backbones=[BACKBONE], cache=cut)
    first = extract_dataset("manifest", root=manifest, backbones=[BACKBONE], cache=whole)
    assert (second.recordings, second.fresh) == (60, 60 - len(before))
    assert (first.fresh, first.clips, first.short) == (60, 180, 9)  # 3 to 11 frames for three clips of four
    expected, found = contents(whole), contents(cut)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_broken_recordings_are_listed_and_do_not_stop_the_rest(tmp_path, monkeypatch, capsys) -> None:
    manifest, cache = make_manifest(tmp_path, 4), tmp_path / "cache"
    whole = (tmp_path / "5.avi").read_bytes()
    (tmp_path / "5.avi").write_bytes(whole[:200])
    words = ["extract", "manifest", "--root", manifest, "--backbone", BACKBONE, "--cache", cache]
    assert aqakit(monkeypatch, *words) == 1
    out, err = capsys.readouterr()
    assert "3 recordings have their features (9 clips), 3 of them new" in out
    assert "failures.csv" in err
    (listed,) = csv.DictReader((cache / "failures.csv").open())
    assert listed["id"] == "5"
    assert "5.avi" in listed["problem"]

    (tmp_path / "5.avi").write_bytes(whole)
    assert aqakit(monkeypatch, *words) == 0
    assert "4 recordings have their features (12 clips), 1 of them new" in capsys.readouterr().out
    assert not (cache / "failures.csv").exists()


def test_an_engine_that_is_not_there_is_a_sentence(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    manifest = make_manifest(tmp_path, 1)
    with pytest.raises(OptionError, match=r"pip install 'aqakit\[fast\]'"):
        extract_dataset("manifest", root=manifest, backbones=[BACKBONE], engine="openvino", cache=tmp_path)


def test_a_packed_cache_is_read_and_filled_up(tmp_path: Path) -> None:
    manifest, folder = make_manifest(tmp_path, 6), tmp_path / "cache"
    first = extract_dataset("manifest", root=manifest, backbones=[BACKBONE], cache=folder, pack=True)
    assert (first.recordings, first.fresh) == (6, 6)
    assert not list(folder.glob("features/*/??/*"))
    next(folder.glob("features/*/??.safetensors")).unlink()
    again = extract_dataset("manifest", root=manifest, backbones=[BACKBONE], cache=folder)
    assert again.recordings == 6
    assert 0 < again.fresh < 6
