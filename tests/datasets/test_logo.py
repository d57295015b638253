"""LOGO, in a release of its layout: the data themselves were not at hand."""

import pickle

import numpy as np
import pytest

from aqakit import datasets
from aqakit.datasets import logo
from aqakit.datasets.parts.health import check
from aqakit.errors import DataError
from aqakit.recordings import signals
from tests.releases import LOGO_ACTIONS, write_frames, write_logo

FREE = "Worlds2019_free_final"


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("AQAKIT_CACHE", str(tmp_path / "cache"))
    return write_logo(tmp_path / "logo")


def test_routines_have_scores_kinds_events_and_parts(root):
    loaded = datasets.load("logo", root)
    first = loaded.samples[0]
    assert (first.id, first.group, first.score, first.kind) == (f"{FREE}_0", FREE, 70.5, "free")
    assert loaded.labels.kinds == ("free", "tech")
    assert first.segments == (
        ("required element 1", 3, 6), ("upper", 7, 8), ("acrobatic", 10, 14), ("upper", 15, 17)
    )  # fmt: skip
    told = np.full(len(LOGO_ACTIONS), 12)
    for name, begin, end in first.segments:
        told[begin : end + 1] = logo.ACTIONS.index(name) + 1
    assert told.tolist() == LOGO_ACTIONS


def test_the_official_split_and_one_by_event(root):
    loaded = datasets.load("logo", root)
    (official,) = loaded.splits["official"]
    assert (len(official.train), official.test) == (9, (f"{FREE}_3", "Worlds2019_tech_final_3", "Cup2021_tech_3"))
    events = {s.id: s.group for s in loaded.samples}
    for fold in loaded.splits["event-held-out"]:
        assert not {events[i] for i in fold.train} & {events[i] for i in fold.test}


def test_features_lie_in_files_in_folders_or_in_one_dictionary(root, tmp_path):
    files = {s.id: signals.vectors(s.sources["features"]) for s in datasets.load("logo", root).samples}
    nested = tmp_path / "nested"
    for name, vectors in files.items():
        event, _, number = name.rpartition("_")
        (nested / event).mkdir(parents=True, exist_ok=True)
        np.save(nested / event / f"{number}.npy", vectors)
    by_key = {(name.rpartition("_")[0], int(name.rpartition("_")[2])): vectors for name, vectors in files.items()}
    (tmp_path / "all.pkl").write_bytes(pickle.dumps(by_key))
    for given in (nested, tmp_path / "all.pkl"):
        for sample in datasets.load("logo", root, features=given).samples:
            assert np.array_equal(signals.vectors(sample.sources["features"]), files[sample.id])


def test_pictures_lie_where_the_release_has_them(root):
    write_frames(root / "Video_result" / FREE / "0", range(18), "{:05d}.jpg")
    write_frames(root / "LOGO" / FREE / "1", range(10), "{:05d}.jpg")
    loaded = datasets.load("logo", root)
    assert [s.id for s in loaded.samples if "video" in s.sources] == [f"{FREE}_0", f"{FREE}_1"]
    (found,) = check(loaded).about("segments")
    assert (
        f"{FREE}_1 (upper, frames 15 to 17 of 10)" in found.sentence
    )  # the other routine has a picture for each label


def test_a_split_that_does_not_fit_is_said(root):
    keys = [(FREE, 0), (FREE, 9)]
    (root / "LOGO_Anno&Split" / "train_split3.pkl").write_bytes(pickle.dumps(keys))
    loaded = datasets.load("logo", root)
    assert loaded.splits["official"][0].train == (f"{FREE}_0",)
    missing, outside = logo.known_errors(loaded.samples, root)
    assert missing[2] == [f"{FREE}_9"]
    assert len(outside[2]) == 8


GOOD = ["tech", 80.0, 0.0, [3], [12, 1, 1]]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([1, 2], "should hold a dictionary of routines"),
        ({"event": GOOD}, "'event' should be an event and a number"),
        ({("event", "x"): GOOD}, "should be an event and a number"),
        ({("event", 1): GOOD[:2]}, r"routine \('event', 1\) should be a type"),
        ({("event", 1): ["dive", *GOOD[1:]]}, "should be a type"),
        ({("event", 1): ["tech", 180.0, *GOOD[2:]]}, "should have a score from 0 to 100, and has 180.0"),
        ({("event", 1): ["tech", "80", *GOOD[2:]]}, "should have a score from 0 to 100, and has '80'"),
        ({("event", 1): [*GOOD[:4], ["upper"]]}, "should have the number of an action for each frame"),
        ({("event", 1): [*GOOD[:4], [0, 1]]}, "has actions outside 1 to 12"),
        ({("event", 1): [*GOOD[:4], [13]]}, "has actions outside 1 to 12"),
    ],
)
def test_damaged_annotations_are_sentences(root, content, said):
    (root / "LOGO_Anno&Split" / "anno_dict.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match=said):
        datasets.load("logo", root)


def test_files_that_are_not_there_are_sentences(root):
    (root / "LOGO_Anno&Split" / "test_split3.pkl").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(DataError, match="should hold a list of routines"):
        datasets.load("logo", root)
    (root / "LOGO_Anno&Split" / "anno_dict.pkl").unlink()
    with pytest.raises(DataError, match=r"anno_dict.pkl is missing.*take it from https"):
        datasets.load("logo", root)
