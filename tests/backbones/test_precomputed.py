"""Features of the user's own: every format against what NumPy wrote, and every fault in a sentence."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

import aqakit
from aqakit.backbones import precomputed
from aqakit.datasets.parts import health
from aqakit.datasets.parts.loading import load
from aqakit.errors import DataError
from aqakit.features.extract import clips_of
from aqakit.types import Sample

TABLE = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


def write(path: Path, array: np.ndarray) -> Path:
    tensor = torch.from_numpy(array)
    {
        ".npy": lambda: np.save(path, array),
        ".npz": lambda: np.savez(path, features=array, frames=np.arange(7)),
        ".safetensors": lambda: save_file({"features": array, "frames": np.arange(7)}, path),
        ".pt": lambda: torch.save(tensor.requires_grad_(), path),
    }[path.suffix]()
    return path


@pytest.mark.parametrize("ending", ["npy", "npz", "safetensors", "pt"])
def test_every_format_gives_what_was_written(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"a.{ending}", TABLE)
    backbone = precomputed.build(width=4)
    assert np.array_equal(np.stack(list(backbone.read(path))), TABLE)
    assert np.array_equal(np.stack(list(backbone.read(path, (1, 2)))), TABLE[1:])
    single = write(tmp_path / f"b.{ending}", TABLE[0].copy())
    assert np.array_equal(np.stack(list(backbone.read(single))), TABLE[:1])


@pytest.mark.parametrize("kind", [torch.float64, torch.float16, torch.bfloat16, torch.int64])
def test_numbers_of_any_kind(tmp_path: Path, kind: torch.dtype) -> None:
    tensor = torch.tensor([[1.5, -2.0], [0.25, 1000.0]]).to(kind)
    torch.save({"features": tensor, "other": torch.zeros(1)}, tmp_path / "a.pt")
    found = np.stack(list(precomputed.build(width=2).read(tmp_path / "a.pt")))
    assert np.array_equal(found, tensor.float().numpy())


def test_the_cache_rounds_nothing(tmp_path: Path) -> None:
    array = np.array([[1e6, 1 / 3]], np.float32)  # beyond half precision, and finer
    sample = Sample("a", {"features": write(tmp_path / "a.npy", array)})
    for fresh in (True, False):
        found = clips_of(sample, "precomputed", precomputed.build(width=2), tmp_path / "cache")
        assert found.fresh == fresh
        assert found.length == 1
        assert np.array_equal(found.features.numpy(), array)


class Danger:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("touched"),))


FAULTS = {
    "deep.npy": lambda path: np.save(path, np.zeros((2, 3, 4))),
    "nan.npy": lambda path: np.save(path, np.array([[0, 0, 0, 0], [0, 0, np.nan, 0]])),
    "objects.npy": lambda path: np.save(path, np.array([[{}] * 4]), allow_pickle=True),
    "wide.npy": lambda path: np.save(path, np.zeros((2, 5))),
    "two.pt": lambda path: torch.save({"a": torch.zeros(4), "b": torch.zeros(4)}, path),
    "pickle.pt": lambda path: path.write_bytes(pickle.dumps(Danger())),
    "danger.pt": lambda path: torch.save(Danger(), path),
    "cut.pt": lambda path: path.write_bytes(write(path, TABLE).read_bytes()[:300]),
    "cut.safetensors": lambda path: path.write_bytes(write(path, TABLE).read_bytes()[:-5]),
    "missing.pt": lambda path: None,
}


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("deep.npy", r"clips × channels, not float64 of shape \(2, 3, 4\)"),
        ("nan.npy", r"index \(1, 2\)"),
        ("objects.npy", "cannot be read"),
        ("wide.npy", "width 5, .* expects 4; give it width=5"),
        ("two.pt", "one named 'features'"),
        ("pickle.pt", "cannot be read"),
        ("danger.pt", "cannot be read"),
        ("cut.pt", "cannot be read"),
        ("cut.safetensors", "cannot be read"),
        ("missing.pt", "no such file"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, sentence: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / fault
    FAULTS[fault](path)
    with pytest.raises(DataError, match=sentence) as caught:
        list(precomputed.build(width=4).read(path))
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert not Path("touched").exists()


def test_from_a_manifest_to_a_score(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = ["id,path,features,score"]
    for k in range(10):
        array = rng.normal(size=(k % 3 + 1, 4)).astype(np.float32)
        name = write(tmp_path / f"{k}.{'pt' if k % 2 else 'npy'}", array).name
        lines.append(f"v{k},{name if k % 2 else ''},{'' if k % 2 else name},{array.mean():.3f}")
    sheet = tmp_path / "mine.csv"
    sheet.write_text("\n".join(lines))
    report = health.check(load("manifest", sheet))
    assert report.ok
    assert report.rows()[0]["features"] == 10
    assert (report.rows()[0]["shortest"], report.rows()[0]["longest"]) == (1, 3)
    run = aqakit.train(
        "dae",
        data="manifest",
        root=sheet,
        backbone="precomputed:width=4",
        out=tmp_path / "run",
        cache=tmp_path / "cache",
        epochs=1,
    )
    assert np.isfinite(run.predict(tmp_path / "0.npy").mean)
