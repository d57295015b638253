"""Named segments, as people write them down."""

from pathlib import Path

import numpy as np
import pytest

from aqakit.errors import DataError
from aqakit.recordings import segments
from aqakit.types import Segment


def test_every_real_transcription_is_read_as_numpy_reads_it(shared_data: Path) -> None:
    files = sorted((shared_data / "jigsaws" / "gestures").rglob("*.txt"))
    assert files
    for file in files:
        rows = np.loadtxt(file, str, ndmin=2)
        found = segments.read(file)
        assert [s.name for s in found] == rows[:, 2].tolist()
        assert [(s.first + 1, s.last + 1) for s in found] == [tuple(map(int, row[:2])) for row in rows]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"1 20 G1\n\n15 30 G2\n", "line 3: has the segment G2, which begins before G1 has ended"),
        (b"1 20 G1\n21 30 G4\n", "line 2: 'G4' is not one of G1, G2"),
        (b"20 1 G1\n", "line 1: has the segment G1, which ends before it begins"),
        (b"0 20 G1\n", "line 1: frames are counted from 1"),
        (b"1 20\n", "line 1: should be first frame, last frame and a name; is '1 20'"),
        (b"one 20 G1\n", "line 1: should be first frame, last frame and a name"),
        (b"1.5 20 G1\n", "line 1: should be first frame, last frame and a name"),
        (b"", "is empty"),
        (b"\x00\xff\xfe" * 999, "a.txt"),
    ],
)
def test_bad_files_get_a_sentence(tmp_path: Path, text: bytes, sentence: str) -> None:
    (tmp_path / "a.txt").write_bytes(text)
    with pytest.raises(DataError, match=sentence) as caught:
        segments.read(tmp_path / "a.txt", ("G1", "G2"))
    assert len(str(caught.value)) < 300


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file"):
        segments.read(tmp_path / "a.txt")


def test_names_may_have_blanks(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("  1\t20  take off \r\n")
    assert segments.read(tmp_path / "a.txt") == (Segment("take off", 0, 19),)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("run-up", "should be names"),
        ("run-up 3", "should be names"),
        ("3-9", "should be names"),
        ("run-up 3-9 >", "should be names"),
        ("run-up ٣-9", "should be names"),
        ("run-up 9-3", "ends before it begins"),
        ("a 3-9 > b 9-12", "b, which begins before a has ended"),
    ],
)
def test_bad_cells_get_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        segments.parse(text)
