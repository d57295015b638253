"""Tools as joints: the measures of the backbone kinematics, joint by joint; coordinates as they are."""

from pathlib import Path

import numpy as np
import pytest
import torch

from aqakit.backbones import kinematics, tools
from aqakit.datasets import jigsaws
from aqakit.errors import DataError, OptionError
from aqakit.recordings import signals
from aqakit.recordings.clips import Uniform

TWO = {"columns": "0-2,3-5", "channels": 6}


def recording(folder: Path, *, length: int = 200, channels: int = 6) -> Path:
    path = folder / "motion.npy"
    np.save(path, np.random.default_rng(0).normal(size=(length, channels)).cumsum(0).astype(np.float32))
    return path


def features(backbone: tools.Tools, path: Path) -> torch.Tensor:
    return backbone(torch.from_numpy(np.stack(list(backbone.read(path)))))


def test_the_four_of_jigsaws_are_where_the_release_has_them() -> None:
    joints = tools.parse_columns(tools.JIGSAWS)
    assert [j.position.start for j in joints] == [0, 19, 57, 38]
    for joint in joints:
        assert joint.rotation == slice(joint.position.stop, joint.position.stop + 9)
        assert joint.gripper == joint.position.start + 18
    for ours, theirs in zip(joints[:1:-1], kinematics.JIGSAWS, strict=True):
        assert (ours.position, ours.rotation, ours.gripper) == (theirs.position, theirs.rotation, theirs.gripper)


def test_measures_are_those_of_kinematics(tmp_path: Path) -> None:
    path = recording(tmp_path, channels=76)
    backbone = tools.build(windows=3)
    found = features(backbone, path)
    whole = kinematics.build(windows=3)
    wanted = np.stack(list(whole.read(path)))
    for number, side in ((3, "left"), (2, "right")):  # the tools, without what the pair has together
        columns = [i for i, name in enumerate(whole.names) if name.startswith(f"{side}.") or name == "duration"]
        np.testing.assert_allclose(found[:, number].numpy(), wanted[:, columns], rtol=1e-6)
    assert found.shape == (3, 4, 13) == (3, *backbone.shape)


def test_coordinates_are_positions_from_their_mean(tmp_path: Path) -> None:
    path = recording(tmp_path, length=40)
    backbone = tools.build(windows=5, features="coordinates", frames=8, **TWO)
    x = np.load(path)[Uniform(5, 8).clips(40)].reshape(5, 8, 2, 3)
    wanted = (x - x.mean(1, keepdims=True)).transpose(0, 2, 1, 3).reshape(5, 2, 24)
    np.testing.assert_allclose(features(backbone, path).numpy(), wanted, rtol=1e-5, atol=1e-5)


def test_rotation_and_gripper_stay_as_they_are(tmp_path: Path) -> None:
    path = recording(tmp_path, length=16, channels=13)
    backbone = tools.build(columns="0-2/3-11/12", channels=13, windows=1, features="coordinates", frames=16)
    found = features(backbone, path)[0, 0].unflatten(0, (16, 13))
    np.testing.assert_allclose(found[:, 3:].numpy(), np.load(path)[:, 3:], rtol=1e-6)


@pytest.mark.parametrize("kind", ["invariants", "coordinates"])
def test_each_joint_may_have_an_origin_of_its_own(tmp_path: Path, kind: tools.Features) -> None:
    path = recording(tmp_path)
    backbone = tools.build(features=kind, **TWO)
    before = features(backbone, path)
    np.save(path, np.load(path).astype(np.float64) + np.array([1, 2, 3, -30, 20, 10]))
    torch.testing.assert_close(features(backbone, path), before, rtol=1e-3, atol=1e-3)


def test_joints_in_another_order_are_the_same_joints(tmp_path: Path) -> None:
    path = recording(tmp_path)
    one, other = (features(tools.build(columns=c, channels=6), path) for c in ("0-2,3-5", "3-5,0-2"))
    assert torch.equal(one, other.flip(1))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"columns": "3"}, "position such as 0-2"),
        ({"columns": "2-0"}, "position such as 0-2"),
        ({"columns": "0-2/3-5"}, "nine of a rotation"),
        ({"columns": "0-2,3-6"}, "same parts"),
        ({"columns": "0-2,3-5/9"}, "same parts"),
        ({"channels": 6}, "reaches column 75, .* channels=6"),
        ({"frames": 4}, "features=coordinates"),
    ],
)
def test_columns_that_do_not_fit_are_refused(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence):
        tools.build(**options)  # type: ignore[arg-type]


def test_other_recordings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected 76 columns, found 6"):
        list(tools.build().read(recording(tmp_path)))
    with pytest.raises(DataError, match="3 rows are too few"):
        list(tools.build(**TWO).read(recording(tmp_path, length=3)))


def test_each_tool_follows_its_hand_in_real_recordings(shared_data: Path) -> None:
    for task in ("Suturing", "Knot_Tying"):
        sample = next(s for s in jigsaws.samples(shared_data / "jigsaws", task=task) if "signal" in s.sources)
        x = signals.kinematics(sample.sources["signal"])
        joints = tools.parse_columns(tools.JIGSAWS)
        together = np.corrcoef([np.linalg.norm(np.diff(x[:, j.position], axis=0), axis=1) for j in joints])
        assert together[0, 2] > 0.98
        assert together[1, 3] > 0.98
        assert together[0, 1] < 0.5
