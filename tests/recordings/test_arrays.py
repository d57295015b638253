"""Small files that describe large arrays are refused before anything is allocated, and the limit is said."""

import io
import json
import re
import resource
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from aqakit.backbones.weights import loading
from aqakit.errors import AqakitError, DataError, WeightsError
from aqakit.recordings import signals


def deflated_torch(path: Path) -> Path:
    """A file of PyTorch of a few kilobytes whose compressed record holds 64 MiB of zeros."""
    torch.save(torch.zeros(1, 1), file := io.BytesIO())
    with zipfile.ZipFile(file) as small, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out:
        for name in small.namelist():
            with out.open(name, "w") as member:
                for _ in range(64 if "/data/" in name else 1):
                    member.write(bytes(2**20) if "/data/" in name else small.read(name))
    return path


def repeated_torch(path: Path) -> Path:
    torch.save(torch.zeros(1, 1).expand(10**6, 10**6), path)
    return path


def claimed_legacy(path: Path) -> Path:
    """The format before 2020 with a storage of terabytes that is never filled."""
    torch.save(torch.zeros(4, 3), path, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    place = re.search(rb"(?<=cpuq.)K\x0c(?=Nt|q.Nt)", data)
    assert place
    path.write_bytes(data[: place.start()] + b"\x8a\x06" + (2**40).to_bytes(6, "little") + data[place.end() :])
    return path


def sparse_torch(path: Path) -> Path:
    where = torch.tensor([[0], [0]])
    torch.save(torch.sparse_coo_tensor(where, torch.ones(1), (10**6, 10**6), check_invariants=True), path)
    return path


def many_objects_torch(path: Path) -> Path:
    """A description of a million lists."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("a/data.pkl", b"\x80\x02" + b"]" * 2**20 + b".")
        out.writestr("a/version", "3\n")
        out.writestr("a/byteorder", "little")
    return path


def deep_torch(path: Path) -> Path:
    """A key of tuples within tuples, whose hash overflowed the stack of the interpreter."""
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("a/data.pkl", b"\x80\x02}" + b")" + b"\x85" * 200_000 + b"Ns.")
        out.writestr("a/version", "3\n")
        out.writestr("a/byteorder", "little")
    return path


def deep_legacy(path: Path) -> Path:
    torch.save({"a": torch.zeros(2)}, path, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    place = data.index(b".", data.index(b"sys_info") if b"sys_info" in data else 20)
    path.write_bytes(data[: place + 1] + b"\x80\x02}" + b")" + b"\x85" * 200_000 + b"Ns." * 4)
    return path


def deflated_numpy(path: Path) -> Path:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|i1", "fortran_order": False, "shape": (2**26, 1)})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out, out.open("a.npy", "w") as member:
        member.write(header.getvalue())
        for _ in range(64):
            member.write(bytes(2**20))
    return path


def header_safetensors(path: Path) -> Path:
    """A header with twenty thousand tensors without values."""
    entries = {f"{n:06d}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(20_000)}
    text = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    return path


def claimed_numpy(path: Path) -> Path:
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (10**9, 10**6)})
        file.write(bytes(80))
    return path


def long_header_numpy(path: Path) -> Path:
    path.write_bytes(b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b"{" * 1000)
    return path


FEATURES: dict[str, Callable[[Path], Path]] = {
    "deflated.pt": deflated_torch,
    "repeated.pt": repeated_torch,
    "claimed.pt": claimed_legacy,
    "sparse.pt": sparse_torch,
    "objects.pt": many_objects_torch,
    "deep.pt": deep_torch,
    "legacy.pt": deep_legacy,
    "deflated.npz": deflated_numpy,
    "header.safetensors": header_safetensors,
    "claimed.npy": claimed_numpy,
    "header.npy": long_header_numpy,
}


@pytest.mark.parametrize("name", FEATURES)
def test_small_files_that_grow_are_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AQAKIT_LARGEST", "16")  # so that the test needs less time; the bombs grow as well as others
    path = FEATURES[name](tmp_path / name)
    assert path.stat().st_size < 2 * 2**20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError) as caught:
        signals.vectors(path)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 32 * 2**20
    if name in {"deflated.pt", "repeated.pt", "deflated.npz", "objects.pt", "header.safetensors"}:
        assert "AQAKIT_LARGEST" in str(caught.value)


@pytest.mark.parametrize("name", [name for name in FEATURES if "np" not in name])
def test_they_are_no_weights_either(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AQAKIT_LARGEST", "16")
    with pytest.raises(WeightsError, match=name):
        loading.read(FEATURES[name](tmp_path / name))


def test_nested_json_is_a_sentence(tmp_path: Path) -> None:
    for name, text in {"deep.json": "[" * 10**6, "lists.json": "[" + "[]," * 10**4 + "[]]", "99": "9" * 10**5}.items():
        (tmp_path / name).with_suffix(".json").write_text(text)
        with pytest.raises(DataError, match=r"\.json"):
            signals.skeleton((tmp_path / name).with_suffix(".json"))


def test_json_has_a_limit_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    joints = np.arange(60_000.0).reshape(-1, 10, 2)
    (tmp_path / "a.json").write_text(json.dumps(joints.tolist()))
    np.testing.assert_array_equal(signals.skeleton(tmp_path / "a.json"), joints)
    monkeypatch.setenv("AQAKIT_LARGEST", "1")
    with pytest.raises(DataError, match=r"the limit is 131,072; .* AQAKIT_LARGEST"):
        signals.skeleton(tmp_path / "a.json")


def test_what_is_no_larger_than_its_file_has_no_limit_as_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AQAKIT_LARGEST", "1")
    state = {"a": torch.ones(500_000), "b": torch.ones(3)}
    torch.save(state, tmp_path / "a.pth")
    save_file(state, tmp_path / "a.safetensors")
    assert all(set(loading.read(tmp_path / name)) == {"a", "b"} for name in ("a.pth", "a.safetensors"))
    torch.save(state["a"][:, None], tmp_path / "a.pt")
    with pytest.raises(AqakitError, match="AQAKIT_LARGEST"):
        signals.vectors(tmp_path / "a.pt")


def test_tensors_come_back_as_they_were(tmp_path: Path) -> None:
    rows = torch.arange(12.0).reshape(4, 3)
    torch.save({"features": rows.T.contiguous().T, "note": np.float64(3)}, tmp_path / "a.pt")  # a view, not contiguous
    save_file({"features": rows.half(), "other": rows}, tmp_path / "a.safetensors")
    np.savez_compressed(tmp_path / "a.npz", features=rows.numpy(), other=np.zeros(3))
    for name in ("a.pt", "a.safetensors", "a.npz"):
        np.testing.assert_array_equal(signals.vectors(tmp_path / name), rows.numpy())
