"""BEST and EPIC-Skills: counts of the release by task, and no test pair shows a video of the training pairs."""

import pytest

from aqakit import datasets
from aqakit.errors import DataError
from tests.releases import write_skill_pairs

COUNTS = {
    "apply_eyeliner": (100, 2350, 2115, 235),
    "braid_hair": (100, 2413, 2179, 234),
    "origami": (100, 2005, 1793, 212),
    "scrambled_eggs": (100, 1288, 1134, 154),
    "tie_tie": (100, 2409, 2176, 233),
    "chopstick_using": (40, 534, 314, 25),
    "dough_rolling": (33, 179, 106, 11),
    "drawing": (40, 247, 127, 13),
    "surgery": (103, 1659, 883, 110),
}
"""Videos and distinct pairs of each task; in its first fold, distinct training pairs, and test pairs of two new videos.
Counted with ``sort -u`` and ``awk`` on the lists."""


@pytest.fixture
def root(tmp_path):
    return write_skill_pairs(tmp_path / "skill")


def within(pairs, ids):
    return [p for p in pairs if {p.better, p.worse} <= set(ids)]


def test_the_counts_of_the_release(shared_data):
    found = datasets.load("skill_pairs", shared_data / "skill-pairs")
    counts = {}
    for name in found.tasks:
        task = found.task(name)
        fold = task.folds()[0]
        inside = [len(within(task.pairs, ids)) for ids in (fold.train, fold.test)]
        counts[name] = (len(task.samples), len(task.pairs), *inside)
        assert not set(fold.train) & set(fold.test)
        assert len(task.folds()) == (1 if name in list(COUNTS)[:5] else 4)
    assert counts == COUNTS
    assert {s.group for s in found.task("surgery").samples} == set("BCDEFGHI")


def test_pairs_of_a_new_and_a_known_video_are_left_out_and_named(root):
    found = datasets.load("skill_pairs", root)
    first, second = found.task("drawing").folds()
    assert first.test == ("drawing/v2", "drawing/v4", "drawing/v8")
    assert set(second.test) == {"drawing/v3", "drawing/v7", "drawing/v10"}
    said = [f.sentence for f in datasets.health.check(found).about("pairs")]
    across = 3 * 9  # every new video with every known one
    assert any(
        f"fold drawing-1: pairs of a training and a test sample, which are left out ({across})" in s for s in said
    )
    assert not any("fold tie_tie" in s for s in said)


def test_a_pair_that_is_listed_twice_weighs_two(root):
    file = root / "BEST" / "splits" / "tie_tie" / "train.txt"
    file.write_text(file.read_text() + file.read_text().splitlines()[0] + "\n")
    pairs = datasets.load("skill_pairs", root).task("tie_tie").pairs
    assert [p.weight for p in pairs].count(2) == 1
    assert len(pairs) == len({(p.better, p.worse) for p in pairs})


@pytest.mark.parametrize(
    ("text", "said"),
    [("v1\n", "line 1: should be the names of two videos"), ("v1 v2\nv3 v3\n", "line 2"), ("", "is empty"),
     ("../../v1 v2\n", "line 1")],
)  # fmt: skip
def test_damaged_lists_are_sentences(root, text, said):
    (root / "EPIC-Skills" / "splits" / "drawing" / "test_split2.txt").write_text(text)
    with pytest.raises(DataError, match=said):
        datasets.load("skill_pairs", root)
