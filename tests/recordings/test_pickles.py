"""Released pickles are read, and nothing in a pickle is ever executed."""

import collections
import pickle
import time
import tracemalloc

import numpy as np
import pytest

from aqakit.errors import DataError
from aqakit.recordings import pickles
from tests import hostile

PLAIN = {
    (1, 2): [1, 2.5, "text", None, True, {3, 4}, frozenset({5}), b"bytes", 1j],
    "order": collections.OrderedDict(a=1),
    "scalars": [np.float64(1.5), np.int64(3), np.uint8(7), np.str_("word"), np.str_(""), np.bytes_(b"")],
}
ARRAYS = [
    np.arange(6.0).reshape(2, 3),
    np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
    np.arange(4, dtype=">f4"),
    np.array(["one", "three"]),
    np.array([True, False]),
    np.array([[1, "a"], [None, 2.5]], dtype=object),
    np.zeros((0, 3)),
    np.zeros(3000),
    np.array([], dtype="U"),
    np.array(5.0),
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


def array_of(shape: bytes, dtype: bytes, content: bytes) -> bytes:
    """A pickle of an array whose shape, dtype code and content are whatever somebody wrote there."""
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntC\x01btR"
    return b"\x80\x03" + made + b"(I1\n" + shape + b"cnumpy\ndtype\n(" + dtype + b"I00\nI01\ntRI00\n" + content + b"tb."


def test_an_array_that_holds_what_it_says(tmp_path):
    (tmp_path / "a.pkl").write_bytes(array_of(b"(I2\nt", b"X\x01\x00\x00\x00O", b"(I7\nI8\nl"))
    assert pickles.load(tmp_path / "a.pkl").tolist() == [7, 8]


FORGED = {
    "more objects than there are": array_of(b"(I1000000\nt", b"X\x01\x00\x00\x00O", b"(I7\nl"),
    "fewer objects": array_of(b"(I0\nt", b"X\x01\x00\x00\x00O", b"(I7\nl"),
    "a negative shape": array_of(b"(I-1\nI-1\nt", b"X\x01\x00\x00\x00O", b"(I7\nl"),
    "a shape that overflows": array_of(b"(L4294967296L\nL4294967296L\nt", b"X\x01\x00\x00\x00O", b"(l"),
    "a shape of booleans": array_of(b"(I01\nt", b"X\x01\x00\x00\x00O", b"(I7\nl"),
    "a shape that is a list": array_of(b"(I1\nl", b"X\x01\x00\x00\x00O", b"(I7\nl"),
    "objects as bytes": array_of(b"(I1\nt", b"X\x01\x00\x00\x00O", b"C\x08AAAAAAAA"),
    "bytes too few": array_of(b"(I1000000\nt", b"X\x02\x00\x00\x00f8", b"C\x08AAAAAAAA"),
    "elements of no size": array_of(b"(I1000000000\nt", b"X\x02\x00\x00\x00U0", b"C\x00"),
    "forty dimensions": array_of(b"(" + b"I1\n" * 40 + b"t", b"X\x02\x00\x00\x00f8", b"C\x08AAAAAAAA"),
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_arrays_are_refused(name, tmp_path):
    """The first of them ended the interpreter with a segmentation fault."""
    (tmp_path / "a.pkl").write_bytes(FORGED[name])
    with pytest.raises(DataError, match=r"a\.pkl .*forged numpy\.ndarray"):
        pickles.load(tmp_path / "a.pkl")


def test_a_header_that_the_objects_do_not_fit_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([1, "a", None], dtype=object), allow_pickle=True)
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole.replace(b"(3,)", b"(9,)"))
    with pytest.raises(DataError, match="does not hold the array that its header describes"):
        pickles.load_npy_objects(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.zeros(3))
    whole = (tmp_path / "b.npy").read_bytes()
    (tmp_path / "b.npy").write_bytes(whole.replace(b"(3,), }      ", b"(99999999999,), }"[:13]))
    with pytest.raises(DataError, match=r"b\.npy"):
        pickles.load_npy_objects(tmp_path / "b.npy")


SET, RANGE = b"cbuiltins\nset\n", b"cbuiltins\nrange\n(I0\nL100000000000L\ntR"
BIG = 10**6
GROWING = {
    "a set of a range": b"\x80\x03" + SET + b"(" + RANGE + b"tR.",
    "a new frozenset of a range": b"\x80\x03cbuiltins\nfrozenset\n(" + RANGE + b"t\x81.",
    "a memo of two billion entries": b"\x80\x03Nr\xff\xff\xff\x7f.",
    "a bytearray of terabytes": b"\x80\x05\x96" + (2**42).to_bytes(8, "little") + b"abc.",
    "bytes of terabytes": b"\x80\x04\x8e" + (2**42).to_bytes(8, "little") + b"abc.",
    "a text copied for ever": b"\x80\x03c_codecs\nencode\nq\x01X" + BIG.to_bytes(4, "little") + b"a" * BIG
    + b"X\x06\x00\x00\x00latin1\x86q\x02" + b"0h\x01h\x02R" * 3000 + b".",
    "tuples in tuples": b"\x80\x03}" + b")" + b"\x85" * 100_000 + b"Ns.",
    "a tuple twice in itself": b"\x80\x03}" + b")" + b"2\x86" * 90 + b"Ns.",
    "very many lists": b"\x80\x03" + b"]" * 9_000 + b".",
}  # fmt: skip


@pytest.mark.parametrize("name", GROWING)
def test_what_grows_is_refused_before_it_does(name, tmp_path, monkeypatch):
    monkeypatch.setenv("AQAKIT_LARGEST", "1" if len(GROWING[name]) < 10**5 else "16")
    (tmp_path / "a.pkl").write_bytes(GROWING[name])
    tracemalloc.start()
    start = time.monotonic()
    try:
        if name == "a memo of two billion entries":
            assert pickles.load(tmp_path / "a.pkl") is None
        else:
            with pytest.raises(DataError, match=r"a\.pkl"):
                pickles.load(tmp_path / "a.pkl")
        assert tracemalloc.get_traced_memory()[1] < 2**29
    finally:
        tracemalloc.stop()
    assert time.monotonic() - start < 10  # some of them would never end


def test_a_pickle_cannot_change_our_functions(tmp_path):
    state = b"N}X\x0c\x00\x00\x00__defaults__Ns\x86"
    (tmp_path / "a.pkl").write_bytes(b"\x80\x03c_codecs\nencode\n" + state + b"b.")
    with pytest.raises(DataError, match="setting the state of a function"):
        pickles.load(tmp_path / "a.pkl")


def test_the_limit_is_an_option(tmp_path, monkeypatch):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(bytes(300_000)))
    monkeypatch.setenv("AQAKIT_LARGEST", "1")
    with pytest.raises(DataError, match=r"300,\d+ bytes or more, and the limit is 262,144; .* AQAKIT_LARGEST"):
        pickles.load(tmp_path / "a.pkl")
    monkeypatch.setenv("AQAKIT_LARGEST", "2")
    assert pickles.load(tmp_path / "a.pkl") == bytes(300_000)


def test_released_files(shared_data):
    marks = pickles.load(shared_data / "jigsaws" / "label.pkl")
    assert len(marks) == 103  # trials, as published
    assert all(len(m) == 6 and set(m) <= {1, 2, 3, 4, 5} for m in marks.values())
    dives = pickles.load(shared_data / "mtl-aqa" / "augmented_final_annotations_dict.pkl")
    assert len(dives) == 1412
    assert all(d["judge_scores"].shape == (7,) for d in dives.values())
    assert pickles.load_npy_objects(shared_data / "unlv-dive" / "all_test.npy").shape == (3, 70)
