"""Arrays whose headers another thread disturbed are read again: before Python 3.11.8 that happened now and then."""

import ast
import gzip

import numpy as np
import pytest

from aqakit.errors import DataError
from aqakit.recordings import arrays, pickles, skeletons

JOINTS = np.random.default_rng(0).normal(size=(5, 22, 3)).astype(np.float32)


@pytest.fixture
def disturbed(monkeypatch):
    """NumPy cannot parse the first ``times`` headers; the returned list grows with each of them."""

    def begin(times):
        parse, failed = ast.literal_eval, []

        def fail(text):
            if "descr" in str(text) and len(failed) < times:  # what is imported here for the first time parses too
                failed.append(text)
                raise SystemError("AST constructor recursion depth mismatch (before=21, after=18)")
            return parse(text)

        monkeypatch.setattr(ast, "literal_eval", fail)
        return failed

    return begin


def written(folder, ending):
    file = folder / f"joints{ending}"
    if ending == ".npz":
        np.savez(file, JOINTS)
    else:
        with (gzip.open if ending.endswith(".gz") else open)(file, "wb") as stream:
            np.save(stream, JOINTS)
    return file


READERS = {
    ".npy": lambda file: arrays.numpy_array(file, ""),
    ".npz": lambda file: arrays.numpy_array(file, ""),
    ".pickle.npy": pickles.load_npy_objects,
    ".npy.gz": lambda file: skeletons.read(file).joints,
}


@pytest.mark.parametrize("ending", READERS)
@pytest.mark.parametrize("times", [1, 3])
def test_a_disturbed_file_is_read_again(tmp_path, disturbed, ending, times):
    file = written(tmp_path, ending)
    failed = disturbed(times)
    found = READERS[ending](file)
    assert len(failed) == times
    assert np.array_equal(found, JOINTS)


def test_what_never_succeeds_is_an_error(tmp_path, disturbed):
    file = written(tmp_path, ".npy")
    disturbed(1000)
    with pytest.raises(DataError, match=r"joints.npy cannot be read .* mismatch"):
        arrays.numpy_array(file, "")


@pytest.mark.parametrize("content", [b"no array", np.array([{}, "x"], dtype=object)], ids=["bytes", "objects"])
def test_nobody_is_advised_to_load_a_pickle(tmp_path, content):
    file = tmp_path / "a.npy"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        np.save(file, content, allow_pickle=True)
    with pytest.raises(DataError, match=r"a\.npy cannot be read as an array of numbers: it is no array, or holds"):
        arrays.numpy_array(file, "")
