"""UNLV-Dive: the released arrays, cut into a file for each dive, against the arrays themselves."""

from pathlib import Path

import numpy as np
import pytest

from aqakit import datasets
from aqakit.datasets import unlv_dive
from aqakit.datasets.parts import health
from aqakit.errors import DataError
from aqakit.metrics.accuracy import spearman
from aqakit.recordings import pickles
from tests.releases import write_unlv_dive


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AQAKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return write_unlv_dive(tmp_path / "release")


def array_of(sample: object) -> np.ndarray:
    return np.load(sample.sources["features"])


def test_every_dive_has_its_own_features(release: Path) -> None:
    for k, dive in enumerate(datasets.load("unlv_dive", release).samples):
        assert (dive.id, dive.score, dive.difficulty) == (f"dive-{k + 1:03d}", 20 + k / 5, 3.2)
        assert array_of(dive).shape == (1, 2048)
        assert (array_of(dive) == k).all()


def test_other_things_to_read(release: Path) -> None:
    found = {read: datasets.load("unlv_dive", release, read=read).samples for read in ("scores", "both", "segments")}
    segments = np.load(release / "tcn_output.npy")
    for k in (0, 17, 369):
        scores = np.float32(20 + k / 5 + np.arange(4))
        assert np.array_equal(array_of(found["scores"][k]), scores[:, None])
        assert np.array_equal(array_of(found["both"][k]), [[*[k] * 2048, *scores]])
        assert np.array_equal(array_of(found["segments"][k]), segments[k])


def test_what_is_written_is_found_again(release: Path, cache: Path) -> None:
    first = datasets.load("unlv_dive", release).samples
    written = {file: file.stat().st_mtime_ns for file in cache.rglob("*.npy")}
    assert len(written) == 370
    lost = first[5].sources["features"]
    lost.unlink()
    assert datasets.load("unlv_dive", release).samples == first
    assert {file for file, when in written.items() if file.stat().st_mtime_ns != when} == {lost}
    assert array_of(first[5])[0, 0] == 5


def test_the_real_release(shared_data: Path) -> None:
    root = shared_data / "unlv-dive"
    loaded = datasets.load("unlv_dive", root, read="scores")
    (fold,) = loaded.folds()
    assert (len(fold.train), len(fold.test)) == (300, 70)
    known = {s.id: s for s in loaded.samples}
    for ids, name in ((fold.train, "train"), (fold.test, "test")):
        released = pickles.load_npy_objects(root / f"all_{name}.npy")
        assert [known[i].score for i in ids] == list(released[2])
        assert np.array_equal([array_of(known[i])[:, 0] for i in ids], np.array(released[1].tolist())[:, :, 0])
    test = [known[i] for i in fold.test]
    scores, stages = np.array([s.score for s in test]), np.hstack([array_of(s) for s in test])
    assert spearman(scores, stages.mean(0)) == pytest.approx(0.8456, abs=5e-5)
    assert [round(float(spearman(scores, s)), 3) for s in stages] == [0.471, 0.600, 0.839, 0.736]
    assert spearman(scores, np.array([s.difficulty for s in test])) == pytest.approx(0.286, abs=5e-4)
    report = health.check(loaded)
    assert report.ok
    odd, tuned, falling = (set(finding.subjects) for finding in report.about("release"))
    assert odd == {"dive-133", "dive-345"}  # 84.15 / 3.0 and 67.3 / 3.2
    assert tuned == set(fold.train)
    assert falling == {"dive-032", "dive-095"}


def test_boundaries(shared_data: Path) -> None:
    found = unlv_dive.boundaries(shared_data / "unlv-dive")
    assert found[0].tolist() == [31, 42, 65, 75]
    assert (np.flatnonzero((np.diff(found) < 0).any(1)) + 1).tolist() == [32, 95]


def _replace(name: str, array: object) -> object:
    return lambda root: np.save(root / name, array, allow_pickle=True)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda root: (root / "all_test.npy").unlink(), "all_test.npy is missing"),
        (lambda root: (root / "all_test.npy").write_bytes(b"\x93NUMPY"), "all_test.npy is not a .npy file"),
        (_replace("all_test.npy", np.zeros((2, 70))), "all_test.npy should have three rows"),
        (_replace("all_train.npy", np.zeros((3, 300))), r"shape \(300, 2048\), got \(300, 1\)"),
        (_replace("overall_scores.npy", np.ones((1, 370))), "differ from overall_scores.npy"),
        (_replace("overall_scores.npy", np.full((1, 370), -1.0)), "numbers above 0"),
        (_replace("difficulty_level.npy", np.ones(370)), r"shape \(1, 370\)"),
        (_replace("training_idx.npy", np.arange(300)), "distinct numbers from 1 to 370"),
        (_replace("training_idx.npy", np.arange(1, 301)), "each of the 370 dives once"),
    ],
)
def test_what_is_wrong_is_said(release: Path, spoil: object, sentence: str) -> None:
    spoil(release)
    with pytest.raises(DataError, match=sentence) as caught:
        datasets.load("unlv_dive", release)
    assert str(release) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_cache_that_cannot_be_written(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AQAKIT_CACHE", str(release / "all_test.npy"))
    with pytest.raises(DataError, match="set AQAKIT_CACHE"):
        datasets.load("unlv_dive", release)
