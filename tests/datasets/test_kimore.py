import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from openpyxl import load_workbook

from aqakit import datasets
from aqakit.errors import DataError
from aqakit.recordings import signals
from tests.releases import write_kimore, write_kimore_tables


@pytest.fixture(autouse=True)
def _a_cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AQAKIT_CACHE", str(tmp_path / "cache"))


def test_the_released_layout(tmp_path: Path) -> None:
    loaded = datasets.load("kimore", write_kimore(tmp_path / "kimore"))
    assert loaded.tasks == ["exercise 1", "exercise 5"]
    scores = {s.id: s.score for s in loaded.samples}
    assert len(scores) == 12
    assert scores["E_ID1_Es1"] == 30.5
    assert scores["S_ID1_Es5"] == 37.5
    assert all(s.sources["skeleton"].name == "JointPosition010203.csv" for s in loaded.samples)
    assert [f.name for f in loaded.folds("leave-one-subject-out")[:2]] == ["exercise 1-E_ID1", "exercise 1-NE_ID1"]


def test_the_derived_tables(tmp_path: Path) -> None:
    root = write_kimore_tables(tmp_path / "kimore")
    loaded = datasets.load("kimore", root)
    assert [s.score for s in loaded.samples] == [20, 25, 30, 35, 40, 45]
    text = gzip.decompress((root / "exercise1" / "E_ID3.csv.gz").read_bytes()).decode().splitlines()
    wanted = np.array([line.split(",") for line in text[:200]], float)
    np.testing.assert_allclose(signals.kinematics(loaded.samples[3].sources["signal"]), wanted, rtol=1e-5, atol=1e-6)


def test_the_real_tables(shared_data: Path) -> None:
    loaded = datasets.load("kimore", shared_data / "kimore")
    assert len(loaded.samples) == 77
    assert sum(len(f.test) for f in loaded.folds("five-fold")) == 77


def _score(value: object) -> Callable[[Path], None]:
    def write(root: Path) -> None:
        path = root / "CG" / "Expert" / "E_ID1" / "Es1" / "Label" / "ClinicalAssessment_E_ID1.xlsx"
        book = load_workbook(path)
        book.active["B2"] = value
        book.save(path)

    return write


def _twice(root: Path) -> None:
    (root / "CG" / "Expert" / "E_ID1" / "Es1" / "Raw" / "JointPosition9.csv").write_text("")


def _no_label(root: Path) -> None:
    next((root / "GPP" / "Stroke").rglob("*.xlsx")).unlink()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_score("good"), "line 2: the score 'good' is not a number"),
        (_score(77), "not within 0 and 50"),
        (_twice, "2 files of joint positions"),
        (_no_label, "no ClinicalAssessment_S_ID1.xlsx"),
    ],
)
def test_what_is_wrong_in_a_release_is_said(tmp_path: Path, spoil: Callable[[Path], None], sentence: str) -> None:
    root = write_kimore(tmp_path / "kimore")
    spoil(root)
    with pytest.raises(DataError, match=sentence):
        datasets.load("kimore", root)


def test_a_score_that_is_missing_is_no_score(tmp_path: Path) -> None:
    root = write_kimore(tmp_path / "kimore")
    _score(None)(root)
    assert next(s for s in datasets.load("kimore", root).samples if s.id == "E_ID1_Es1").score is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"1,2,3\n", "line 1: expected 11 numbers"),
        (b"1,2,,,,,,,,,\n" + b",".join([b"1"] * 11), "line 1: expected 11 numbers"),
        (b",".join([b"x"] * 11), "expected numbers only"),
        (b",".join([b"nan"] * 11), "line 1: a number is not finite"),
    ],
)
def test_what_is_wrong_in_a_table_is_said(tmp_path: Path, text: bytes, sentence: str) -> None:
    root = write_kimore_tables(tmp_path / "kimore")
    (root / "exercise1" / "E_ID2.csv.gz").write_bytes(gzip.compress(text))
    with pytest.raises(DataError, match=sentence):
        datasets.load("kimore", root)
    (root / "exercise1" / "E_ID2.csv.gz").write_bytes(b"damaged")
    with pytest.raises(DataError, match="copy it again"):
        datasets.load("kimore", root)
    (root / "exercise1" / "E_ID2.csv.gz").unlink()
    with pytest.raises(DataError, match="is missing"):
        datasets.load("kimore", root)
