"""Cache files, loose and packed: what was put in comes out, whatever happens on the way."""

import hashlib
import os
import random
from pathlib import Path

import pytest
import torch

from aqakit.features import cache
from aqakit.system import tensors as storage
from aqakit.system.files import _host


def fill(folder: Path, numbers: range) -> dict[Path, torch.Tensor]:
    made = {}
    for n in numbers:
        key = hashlib.blake2b(str(n).encode(), digest_size=16).hexdigest()
        file = folder / key[:2] / f"{key}.safetensors"
        made[file] = torch.full((2, 3), float(n))
        cache.save(file, {"features": made[file], "length": torch.tensor(n)})
    return made


def check(made: dict[Path, torch.Tensor]) -> None:
    for file, tensor in made.items():
        found = cache.load(file)
        assert found is not None
        assert torch.equal(found["features"], tensor)
        assert found["length"] == tensor[0, 0]


def test_packing_keeps_everything_and_is_repeatable(tmp_path: Path) -> None:
    made = fill(tmp_path, range(300))
    assert cache.pack(tmp_path) == 300
    assert not list(tmp_path.glob("??/*"))
    assert len(list(tmp_path.iterdir())) <= 2 * 256
    check(made)
    made |= fill(tmp_path, range(300, 400))  # some beside a pack, into which they go
    check(made)
    assert cache.pack(tmp_path) == 100
    assert cache.pack(tmp_path) == 0
    check(made)
    assert cache.load(next(iter(made)).with_stem("0" * 32)) is None


def stop(*args, **more) -> None:
    raise KeyboardInterrupt


def test_a_stop_while_packing_loses_nothing(tmp_path: Path, monkeypatch) -> None:
    made = fill(tmp_path, range(60))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", stop)
        with pytest.raises(KeyboardInterrupt):  # a pack is in place, and its loose files are still there
            cache.pack(tmp_path)
    check(made)
    calls = []
    write = storage.write

    def stop_before_the_fifth(path, tensors, header):
        if len(calls) == 4:
            raise KeyboardInterrupt
        calls.append(path)
        write(path, tensors, header)

    with monkeypatch.context() as patch:
        patch.setattr(storage, "write", stop_before_the_fifth)
        with pytest.raises(KeyboardInterrupt):
            cache.pack(tmp_path)
    check(made)
    cache.pack(tmp_path)
    check(made)


def test_a_damaged_pack_is_made_again(tmp_path: Path) -> None:
    made = fill(tmp_path, range(40))
    cache.pack(tmp_path)
    file = next(iter(made))
    pack = cache._pack_of(file.parent)
    pack.write_bytes(pack.read_bytes()[:-1])
    assert cache.load(file) is None
    cache.save(file, {"features": made[file], "length": made[file][0, 0].clone()})
    cache.pack(tmp_path)
    check({file: made[file]})


def test_an_unreadable_pack_is_said_and_not_replaced(tmp_path: Path, monkeypatch, capsys) -> None:
    """Of another user, or on a disk that is not there at the moment: what it holds must not be lost."""
    made = fill(tmp_path, range(4))
    cache.pack(tmp_path)
    file = next(iter(made))
    (pack,) = tmp_path.glob(f"{file.parent.name}.safetensors")
    content = pack.read_bytes()

    def denied(path: Path, framework: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(cache, "safe_open", denied)
        cache._index.cache_clear()
        assert cache.load(file) is None
        assert "cannot be read" in capsys.readouterr().err
        cache.save(file, {"features": made[file], "length": torch.tensor(0)})
        with pytest.raises(PermissionError):
            cache.pack(tmp_path)
    assert pack.read_bytes() == content
    assert cache.pack(tmp_path) == 1
    check(made)


def test_many_loose_files_are_too_many(tmp_path: Path, monkeypatch) -> None:
    fill(tmp_path, range(5))
    assert not cache.too_many(tmp_path)
    monkeypatch.setattr(cache, "PACK_ABOVE", 4)
    assert cache.too_many(tmp_path)


@pytest.mark.parametrize("packed", [False, True])
def test_every_flipped_bit_is_found_and_made_again(tmp_path: Path, packed: bool, capsys) -> None:
    made = fill(tmp_path, range(24))
    if packed:
        cache.pack(tmp_path)
    where = {file: cache._pack_of(file.parent) if packed else file for file in made}
    chance, flips, found = random.Random(0), 0, 0
    for number, (file, stored) in enumerate(list(where.items()) * 8):
        whole = stored.read_bytes()
        content = bytearray(whole)
        content[chance.randrange(len(whole))] ^= 1 << number % 8
        stored.write_bytes(content)
        os.utime(stored, ns=(number, number))  # as another file, so that an open one is not used
        flips += 1
        found += cache.load(file) is None
        neighbours = [other for other in made if other != file and where[other] == stored]
        for other in neighbours:  # of the same pack: right, or made again too
            tensors = cache.load(other)
            assert tensors is None or torch.equal(tensors["features"], made[other])
            found += tensors is None
        stored.write_bytes(whole)
        os.utime(stored, ns=(number, number + 10**9))
    assert found >= flips == 192
    check(made)
    assert packed or capsys.readouterr().err.count("is damaged and is made again") == flips


def test_features_of_another_recording_are_not_used(tmp_path: Path) -> None:
    first, second, *_ = fill(tmp_path, range(2))
    second.write_bytes(first.read_bytes())
    assert cache.load(second) is None
    assert cache.load(first) is not None


def test_damaged_features_are_not_packed(tmp_path: Path) -> None:
    made = fill(tmp_path, range(40))
    damaged, *_ = made
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    cache.pack(tmp_path)
    assert cache.load(damaged) is None
    del made[damaged]
    check(made)


def test_what_killed_processes_left_is_swept_away(tmp_path: Path) -> None:
    fill(tmp_path, range(1))
    dead = f"{_host()}.{2**22 + 1}-00000000"  # no process has so high an id
    left = [tmp_path / "00" / f".a.safetensors.{dead}", tmp_path / f".b.safetensors.{dead}"]
    for file in left:
        file.parent.mkdir(exist_ok=True)
        file.touch()
    cache._tidy.cache_clear()
    fill(tmp_path, range(1, 2))
    assert not any(file.exists() for file in left)
