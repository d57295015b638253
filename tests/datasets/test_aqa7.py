"""AQA-7: the real lists against their published counts, both layouts of them, and where recordings are found."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from aqakit import datasets
from aqakit.datasets import aqa7
from aqakit.datasets.parts import health
from aqakit.errors import DataError
from aqakit.types import ScoreScale
from tests.releases import write_aqa7


def test_the_real_lists(shared_data: Path) -> None:
    loaded = datasets.load("aqa7", shared_data / "aqa-7")
    assert loaded.tasks == list(aqa7.SCALES)
    counts = [(len(fold.train), len(fold.test)) for fold in loaded.folds()]
    assert counts == [(300, 70), (120, 56), (120, 55), (140, 66), (60, 28), (63, 28)]
    for action, (low, high) in aqa7.RANGES.items():
        scores = [s.score for s in loaded.task(action).samples if s.score is not None]
        assert (min(scores), max(scores)) == (low, high)
        assert all(aqa7.SCALES[action].low <= score <= aqa7.SCALES[action].high for score in scores)
    assert next(s for s in loaded.samples if s.id == "diving-054").score == 84.15
    assert health.check(loaded).ok


def test_percent_is_from_the_lowest_score_to_the_highest(shared_data: Path) -> None:
    points, percent = (datasets.load("aqa7", shared_data / "aqa-7", scores=how) for how in ("points", "percent"))
    assert percent.labels.scale == ScoreScale(0, 100, "percent")
    for action in points.tasks:
        before, after = (np.array([s.score for s in d.task(action).samples]) for d in (points, percent))
        assert (after.min(), after.max()) == pytest.approx((0, 100))
        assert np.corrcoef(before, after)[0, 1] == pytest.approx(1)


def test_one_action_has_its_own_scale(tmp_path: Path) -> None:
    root = write_aqa7(tmp_path)
    assert datasets.load("aqa7", root).labels.scale == aqa7.SCALE
    vault = datasets.load("aqa7", root, action="gym_vault")
    assert vault.tasks == ["gym_vault"]
    assert vault.labels.scale == ScoreScale(0, 17)
    assert [fold.name for fold in vault.folds()] == ["gym_vault"]


def test_both_lists_say_the_same(tmp_path: Path) -> None:
    official, split_4 = (
        datasets.load("aqa7", write_aqa7(tmp_path / name, name, recorded=False))  # type: ignore[arg-type]
        for name in ("official", "split_4")
    )
    assert official.samples == split_4.samples
    assert official.splits == split_4.splits
    assert [s.score for s in official.samples[:3]] == [80.1, 80.2, 80.5]


def test_recordings_are_frames_or_files(tmp_path: Path) -> None:
    root = write_aqa7(tmp_path / "release")
    found = {s.id: s.sources["video"] for s in datasets.load("aqa7", root).samples}
    assert found["diving-001"] == root / "diving-out" / "001"
    assert found["sync_diving_3m-021"] == root / "sync_diving_3m-out" / "021.avi"
    (root / "diving-out").rename(tmp_path / "diving")  # the ending -out may be missing
    elsewhere = datasets.load("aqa7", root, action="diving", videos=tmp_path)
    assert elsewhere.samples[0].sources["video"] == tmp_path / "diving" / "001"
    assert health.check(elsewhere).about("undecodable") == []


GOOD = np.array([(1, 2, 8010.0), (6, 3, 7020.0)])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "has no table"),
        (b"\x00\xff" * 400, "has no table"),
        ({"something_else": GOOD}, "has no table consolidated_test_list"),
        ({"consolidated_test_list": GOOD[:, :2]}, "a class, a number and a score"),
        ({"consolidated_test_list": np.where(GOOD == 8010, np.nan, GOOD)}, "a class, a number and a score"),
        ({"consolidated_test_list": np.array([(7, 1, 100.0)])}, "no class 7"),
        (None, "consolidated_test_list.mat is missing"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, content: bytes | dict[str, object] | None, sentence: str) -> None:
    path = write_aqa7(tmp_path, recorded=False) / "consolidated_test_list.mat"
    path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        savemat(path, content)
    with pytest.raises(DataError, match=sentence) as caught:
        datasets.load("aqa7", tmp_path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
