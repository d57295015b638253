"""Recorded motion of every kind, and faults told with their place."""

import gzip
import json

import numpy as np
import pytest

from aqakit.errors import DataError, OptionError
from aqakit.recordings import signals
from tests import hostile

SIGNAL = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)
JOINTS = np.random.default_rng(1).normal(size=(6, 4, 3)).astype(np.float32)


def _write(path, text):
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["s.txt", "s.txt.gz", "s.csv", "s.csv.gz", "named.csv", "s.npy", "s.npz", "S.TXT"])
def test_kinematics_of_every_kind_are_the_same(name, tmp_path):
    path = tmp_path / name
    if path.suffix == ".npy":
        np.save(path, SIGNAL)
    elif path.suffix == ".npz":
        np.savez(path, other=np.zeros(3), kinematics=SIGNAL)
    else:
        between = "," if "csv" in name else "   "
        rows = [between.join(repr(float(v)) for v in row) for row in SIGNAL]
        _write(path, "\n".join(["a,b,c,d,e"] * (name == "named.csv") + rows) + "\n")
    got = signals.kinematics(path, channels=5)
    np.testing.assert_array_equal(got, SIGNAL)
    assert got.dtype == np.float32
    with pytest.raises(DataError, match="expected 6 columns, found 5"):
        signals.kinematics(path, channels=6)


@pytest.mark.parametrize(("name", "make"), hostile.SIGNALS, ids=[name for name, _ in hostile.SIGNALS])
def test_hostile_recordings_are_refused_in_one_sentence(name, make, tmp_path):
    path = make(tmp_path)
    for read in (signals.kinematics, signals.skeleton):
        with pytest.raises(DataError) as caught:
            read(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("1 2 3\n4 5\n", "line 2: it has 2 columns, but the lines before have 3"),
        ("1 2 3\n\n4 5 x\n", "line 3, column 3: 'x'"),
        ("1 2 3\n4 nan 6\n", "line 2, column 2: 'nan'"),
        ("1 -inf 3\n", "line 1, column 2: '-inf'"),
        ("1 2 3\n1 2 1e39\n", "line 2, column 3: '1e39'"),
    ],
)
def test_the_place_of_a_fault_is_told(text, place, tmp_path):
    with pytest.raises(DataError, match=place):
        signals.kinematics(_write(tmp_path / "s.txt", text))


def test_the_place_of_a_fault_in_an_array_is_told(tmp_path):
    broken = SIGNAL.copy()
    broken[7, 2] = np.nan
    np.save(tmp_path / "s.npy", broken)
    with pytest.raises(DataError, match=r"index \(7, 2\)"):
        signals.kinematics(tmp_path / "s.npy")


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("name", ["j.npy", "j.npz", "j.json", "object.json", "j.csv", "j.csv.gz"])
def test_skeletons_of_every_kind_are_the_same(name, size, tmp_path):
    path, joints = tmp_path / name, JOINTS[..., :size]
    if path.suffix == ".npy":
        np.save(path, joints)
    elif path.suffix == ".npz":
        np.savez(path, joints=joints, other=np.zeros(1))
    elif path.suffix == ".json":
        lists = joints.tolist()
        path.write_text(json.dumps({"joints": lists} if name == "object.json" else lists))
    else:
        header = ",".join(f"joint{j}_{c}" for j in range(4) for c in "xyz"[:size])
        rows = [",".join(repr(float(v)) for v in frame.ravel()) for frame in joints]
        _write(path, "\n".join([header, *rows]))
    got = signals.skeleton(path)
    np.testing.assert_array_equal(got, joints)
    assert got.dtype == np.float32


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("j.csv", "1,2,3,4\n1,2,3,4\n", "line 1"),
        ("j.csv", "a_y,a_x\n1,2\n", "line 1"),
        ("j.csv", "a_x,a_y\n1,2,3,4\n", "names 2 columns, but it has 4"),
        ("j.json", "[[[1, 2], [3]]]", "equal length"),
        ("j.json", "[[[1, 2], [3, null]]]", "finite"),
        ("j.json", '{"joints": [[[1, 2]]', "line 1"),
        ("j.json", "[" * 100000, "j.json"),
        ("j.json", "[[[1, 2, 3, 4]]]", "2 or 3 coordinates"),
    ],
)
def test_faulty_skeletons_are_refused(name, text, why, tmp_path):
    with pytest.raises(DataError, match=why):
        signals.skeleton(_write(tmp_path / name, text))


def test_cut_keeps_both_ends_and_refuses_what_is_outside():
    np.testing.assert_array_equal(signals.cut(SIGNAL, (3, 5), "s.txt"), SIGNAL[[3, 4, 5]])
    assert signals.cut(SIGNAL, None, "s.txt") is SIGNAL
    for window in ((0, 20), (-1, 4), (5, 4)):
        with pytest.raises(DataError, match=r"s\.txt: rows .* it has rows 0 to 19"):
            signals.cut(SIGNAL, window, "s.txt")


def test_oversized_recordings_are_refused_and_the_limit_is_an_option(tmp_path, monkeypatch):
    monkeypatch.setenv("AQAKIT_LARGEST", "1")
    np.save(tmp_path / "s.npy", np.zeros((300_000, 1), np.int8))  # 4 bytes each, once they are read
    np.savez_compressed(tmp_path / "s.npz", np.zeros((200_000, 1)))
    _write(tmp_path / "s.txt.gz", "1.0000 2\n" * 50_000)
    _write(tmp_path / "lines.csv.gz", "1\n" * 20_000)
    for name in ("s.npy", "s.npz", "s.txt.gz", "lines.csv.gz"):
        with pytest.raises(DataError, match=f"{name} holds .* or more, and the limit is .* set AQAKIT_LARGEST"):
            signals.kinematics(tmp_path / name)
    monkeypatch.setenv("AQAKIT_LARGEST", "2")
    assert [len(signals.kinematics(tmp_path / name)) for name in ("s.npy", "lines.csv.gz")] == [300_000, 20_000]
    monkeypatch.setenv("AQAKIT_LARGEST", "lots")
    with pytest.raises(OptionError, match="AQAKIT_LARGEST=lots"):
        signals.kinematics(tmp_path / "s.npy")


def test_jigsaws(shared_data):
    folder = shared_data / "jigsaws" / "Suturing" / "kinematics" / "AllGestures"
    signal = signals.kinematics(folder / "Suturing_B001.txt.gz", channels=76)
    assert signal.shape[1] == 76
    rotation = signal[:, 3:12].reshape(-1, 3, 3).astype(np.float64)  # left master tool, after its position
    products = rotation @ rotation.swapaxes(1, 2)
    np.testing.assert_allclose(products, np.broadcast_to(np.eye(3), products.shape), atol=5e-3)


ROWS = [[0.5, -1.25], [1.5, 2.0], [3.25, 40.125]]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("0,1\n0.5,-1.25\n1.5,2.0\n3.25,40.125\n", "utf-8"),  # pandas writes the numbers of unnamed columns
        ("0;1\n0.5;-1.25\n1.5;2.0\n3.25;40.125\n", "utf-8"),
        ('"x","y"\n0.5,-1.25\n1.5,2\n3.25,40.125\n', "utf-8-sig"),
        ("x;y\r\n0,5;-1,25\r\n1,5;2\r\n3,25;40,125\r\n", "cp1252"),
        ("größe;höhe\n0,5;-1,25\n1,5;2\n3,25;40,125\n", "cp1252"),
        ("sep=;\nx;y\n0,5;-1,25\n1,5;2\n3,25;40,125\n", "utf-8"),
        ("0,5\t-1,25\n1,5\t2\n3,25\t40,125\n", "utf-16"),
        ("\n\nx\ty\n0.5\t-1.25\n\n1.5\t2\n3.25\t40.125\n\n", "utf-8"),
    ],
)
def test_motion_as_spreadsheets_and_pandas_write_it(text, encoding, tmp_path):
    (tmp_path / "s.csv").write_bytes(text.encode(encoding))
    np.testing.assert_array_equal(signals.kinematics(tmp_path / "s.csv"), np.float32(ROWS))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0,1,2\n3,4,5\n", "line 1: '0,1,2' may be names or motion"),
        ("0,1,2\n", "line 1: '0,1,2' may be names or motion"),
        (",x,y\n0,1,2\n", "line 1, column 1: no name"),
        (",0,1\n0,1.5,2.5\n", "line 1, column 1: '' is not a finite number"),
        ("nan,nan\n1,2\n", "line 1, column 1: 'nan' is not a finite number"),
        ("7_4,7_5\n1,2\n", "line 1, column 1: '7_4' is not a finite number"),
        ("７,８\n1,2\n", "line 1, column 1: '７' is not a finite number"),
        ("1e400,2\n1,2\n", "line 1, column 1: '1e400' is not a finite number"),
        ("x,y\n1,7_4\n", "line 2, column 2: '7_4' is not a finite number"),
        ("x,y\n1,\n", "line 2, column 2: '' is not a finite number"),
        ("x,y\n1,-inf\n", "line 2, column 2: '-inf' is not a finite number"),
        ("x,y\n1,1e39\n", "line 2, column 2: '1e39' is not a finite number"),  # of float32
        ("x;y\n1,234;5,678\n", "line 2, column 1: '1,234' is not a finite number"),  # thousands, or a fraction?
        ("x;y\n1,5;2.5\n", "line 2, column 1: '1,5' is not a finite number"),
        ("x,5\n1,2\n", "line 1, column 1: 'x' is not a finite number"),
    ],
)
def test_what_may_be_names_or_is_no_number_is_refused(text, why, tmp_path):
    with pytest.raises(DataError, match=why):
        signals.kinematics(_write(tmp_path / "s.csv", text))


def test_a_separator_is_no_motion(tmp_path):
    for text in ("sep=;\n", "sep=;\n\n \n", "sep=;\nx;y\n"):
        for read in (signals.kinematics, signals.skeleton):
            with pytest.raises(DataError, match=r"s\.csv"):
                read(_write(tmp_path / "s.csv", text))


def test_zero_has_no_sign_and_a_first_row_of_numbers_is_motion(tmp_path):
    got = signals.kinematics(_write(tmp_path / "s.csv", "-0,1.0,2\n3,-0.0,5\n"))
    assert got.shape == (2, 3)
    assert not np.signbit(got).any()
    assert len(signals.kinematics(_write(tmp_path / "s.csv", "0.0,1.0,2.0\n3,4,5\n"))) == 2


def test_text_in_json_is_no_number(tmp_path):
    for text in ('[[["7_4", 2]]]', '[[[1, "7"]]]', '[[["7", null]]]'):
        with pytest.raises(DataError, match="text in quotes is not a finite number"):
            signals.skeleton(_write(tmp_path / "j.json", text))
