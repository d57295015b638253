"""C3D against its published sizes and against itself written out as functions."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from aqakit.backbones import c3d
from aqakit.errors import OptionError, WeightsError

CONVOLUTIONS = {
    "conv1": (64, 3),
    "conv2": (128, 64),
    "conv3a": (256, 128),
    "conv3b": (256, 256),
    "conv4a": (512, 256),
    "conv4b": (512, 512),
    "conv5a": (512, 512),
    "conv5b": (512, 512),
}
DENSE = {"fc6": (4096, 8192), "fc7": (4096, 4096), "fc8": (487, 4096)}


def published(*, dense: bool = True) -> dict[str, torch.Tensor]:
    """A state as in ``c3d.pickle``; without the dense layers, as in C3D-AVG's trunk."""
    state = {}
    for name, (goes, comes) in CONVOLUTIONS.items():
        state[f"{name}.weight"] = torch.randn(goes, comes, 3, 3, 3) * (2 / (27 * comes)) ** 0.5
        state[f"{name}.bias"] = 0.1 * torch.randn(goes)
    for name, (goes, comes) in DENSE.items() if dense else ():
        state[f"{name}.weight"] = (torch.randn(1, comes) / 90).expand(goes, comes)
        state[f"{name}.bias"] = torch.randn(goes)
    return state


def reference(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """(n, 3, 16, H, W) → (n, D) behind pool5."""
    pools = {
        "conv1": ((1, 2, 2), 0),
        "conv2": (2, 0),
        "conv3b": (2, 0),
        "conv4b": (2, 0),
        "conv5b": (2, (0, 1, 1)),
    }
    for name in CONVOLUTIONS:
        x = F.conv3d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1).relu()
        if name in pools:
            kernel, padding = pools[name]
            x = F.max_pool3d(x, kernel, kernel, padding)
    return x.flatten(1)


def pixels(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, (*shape, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "c3d.pickle"
    torch.manual_seed(0)
    torch.save(published(), path, _use_new_zipfile_serialization=False)  # as it was written in 2017
    return path


@pytest.mark.slow
def test_it_has_the_published_size() -> None:
    backbone = c3d.build()
    assert sum(p.numel() for p in backbone.parameters()) == pytest.approx(27.66e6, rel=1e-3)
    with FlopCounterMode(display=False) as counter:
        features = backbone.to("meta")(torch.empty(1, 16, 112, 112, 3, dtype=torch.uint8, device="meta"))
    assert counter.get_total_flops() / 2 == pytest.approx(38.5e9, rel=1e-3)
    assert features.shape == (1, 8192) == (1, *backbone.shape)


@pytest.mark.parametrize("size", [32, pytest.param(63, marks=pytest.mark.slow)])
def test_features_are_those_of_pool5(file: Path, size: int) -> None:
    backbone = c3d.build(weights=file, size=size)
    clips = pixels(1, 16, size, size)
    wanted = reference(torch.load(file, weights_only=True), clips.float().permute(0, 4, 1, 2, 3))
    with torch.no_grad():
        torch.testing.assert_close(backbone(clips), wanted, rtol=1e-4, atol=1e-2)
    assert wanted.shape[1:] == backbone.shape


@pytest.mark.slow
def test_fc6_is_the_published_dense_layer(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone, state = c3d.build(weights=file, features="fc6"), torch.load(file, weights_only=True)
    pool5 = torch.rand(2, 512, 1, 4, 4)
    monkeypatch.setattr(backbone.trunk, "forward", lambda x: pool5)
    wanted = F.linear(pool5.flatten(1), state["fc6.weight"], state["fc6.bias"]).relu()
    torch.testing.assert_close(backbone(pixels(2, 16, 112, 112)), wanted)
    assert backbone.shape == (4096,)


def test_fc6_takes_clips_of_one_size_only() -> None:
    for wrong in ({"size": 96}, {"plan": "sliding:frames=32:step=8"}):
        with pytest.raises(OptionError, match="16 frames of 112×112"):
            c3d.build(features="fc6", **wrong)
    with pytest.raises(OptionError, match="at least 16 frames"):
        c3d.build(plan="sliding:frames=8:step=8")


@pytest.mark.slow
def test_sports_1m_sees_raw_colours_and_c3d_avg_normalised_ones(file: Path, tmp_path: Path) -> None:
    trunk = tmp_path / "model_CNN_12.pth"
    torch.save(published(dense=False), trunk)
    assert c3d.build(weights=file).colours.std[0] == 1 / 255
    assert c3d.build(weights=trunk).colours.mean[0] == 0.485
    with pytest.raises(WeightsError, match=r"looks like model_CNN_94.pth .*fc6.weight, fc6.bias missing"):
        c3d.build(weights=trunk, features="fc6")


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("model_my_fc6_12.pth", {"fc.weight": (4096, 8192), "fc.bias": (4096,)}),
        ("model_score_regressor_12.pth", {"fc_final_score.weight": (1, 4096), "fc_final_score.bias": (1,)}),
        ("model_dive_classifier_12.pth", {"fc_position.weight": (3, 4096), "fc_armstand.weight": (2, 4096)}),
    ],
)
def test_heads_of_c3d_avg_are_told_from_its_trunk(name: str, keys: dict[str, tuple[int, ...]], tmp_path: Path) -> None:
    torch.save({k: torch.zeros(1).expand(shape) for k, shape in keys.items()}, tmp_path / name)
    with pytest.raises(WeightsError, match=rf"{name} holds the weights of C3D-AVG's .*trunk is in model_CNN"):
        c3d.build(weights=tmp_path / name)


def test_the_published_recipe_is_the_default() -> None:
    backbone = c3d.build()
    assert backbone.pixels.size(480, 640) == (128, 171)
    assert backbone.pixels.crop == (112, 112)
    assert backbone.plan.clips(103)[:, 0].tolist() == [0, 16, 32, 48, 64, 80]
