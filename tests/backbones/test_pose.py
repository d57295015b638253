"""A pose estimator's file over the frames of a video: the joints it sees, wherever they are."""

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torch import nn

from aqakit.backbones import pose
from aqakit.errors import WeightsError

openvino = pytest.importorskip("openvino", reason="the extra fast is not installed")

SIZE, CLIP = 32, "uniform:count=1:frames=6"


class Brightest(nn.Module):
    """Heatmaps of red, green and blue: each joint is where its colour is brightest."""

    def forward(self, pictures):
        return nn.functional.avg_pool2d(pictures, 4)


class Middle(nn.Module):
    """Coordinates of two joints, of which one is the other with x and y exchanged; and a confidence."""

    def forward(self, pictures):
        level = pictures.mean((1, 2, 3))
        one = torch.stack([level, 2 * level, torch.ones_like(level)], 1)
        return torch.stack([one, one[:, [1, 0, 2]]], 1)


def save(model: nn.Module, folder: Path, size: int = SIZE, pictures: int = -1) -> Path:
    example = torch.zeros(max(1, pictures), 3, size, size)
    converted = openvino.convert_model(model.eval(), example_input=example, input=[pictures, 3, size, size])
    openvino.save_model(converted, folder / "pose.xml", compress_to_fp16=False)
    return folder / "pose.xml"


def write_squares(path: Path) -> np.ndarray:
    """Squares of red, green and blue that fall side by side; (T, 3, 2) x and y of their middles in pixels."""
    truth = np.array([[(4 + 8 * j, 4 + 4 * t) for j in range(3)] for t in range(6)])
    with av.open(str(path), "w") as file:
        track = file.add_stream("ffv1", rate=25)
        track.width, track.height, track.pix_fmt = SIZE, SIZE, "bgr0"
        for places in truth:
            picture = np.zeros((SIZE, SIZE, 3), np.uint8)
            for j, (x, y) in enumerate(places):
                picture[y - 4 : y + 4, x - 4 : x + 4, j] = 255
            file.mux(track.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        file.mux(track.encode(None))
    return truth


def test_joints_are_where_the_model_sees_them(tmp_path: Path) -> None:
    truth = write_squares(tmp_path / "squares.mkv").astype(float)
    backbone = pose.build(model=save(Brightest(), tmp_path), plan=CLIP, size=SIZE, colours="raw-255", layout="joints")
    clip = np.stack(list(backbone.read(tmp_path / "squares.mkv")))
    found = backbone(torch.from_numpy(clip))[0].unflatten(1, (6, 2)).transpose(0, 1).numpy()  # (T, J, 2)
    centred = truth - truth.mean((0, 1))
    size = np.sqrt(np.square(truth - truth.mean(1, keepdims=True)).sum(-1).mean())
    assert backbone.shape == (3, 12)
    np.testing.assert_allclose(found, centred / size, atol=0.35)  # a heatmap of 8 places: half a place is 2 pixels
    assert np.corrcoef(found.ravel(), centred.ravel())[0, 1] > 0.98


def test_coordinates_may_come_either_way_round(tmp_path: Path) -> None:
    write_squares(tmp_path / "squares.mkv")
    model, found = save(Middle(), tmp_path), {}
    for order in ("xy", "yx"):
        backbone = pose.build(model=model, plan=CLIP, size=SIZE, order=order, layout="joints")
        clip = torch.from_numpy(np.stack(list(backbone.read(tmp_path / "squares.mkv"))))
        found[order] = backbone(clip).unflatten(2, (6, 2))
    torch.testing.assert_close(found["yx"], found["xy"].flip(-1))
    assert pose.build(model=model, plan=CLIP, size=SIZE).shape == (24,)


@pytest.mark.parametrize("pictures", [-1, 1])
def test_it_finds_what_torch_finds_whether_the_model_takes_many_pictures_or_one(tmp_path: Path, pictures: int) -> None:
    backbone = pose.build(model=save(Middle(), tmp_path, pictures=pictures), plan=CLIP, size=SIZE, layout="joints")
    clips = torch.randint(256, (4, 6, SIZE, SIZE, 3), generator=torch.manual_seed(0), dtype=torch.uint8)
    truth = Middle()(backbone.normalise(clips).flatten(0, 1))[..., :2].unflatten(0, (4, 6))  # (n, T, J, 2)
    centred = truth - truth.mean((1, 2), keepdim=True)
    size = (truth - truth.mean(2, keepdim=True)).square().sum(-1).mean((1, 2)).sqrt()
    expected = centred / size[:, None, None, None]
    torch.testing.assert_close(backbone(clips).unflatten(2, (6, 2)).transpose(1, 2), expected, atol=1e-4, rtol=1e-4)


def test_what_is_no_pose_estimator_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(WeightsError, match=r"text\.onnx: not a model that OpenVINO can read"):
        pose.build(model=tmp_path / "text.onnx")
    with pytest.raises(WeightsError, match="not a model"):
        pose.build(model=tmp_path / "none.onnx")
    with pytest.raises(WeightsError, match="neither heatmaps nor coordinates"):
        pose.build(model=save(nn.Sequential(nn.Flatten()), tmp_path), size=SIZE)
