from pathlib import Path

import pytest
from sklearn.model_selection import LeaveOneGroupOut

from aqakit import datasets
from aqakit.errors import DataError
from aqakit.recordings import skeletons
from tests.releases import write_ui_prmd


@pytest.mark.parametrize("ending", [".txt", ".txt.gz"])
def test_the_released_layout(tmp_path: Path, ending: str) -> None:
    loaded = datasets.load("ui_prmd", write_ui_prmd(tmp_path, ending))
    assert loaded.tasks == ["deep squat", "standing active straight leg raise"]
    assert len(loaded.samples) == 2 * 2 * 4 * 2
    wrong = next(s for s in loaded.samples if s.id == "m06_s03_e02_inc")
    assert (wrong.score, wrong.group, wrong.action) == (0.0, "s03", "standing active straight leg raise")
    assert wrong.sources["signal"].name == f"m06_s03_e02_angles_inc{ending}"
    assert skeletons.read(wrong.sources["skeleton"]).joints.shape == (20, 22, 3)
    assert {s.score for s in loaded.samples if not s.id.endswith("_inc")} == {1.0}


def test_no_subject_is_on_both_sides(tmp_path: Path) -> None:
    loaded = datasets.load("ui_prmd", write_ui_prmd(tmp_path), movement="m01")
    group = {s.id: s.group for s in loaded.samples}
    ids = list(group)
    for folds in loaded.splits.values():
        assert all(not {group[i] for i in f.train} & {group[i] for i in f.test} for f in folds)
        assert sorted(i for f in folds for i in f.test) == sorted(ids)
    expected = LeaveOneGroupOut().split(ids, groups=list(group.values()))
    found = [set(f.test) for f in loaded.folds("leave-one-subject-out")]
    assert found == [{ids[i] for i in test} for _, test in expected]


def test_the_real_release(shared_data: Path) -> None:
    loaded = datasets.load("ui_prmd", shared_data / "ui-prmd")
    assert len(loaded.samples) == 1000
    assert [len(f.test) for f in loaded.task("deep squat").folds("five-fold")] == [40] * 5


def _renamed(root: Path) -> Path:
    path = next((root / "Segmented Movements").rglob("*positions.txt"))
    path.rename(path.with_name("m99_s01_e01_positions.txt"))
    return root


@pytest.mark.parametrize(
    ("spoil", "options", "sentence"),
    [
        (lambda root: None, {}, "needs root"),
        (lambda root: root / "nowhere", {}, "is not a folder"),
        (lambda root: root / "Segmented Movements" / "Kinect", {}, "use .* as root"),
        (_renamed, {}, "expected a name such as m01_s01_e01_positions.txt"),
        (lambda root: root, {"movement": "m02"}, "no repetition of the movement m02"),
        (lambda root: root, {"movement": "squat"}, "m01 to m10"),
        (lambda root: root, {"device": "vicon"}, "no repetition of the Vicon"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, spoil: object, options: dict[str, str], sentence: str) -> None:
    root = write_ui_prmd(tmp_path)
    with pytest.raises(DataError, match=sentence):
        datasets.load("ui_prmd", spoil(root), **options)  # type: ignore[operator]
