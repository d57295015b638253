"""Files of tensors: the library reads what we write, and every flipped bit is found."""

import hashlib
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from aqakit.system import tensors
from aqakit.system.tensors import DamagedError

KINDS = [
    torch.tensor(3), torch.zeros(0, 4), torch.randn(3, 5).half(), torch.randn(3).bfloat16(), torch.randn(2, 2).double(),
    torch.tensor([True, False, True]), torch.arange(12.0).reshape(3, 4).T, torch.arange(7, dtype=torch.uint8),
    torch.arange(3, dtype=torch.int16), torch.arange(3, dtype=torch.int8), torch.arange(3, dtype=torch.int32),
]  # fmt: skip


def test_the_library_reads_what_we_write(tmp_path: Path) -> None:
    made = {f"ü/{n}": tensor for n, tensor in enumerate(KINDS)} | {"again": KINDS[2]}  # two that share their memory
    tensors.save(tmp_path / "a.safetensors", made, {"kinds": '{"test": "normal"}'})
    read = load_file(tmp_path / "a.safetensors")
    ours, header = tensors.load(tmp_path / "a.safetensors", required=True)
    for found in (read, ours):
        assert found.keys() == made.keys()
        assert all(torch.equal(found[n], t) and found[n].dtype == t.dtype for n, t in made.items())
    with safe_open(tmp_path / "a.safetensors", framework="pt") as stored:
        assert stored.metadata() == header
    assert header["kinds"] == '{"test": "normal"}'


def test_the_same_content_has_the_same_bytes(tmp_path: Path) -> None:
    made = {f"{n}": tensor for n, tensor in enumerate(KINDS)}
    tensors.save(tmp_path / "a", made, {"x": "1", "y": "2"})
    tensors.save(tmp_path / "b", dict(reversed(made.items())), {"y": "2", "x": "1"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_every_flipped_bit_and_every_cut_is_found(tmp_path: Path) -> None:
    file = tmp_path / "a"
    tensors.save(file, {"a": torch.tensor([1.0, -2.0]), "b": torch.tensor([7])}, {"kinds": "{}"})
    whole = file.read_bytes()
    for place in range(0, len(whole) * 8, 3):  # each bit of a byte, in turns
        content = bytearray(whole)
        content[place // 8] ^= 1 << place % 8
        file.write_bytes(content)
        with pytest.raises(DamagedError):
            tensors.load(file)
    for end in range(len(whole)):
        file.write_bytes(whole[:end])
        with pytest.raises(DamagedError):
            tensors.load(file)
    file.write_bytes(whole + b"\0")
    with pytest.raises(DamagedError):
        tensors.load(file)
    with pytest.raises(FileNotFoundError):
        tensors.load(tmp_path / "none")


def test_files_without_a_digest_are_read_unless_one_is_required(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "a", {"kinds": "{}"})
    found, header = tensors.load(tmp_path / "a")
    assert torch.equal(found["a"], torch.ones(2))
    assert header == {"kinds": "{}"}
    with pytest.raises(DamagedError, match="digest"):
        tensors.load(tmp_path / "a", required=True)


def test_the_digest_is_what_it_says() -> None:
    """From the definition: lengths and contents of names, types, shapes and values, one after another."""
    expected = hashlib.blake2b(digest_size=16)
    for part in (b"format", b"x", b"a", b"torch.float32 [2, 1]", torch.tensor([1.0, 2.0]).numpy().tobytes()):
        expected.update(len(part).to_bytes(8, "little") + part)
    made = {"a": torch.tensor([[1.0], [2.0]])}
    assert tensors.digest(made, {"format": "x"}) == expected.hexdigest()
    others = [{"b": made["a"]}, {"a": made["a"].T}, {"a": made["a"].double()}, {"a": -made["a"]}]
    assert len({tensors.digest(one) for one in [made, *others]}) == 5


PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
NESTED = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None, max_examples=40)
@given(NESTED)
def test_nested_values_come_back(value: object) -> None:
    stored: list[torch.Tensor] = []
    flat = tensors.flatten({"value": value, "weight": [torch.ones(2)]}, stored)
    found = tensors.unflatten(flat, stored)
    assert found["value"] == value
    assert type(found["value"]) is type(value)
    assert found["weight"][0] is stored[0]


def test_other_values_are_refused() -> None:
    with pytest.raises(TypeError, match="Path cannot be stored"):
        tensors.flatten({"a": Path()}, [])
