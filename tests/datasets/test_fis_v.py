"""Fis-V: counts of the release, its two scores, and features in the forms that people have them."""

import pickle

import numpy as np
import pytest

from aqakit import datasets
from aqakit.errors import DataError
from aqakit.recordings import signals
from tests.releases import write_fis_v


@pytest.fixture
def root(tmp_path):
    return write_fis_v(tmp_path / "fis_v")


def test_the_two_scores_are_chosen(root):
    technical, components = (datasets.load("fis_v", root, score=score) for score in ("technical", "components"))
    assert (technical.samples[0].score, components.samples[0].score) == (20.5, 29.75)
    assert (technical.labels.scale.high, components.labels.scale.high) == (45, 40)
    assert technical.splits["official"][0].test == ("7", "8", "9")


def test_a_dictionary_of_features_gives_the_same_as_files(root, tmp_path, monkeypatch):
    monkeypatch.setenv("AQAKIT_CACHE", str(tmp_path / "cache"))
    files = {s.id: signals.vectors(s.sources["features"]) for s in datasets.load("fis_v", root).samples}
    (tmp_path / "all.pkl").write_bytes(pickle.dumps({int(name): np.asarray(value) for name, value in files.items()}))
    for _ in range(2):
        for sample in datasets.load("fis_v", root, features=tmp_path / "all.pkl").samples:
            assert np.array_equal(signals.vectors(sample.sources["features"]), files[sample.id])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([1, 2], "should hold a dictionary of arrays"),
        ({"other": np.zeros((2, 3))}, "has features of none of the samples, such as 1"),
        ({"1": np.array(["a"])}, "should hold numbers"),
    ],
)
def test_a_wrong_dictionary_is_a_sentence(root, tmp_path, monkeypatch, content, said):
    monkeypatch.setenv("AQAKIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "all.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match=said):
        datasets.load("fis_v", root, features=tmp_path / "all.pkl")
    with pytest.raises(DataError, match="does not exist"):
        datasets.load("fis_v", root, features=tmp_path / "none.pkl")


@pytest.mark.parametrize(
    ("text", "said"),
    [("1 20 30\n", "line 1: should be a video and three numbers"), ("1 2 3 0\n1 2 3 0\n", "line 2: video 1 is already"),
     ("", "is empty")],
)  # fmt: skip
def test_damaged_lists_are_sentences(root, text, said):
    (root / "train_dataset.txt").write_text(text)
    with pytest.raises(DataError, match=said):
        datasets.load("fis_v", root)


def test_the_counts_of_the_release(shared_data):
    found = datasets.load("fis_v", shared_data / "fis-v")
    (official,) = found.splits["official"]
    assert (len(found.samples), len(official.train), len(official.test)) == (500, 400, 100)
    assert all(0 <= s.score <= 45 for s in found.samples)
