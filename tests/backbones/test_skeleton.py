"""Joint sequences: positions and motion in the size of the body."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from aqakit.backbones import skeleton
from aqakit.errors import DataError, OptionError
from aqakit.features import keys
from aqakit.types import Sample
from tests import walkers


def recording(folder: Path, *, length: int = 40, joints: int = 5, dimensions: int = 2) -> Path:
    path = folder / "joints.npy"
    np.save(path, np.random.default_rng(0).normal(size=(length, joints, dimensions)).cumsum(0).astype(np.float32))
    return path


def features(backbone: skeleton.Skeleton, path: Path) -> torch.Tensor:
    return backbone(torch.from_numpy(np.stack(list(backbone.read(path)))))


def test_coordinates_come_back_as_they_are(tmp_path: Path) -> None:
    path = recording(tmp_path)
    backbone = skeleton.build(joints=5, plan="sliding:frames=8:step=8", centre="none", layout="joints")
    joints = np.load(path)
    wanted = np.stack([joints[s : s + 8].transpose(1, 0, 2).reshape(5, 16) for s in range(0, 40, 8)])
    assert np.array_equal(features(backbone, path).numpy(), wanted)
    assert backbone.shape == (5, 16)


def test_a_vector_is_the_joints_side_by_side(tmp_path: Path) -> None:
    path = recording(tmp_path)
    vector, joints = (features(skeleton.build(joints=5, layout=layout), path) for layout in ("vector", "joints"))
    assert torch.equal(vector, joints.flatten(1))


@pytest.mark.parametrize("dimensions", [2, 3])
def test_motion_of_a_known_path(dimensions: int, tmp_path: Path) -> None:
    time = np.arange(8.0)
    joints = np.zeros((8, 2, dimensions), np.float32)
    joints[:, 0, 0], joints[:, 1, 1] = time**2, 5.0
    np.save(tmp_path / "a.npy", joints)
    backbone = skeleton.build(
        joints=2,
        dimensions=dimensions,
        plan="uniform:count=1:frames=8",
        features="motion",
        centre="none",
        layout="joints",
    )
    found = features(backbone, tmp_path / "a.npy")[0].unflatten(1, (5, dimensions))  # (J, 5, C)
    x, y = time**2, found[1, :, 1].tolist()
    assert found[0, :, 0].tolist() == pytest.approx([x.mean(), x.std(), 7.0, 2.0, 0.0])
    assert y == [5.0, 0.0, 0.0, 0.0, 0.0]
    assert backbone.shape == (2, 5 * dimensions)


@given(scale=st.floats(0.01, 1000), shift=st.floats(-1000, 1000), kind=st.sampled_from(["coordinates", "motion"]))
@settings(max_examples=15, deadline=None)
def test_place_and_units_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, scale: float, shift: float, kind: skeleton.Features
) -> None:
    folder = tmp_path_factory.mktemp("joints")
    path = recording(folder)
    backbone = skeleton.build(joints=5, features=kind)
    before = features(backbone, path)
    moved: NDArray[np.float64] = (np.load(path).astype(np.float64) + shift) * scale
    np.save(path, moved)
    torch.testing.assert_close(features(backbone, path), before, rtol=1e-2, atol=1e-2)


def test_centre_of_each_frame_takes_the_way_of_the_body_out(tmp_path: Path) -> None:
    path = recording(tmp_path)
    fall = np.load(path) + np.linspace(0, 100, 40, dtype=np.float32)[:, None, None]
    np.save(tmp_path / "fall.npy", fall)
    same = {}
    for centre in ("frame", "clip"):
        backbone = skeleton.build(joints=5, centre=centre)
        pair = (features(backbone, p) for p in (path, tmp_path / "fall.npy"))
        same[centre] = torch.allclose(*pair, atol=1e-3)
    assert same == {"frame": True, "clip": False}


def test_lengths_are_in_the_size_of_the_body(tmp_path: Path) -> None:
    clips = np.stack(
        list(skeleton.build(joints=5, centre="frame", plan="sliding:frames=40:step=40").read(recording(tmp_path)))
    )
    assert math.sqrt(np.square(clips).sum(-1).mean()) == pytest.approx(1, abs=1e-5)


def test_a_body_without_extent_is_not_divided_by_zero(tmp_path: Path) -> None:
    np.save(tmp_path / "dot.npy", np.ones((20, 5, 2), np.float32))
    assert features(skeleton.build(joints=5), tmp_path / "dot.npy").abs().max() == 0


def test_noise_is_of_the_size_asked_for_and_always_the_same(tmp_path: Path) -> None:
    path, whole = recording(tmp_path), "sliding:frames=40:step=40"

    def joints(noise: float) -> np.ndarray:
        return next(iter(skeleton.build(joints=5, centre="none", plan=whole, noise=noise).read(path)))

    error = (joints(0.2) - joints(0.0)) / skeleton.body_size(joints(0.0))
    assert error.std() == pytest.approx(0.2, rel=0.1)  # 400 coordinates: standard error 3.5 %
    assert error.mean() == pytest.approx(0, abs=0.04)
    assert np.array_equal(joints(0.2), joints(0.2))


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = recording(tmp_path)
    with pytest.raises(DataError, match="5 joints in 2 dimensions, but the backbone skeleton expects 17 joints in 2"):
        list(skeleton.build().read(path))
    with pytest.raises(DataError, match="rows 0 to 39"):
        list(skeleton.build(joints=5).read(path, (30, 50)))
    with pytest.raises(OptionError, match="at least 4 frames"):
        skeleton.build(features="motion", plan="uniform:count=1:frames=3")


def test_files_of_different_tools_in_one_order(tmp_path: Path) -> None:
    openpose = walkers.openpose_folder(tmp_path, [[one] for one in walkers.scored("openpose25")])
    pose = walkers.written(tmp_path, "joints.csv", walkers.pose_text())
    backbone = skeleton.build(order="coco17", plan="uniform:count=1:frames=24", layout="joints", centre="none")
    wanted = walkers.pixels("coco17").transpose(1, 0, 2).reshape(17, -1)
    for path in (openpose, pose):
        np.testing.assert_allclose(features(backbone, path)[0].numpy(), wanted, atol=2e-3)
    assert "order" in backbone.fingerprint()
    assert "order" not in skeleton.build().fingerprint()
    with pytest.raises(OptionError, match="did you mean 'coco17'"):
        skeleton.build(order="coco")
    with pytest.raises(OptionError, match="kinect25 has 25 joints, but joints=17; set joints"):
        skeleton.build(order="kinect25")


def test_the_cache_knows_the_second_file_of_a_recording(tmp_path: Path) -> None:
    (case,) = (case for case in walkers.CASES if case.name == "ui-prmd beside")
    path = case.write(tmp_path)
    sample = Sample(id="a", sources={"skeleton": path})
    backbone = skeleton.build(joints=22, dimensions=3)
    before = keys.content_of(sample, "skeleton", backbone)
    angles = path.with_name("m01_s01_e01_angles.txt")
    angles.write_text(angles.read_text().replace("1", "2", 1))
    assert keys.content_of(sample, "skeleton", backbone) != before
    assert keys.length(path, backbone, None) == walkers.T
