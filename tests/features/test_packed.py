"""Videos in a file are those in memory, to the bit; what does not fit in memory is not read at once."""

import os
import signal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aqakit.errors import DataError, OptionError
from aqakit.features import packed
from aqakit.features.packed import PackedStream, Videos
from aqakit.types import Stream
from tests.forks import fork, wait


def videos(counts, shape=(3,), seed=0):
    """Every third video has numbers that half precision does not hold."""
    generator = torch.Generator().manual_seed(seed)
    made = [torch.randn(count, *shape, generator=generator) for count in counts]
    return [one if k % 3 == 2 else one.half().float() for k, one in enumerate(made)]


def stored(folder, made, most=0):
    kept = Videos(folder, most)
    for one in made:
        kept.append(one)
    return kept.stream()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=9), st.data())
def test_rows_are_those_of_a_stream_in_memory(tmp_path_factory, counts, data):
    made = videos(counts, data.draw(st.sampled_from([(3,), (2, 2), (1, 2, 1, 2)])))
    whole, found = Stream.stack(made), stored(tmp_path_factory.mktemp("packed"), made)
    index = torch.tensor(data.draw(st.lists(st.integers(0, len(counts) - 1), min_size=1, max_size=6)))
    again = torch.arange(len(index)).flip(0)
    for one, other in ((found, whole), (found.select(index), whole.select(index))):
        assert one.shape == other.shape
        assert torch.equal(one.counts, other.counts)
        assert torch.equal(one.clips, other.clips)
        assert torch.equal(one.read().features, other.features)
        assert all(map(torch.equal, one.videos(), other.videos()))
    one, other = found.select(index).select(again).read(), whole.select(index).select(again)
    assert torch.equal(one.features, other.features)
    assert torch.equal(one.shown(), other.shown())


def test_they_stay_in_memory_while_they_fit_padded(tmp_path):
    made = videos([5, 1])
    assert not isinstance(stored(tmp_path / "a", made, 2 * 5 * 3 * 4), PackedStream)
    assert not (tmp_path / "a").exists()
    assert isinstance(stored(tmp_path / "b", made, 2 * 5 * 3 * 4 - 1), PackedStream)
    assert isinstance(Videos(None, 0).append(made[0]), type(None))  # without a folder whatever their size


def test_all_at_once_is_refused_with_a_sentence_and_a_part_is_not(tmp_path):
    found = stored(tmp_path, videos([400_000, 1, 1]), 2**20)
    with pytest.raises(OptionError, match=r"3 videos take 14 MiB, the limit is 1 MiB.*AQAKIT_FEATURE_MEMORY"):
        found.to("cpu").features.sum()
    assert found.select(torch.tensor([1, 2])).features.shape == (2, 1, 3)


def test_halves_take_half_the_space(tmp_path):
    halves, singles = (stored(tmp_path, [videos([4] * 3)[k]]).file.path.stat().st_size for k in (0, 2))
    assert (halves, singles) == (4 * 3 * 2, 4 * 3 * 4)


def test_the_same_content_is_one_file_and_a_damaged_one_is_written_again(tmp_path):
    made = videos([2, 3, 4])
    first = stored(tmp_path, made)
    second = stored(tmp_path, made)
    assert first.file.path == second.file.path
    assert [*tmp_path.iterdir()] == [first.file.path]
    first.file.path.write_bytes(b"x" * first.file.path.stat().st_size)
    assert torch.equal(stored(tmp_path, made).read().features, Stream.stack(made).features)
    os.truncate(first.file.path, 5)
    third = PackedStream(first.file, torch.arange(3), 0)
    assert third.read().features.shape == (3, 4, 3)  # an open file outlives its name


def test_a_file_that_was_cut_is_a_sentence(tmp_path):
    found = stored(tmp_path, videos([2, 3]))
    os.truncate(found.file.path, 5)
    with pytest.raises(DataError, match="was changed while it was in use"):
        found.read()


def test_what_a_broken_or_killed_process_leaves_is_removed(tmp_path):
    kept = Videos(tmp_path, 0)
    kept.append(torch.ones(2, 3))
    assert len([*tmp_path.iterdir()]) == 1
    del kept
    assert not [*tmp_path.iterdir()]

    def killed():
        kept = Videos(tmp_path, 0)
        kept.append(torch.ones(2, 3))
        os.kill(os.getpid(), signal.SIGKILL)

    assert wait(fork(killed)) == -signal.SIGKILL
    assert len([*tmp_path.iterdir()]) == 1
    found = stored(tmp_path, videos([1]))
    assert [*tmp_path.iterdir()] == [found.file.path]


def test_the_limit_is_a_number_of_mebibytes_or_a_quarter_of_the_memory(monkeypatch):
    monkeypatch.setenv(packed.LIMIT, "3")
    assert packed.limit() == 3 * 2**20
    for wrong in ("", "-1", "1.5", "much"):
        monkeypatch.setenv(packed.LIMIT, wrong)
        with pytest.raises(OptionError, match="whole number of MiB"):
            packed.limit()
    monkeypatch.delenv(packed.LIMIT)
    assert 2**26 < packed.limit() < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 3
