"""Released pickles are read, and nothing in a pickle is ever executed."""

import collections
import pickle

import numpy as np
import pytest

from aqakit.errors import DataError
from aqakit.recordings import pickles
from tests import hostile

PLAIN = {
    (1, 2): [1, 2.5, "text", None, True, {3, 4}, frozenset({5}), b"bytes", 1j],
    "order": collections.OrderedDict(a=1),
    "scalars": [np.float64(1.5), np.int64(3), np.uint8(7), np.str_("word")],
}
ARRAYS = [
    np.arange(6.0).reshape(2, 3),
    np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
    np.arange(4, dtype=">f4"),
    np.array(["one", "three"]),
    np.array([True, False]),
    np.array([[1, "a"], [None, 2.5]], dtype=object),
]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_data_comes_back_as_pickle_itself_gives_it(protocol, tmp_path):
    path = tmp_path / "data.pkl"
    path.write_bytes(pickle.dumps((PLAIN, ARRAYS), protocol))
    plain, arrays = pickles.load(path)
    assert plain == PLAIN
    for got, expected in zip(arrays, pickle.loads(path.read_bytes())[1], strict=True):
        np.testing.assert_array_equal(got, expected)
        assert got.dtype == expected.dtype


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: str(a.dtype))
def test_arrays_come_back_from_npy(array, tmp_path):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    np.testing.assert_array_equal(pickles.load_npy_objects(tmp_path / "a.npy"), array)


@pytest.mark.parametrize(("name", "make"), hostile.PICKLES, ids=[name for name, _ in hostile.PICKLES])
def test_hostile_pickles_are_refused_and_not_executed(name, make, tmp_path):
    path = make(tmp_path)
    with pytest.raises(DataError) as caught:
        pickles.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "executed").exists()


def test_the_forbidden_name_is_told(tmp_path):
    path = dict(hostile.PICKLES)["os.system"](tmp_path)
    with pytest.raises(DataError, match=r"posix\.system|nt\.system"):
        pickles.load(path)


def test_hostile_object_arrays_are_refused(tmp_path):
    evil = np.array([hostile._Calls(eval, hostile._evaluated(tmp_path))], dtype=object)
    np.save(tmp_path / "evil.npy", evil, allow_pickle=True)
    (tmp_path / "other.npy").write_bytes(b"nothing of the kind")
    np.save(tmp_path / "cut.npy", np.array([{}, "x" * 99], dtype=object), allow_pickle=True)
    hostile.cut_short(tmp_path / "cut.npy", 0.8)
    for name in ("evil.npy", "other.npy", "cut.npy", "none.npy"):
        with pytest.raises(DataError, match=name):
            pickles.load_npy_objects(tmp_path / name)
    assert not (tmp_path / "executed").exists()


def test_released_files(shared_data):
    marks = pickles.load(shared_data / "jigsaws" / "label.pkl")
    assert len(marks) == 103  # trials, as published
    assert all(len(m) == 6 and set(m) <= {1, 2, 3, 4, 5} for m in marks.values())
    dives = pickles.load(shared_data / "mtl-aqa" / "augmented_final_annotations_dict.pkl")
    assert len(dives) == 1412
    assert all(d["judge_scores"].shape == (7,) for d in dives.values())
    assert pickles.load_npy_objects(shared_data / "unlv-dive" / "all_test.npy").shape == (3, 70)
