"""What a hash covers: names and content of exactly what is read, in the order of reading, once."""

import hashlib
import shutil
from pathlib import Path

import pytest

from aqakit.errors import DataError, VideoError
from aqakit.recordings import hashing
from aqakit.recordings.hashing import content_hash
from tests import hostile


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return hostile.write_pictures(tmp_path / "frames", 12)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files whose content is hashed."""
    names: list[str] = []
    real = hashing._digest
    monkeypatch.setattr(hashing, "_digest", lambda path: names.append(path.name) or real(path))
    return names


def test_a_file_is_its_content(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"content")
    shutil.copy(tmp_path / "a.mp4", tmp_path / "b.mp4")
    expected = hashlib.blake2b(b"content", digest_size=16).hexdigest()
    assert content_hash(tmp_path / "a.mp4") == content_hash(tmp_path / "b.mp4") == expected
    with pytest.raises(DataError, match="none"):
        content_hash(tmp_path / "none.mp4")


def test_another_order_or_other_names_are_another_recording(folder, tmp_path):
    before = content_hash(folder)
    assert content_hash(Path(shutil.copytree(folder, tmp_path / "copy"))) == before
    (folder / "img_2.png").rename(folder / "kept")
    (folder / "img_10.png").rename(folder / "img_2.png")
    (folder / "kept").rename(folder / "img_10.png")
    assert content_hash(folder) != before
    names = content_hash(folder, named=False)
    for k in range(12):
        (folder / f"img_{k}.png").rename(folder / f"frame_{k}.png")
    assert content_hash(folder) not in (before, names)
    assert content_hash(folder, named=False) == names


def test_what_is_not_read_does_not_count(folder, opened):
    before = content_hash(folder, range(3, 6))
    assert opened == ["img_3.png", "img_4.png", "img_5.png"]
    (folder / "notes.txt").write_text("no picture")
    (folder / "img_8.png").write_bytes((folder / "img_7.png").read_bytes())
    assert content_hash(folder, range(3, 6)) == before
    assert len(opened) == 3, "hashed once"
    (folder / "img_4.png").write_bytes((folder / "img_7.png").read_bytes() + b" ")
    assert content_hash(folder, range(3, 6)) != before


def test_a_folder_of_several_sequences_has_no_hash(folder):
    shutil.copy(folder / "img_1.png", folder / "flow_1.png")
    with pytest.raises(VideoError, match="flow"):
        content_hash(folder)
