"""The body of MSCADC against its published size and against itself written out as functions."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

from aqakit.backbones import mscadc
from aqakit.errors import OptionError, WeightsError

CONVOLUTIONS = {
    "1": (32, 3), "2": (64, 32), "3a": (128, 64), "3b": (128, 128),
    "4a": (256, 128), "4b": (256, 256), "5a": (256, 256), "5b": (256, 256),
}  # fmt: skip


def published() -> dict[str, torch.Tensor]:
    """A state as in ``C3D_small_PyTorch_Trained_12.pth``, with a class layer that the body does not use."""
    state = {"fc6.weight": torch.zeros(3, 3)}
    for name, (goes, comes) in CONVOLUTIONS.items():
        state[f"conv{name}.weight"] = torch.randn(goes, comes, 3, 3, 3) * (2 / (27 * comes)) ** 0.5
        state[f"conv{name}.bias"] = 0.1 * torch.randn(goes)
        for key, low in (("weight", 0.5), ("bias", -0.2), ("running_mean", -0.2), ("running_var", 0.5)):
            state[f"bn{name}.{key}"] = low + torch.rand(goes)
    return state


def reference(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    for name in CONVOLUTIONS:
        dilation, padding = {"5a": (2, 2), "5b": (2, 1)}.get(name, (1, 1))
        x = F.conv3d(x, state[f"conv{name}.weight"], state[f"conv{name}.bias"], padding=padding, dilation=dilation)
        parts = (state[f"bn{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
        x = F.batch_norm(x, *parts).relu()
        if name in ("1", "2", "3b"):
            x = F.max_pool3d(x, (1, 2, 2) if name == "1" else 2)
    return x


def test_it_has_the_published_size() -> None:
    backbone = mscadc.build()
    assert sum(p.numel() for p in backbone.parameters()) == pytest.approx(6.92e6, rel=1e-3)
    with FlopCounterMode(display=False) as counter:
        maps = backbone.to("meta")(torch.empty(1, 16, 180, 180, 3, dtype=torch.uint8, device="meta"))
    assert counter.get_total_flops() / 2 == pytest.approx(29e9, rel=0.01)
    assert maps.shape == (1, 256, 2, 20, 20) == (1, *backbone.shape)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(("frames", "size"), [(16, 40), (21, 53)])
def test_maps_are_those_of_the_definition(suffix: str, frames: int, size: int, tmp_path: Path) -> None:
    state, path = published(), tmp_path / f"C3D_small_PyTorch_Trained_12{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(state, path)
    backbone = mscadc.build(weights=path, size=size, plan=f"uniform:count=1:frames={frames}")
    clips = torch.randint(0, 256, (2, frames, size, size, 3), dtype=torch.uint8)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    wanted = reference(state, ((clips / 255 - mean) / std).permute(0, 4, 1, 2, 3))
    with torch.no_grad():
        torch.testing.assert_close(backbone(clips), wanted, rtol=1e-4, atol=1e-4)
    assert wanted.shape[1:] == backbone.shape


def test_weights_of_c3d_are_not_those_of_mscadc(tmp_path: Path) -> None:
    state = {n: t for n, t in published().items() if n.startswith("conv")}
    torch.save(state, tmp_path / "c.pth")
    with pytest.raises(WeightsError, match="holds the weights of c3d; mscadc cannot use them"):
        mscadc.build(weights=tmp_path / "c.pth")


def test_the_whole_video_is_one_clip() -> None:
    backbone = mscadc.build()
    assert backbone.plan.clips(103).tolist() == [[0, 6, 13, 19, 26, 32, 39, 45, 52, 58, 65, 71, 78, 84, 91, 97]]
    assert backbone.pixels.size(720, 1280) == (360, 640)
    assert backbone.pixels.crop == (180, 180)
    with pytest.raises(OptionError, match="at least 12 frames"):
        mscadc.build(plan="sliding:frames=8:step=8")
