"""P3D-199 against its published depth, against itself written out as functions, and the stage clips of S3D."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from aqakit.backbones import p3d
from aqakit.errors import DataError, OptionError
from aqakit.recordings import video
from tests.backbones.test_every_backbone import write_video

DEPTHS = (3, 8, 36, 3)


def blocks() -> list[tuple[str, int, int, int]]:
    """Published name, number, channels in and width of every block."""
    found, comes, number = [], 64, 0
    for layer, depth in enumerate(DEPTHS, 1):
        for place in range(depth):
            width = 32 * 2**layer
            found.append((f"layer{layer}.{place}", number, comes, width))
            comes, number = 4 * width, number + 1
    return found


def published() -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = {}

    def unit(conv: str, norm: str, goes: int, comes: int, *kernel: int) -> None:
        spread = (2 / (comes * np.prod(kernel))) ** 0.5
        state[f"{conv}.weight"] = torch.randn(goes, comes, *kernel) * spread
        for key, low in (("weight", 0.1), ("bias", -0.2), ("running_mean", -0.2), ("running_var", 1.0)):
            state[f"{norm}.{key}"] = low + 0.2 * torch.rand(goes)

    unit("conv1_custom", "bn1", 64, 3, 1, 7, 7)
    for name, number, comes, width in blocks():
        flat = number >= 47
        ones = (1, 1) if flat else (1, 1, 1)
        unit(f"{name}.conv1", f"{name}.bn1", width, comes, *ones)
        if flat:
            unit(f"{name}.conv_normal", f"{name}.bn_normal", width, width, 3, 3)
        else:
            unit(f"{name}.conv2", f"{name}.bn2", width, width, 1, 3, 3)
            unit(f"{name}.conv3", f"{name}.bn3", width, width, 3, 1, 1)
        unit(f"{name}.conv4", f"{name}.bn4", 4 * width, width, *ones)
        if name.endswith(".0"):
            unit(f"{name}.downsample.0", f"{name}.downsample.1", 4 * width, comes, *ones)
    return state | {"fc.weight": torch.zeros(400, 2048), "fc.bias": torch.zeros(400)}


def reference(state: dict[str, torch.Tensor], x: torch.Tensor, padding: tuple[int, ...]) -> torch.Tensor:
    """(n, 3, 16, H, W) → (n, 2048)."""

    def unit(x: torch.Tensor, conv: str, norm: str, stride: object = 1) -> torch.Tensor:
        weight = state[f"{conv}.weight"]
        padding = [k // 2 for k in weight.shape[2:]]
        x = (F.conv2d if weight.ndim == 4 else F.conv3d)(x, weight, stride=stride, padding=padding)
        return F.batch_norm(x, *(state[f"{norm}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")))

    x = F.max_pool3d(unit(x, "conv1_custom", "bn1", (1, 2, 2)).relu(), (2, 3, 3), 2, padding)
    for name, number, _, _ in blocks():
        if number in (3, 11, 47):
            x = F.max_pool3d(x, (2, 1, 1))
        if number == 47:
            x = x.squeeze(2)
        halve = number in (3, 11, 47)
        stride = (2 if number == 47 else (1, 2, 2)) if halve else 1
        y = unit(x, f"{name}.conv1", f"{name}.bn1", stride).relu()
        if number >= 47:
            y = unit(y, f"{name}.conv_normal", f"{name}.bn_normal").relu()
        else:
            space = unit(y, f"{name}.conv2", f"{name}.bn2").relu()
            time = unit(y if number % 3 == 1 else space, f"{name}.conv3", f"{name}.bn3").relu()
            y = (time, time + space, space + time)[number % 3]
        y = unit(y, f"{name}.conv4", f"{name}.bn4")
        if f"{name}.downsample.0.weight" in state:
            x = unit(x, f"{name}.downsample.0", f"{name}.downsample.1", stride)
        x = (x + y).relu()
    return x.mean((2, 3))


@pytest.mark.parametrize(
    ("name", "classes", "padding", "convention"),
    [
        ("p3d_rgb_199.checkpoint.pth.tar", 400, (0, 1, 1), "qijiezhao"),
        ("79.tar", 1, (0, 0, 0), "s3d"),
    ],
)
def test_it_is_the_network_of_its_file(
    name: str, classes: int, padding: tuple[int, ...], convention: str, tmp_path: Path
) -> None:
    state, path = published(), tmp_path / name
    state |= {"fc.weight": torch.zeros(classes, 2048), "fc.bias": torch.zeros(classes)}
    torch.save({"epoch": 1, "arch": "P3D199", "state_dict": {f"module.{n}": t for n, t in state.items()}}, path)
    backbone = p3d.build(weights=path, size=36)
    clips = torch.randint(0, 256, (1, 16, 36, 36, 3), dtype=torch.uint8)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    wanted = reference(state, ((clips / 255 - mean) / std).permute(0, 4, 1, 2, 3), padding)
    with torch.no_grad():
        torch.testing.assert_close(backbone(clips), wanted, rtol=1e-3, atol=1e-3)
    assert backbone.convention == convention
    assert ("convention" in backbone.fingerprint()) == (convention == "s3d")  # features cached before are still found


def test_it_has_199_layers_and_2048_features() -> None:
    backbone = p3d.build()
    convolutions = [n for n, m in backbone.named_modules() if hasattr(m, "kernel_size") and "shortcut" not in n]
    assert len(convolutions) == 199 - 1  # the name counts the class layer
    features = backbone.to("meta")(torch.empty(2, 16, 160, 160, 3, dtype=torch.uint8, device="meta"))
    assert features.shape == (2, 2048) == (2, *backbone.shape)


def test_random_features_fit_in_half_precision() -> None:
    with torch.no_grad():
        features = p3d.build(size=64)(torch.randint(0, 256, (1, 16, 64, 64, 3), dtype=torch.uint8))
    assert 0.1 < features.std() < 1e3


def table(folder: Path, text: str) -> Path:
    path = folder / "stages.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_stage_clips_lie_between_the_beginnings(tmp_path: Path) -> None:
    recording = write_video(tmp_path / "001.avi", 90)
    backbone = p3d.build(size=32, stages=table(tmp_path, "video,jump,drop,entry,ending\n001,5,16,65,80\n"))
    clips = np.stack(list(backbone.read(recording)))
    starts = [10 - 8, 40 - 8, 72 - 8, 90 - 16]  # the first three around a middle, the last pushed inside
    numbers = np.array(starts)[:, None] + np.arange(16)
    assert np.array_equal(clips, video.frames(recording, numbers, size=(32, 32)))
    plain = p3d.build(size=32)
    assert backbone.fingerprint() != plain.fingerprint()
    with pytest.raises(OptionError, match="leave out finetune"):
        backbone.clips_of(numbers.ravel(), 90)


def test_stage_clips_may_be_every_second_of_32_frames(tmp_path: Path) -> None:
    recording = write_video(tmp_path / "001.avi", 90)
    stages = table(tmp_path, "video,jump,drop,entry,ending\n001,5,35,45,80\n")
    backbone = p3d.build(size=32, stages=stages, stride=2)
    clips = np.stack(list(backbone.read(recording)))
    numbers = np.array([20 - 16, 40 - 16, 62 - 16, 90 - 32])[:, None] + np.arange(0, 32, 2)
    assert np.array_equal(clips, video.frames(recording, numbers, size=(32, 32)))
    assert backbone.fingerprint() != p3d.build(size=32, stages=stages).fingerprint()
    with pytest.raises(OptionError, match="give stages"):
        p3d.build(size=32, stride=2)


def test_starts_agree_with_the_released_stages(shared_data: Path) -> None:
    begins = np.loadtxt(shared_data / "unlv-dive" / "jump_drop_water_label.txt", delimiter=",", dtype=int)
    stages = np.load(shared_data / "unlv-dive" / "tcn_output.npy").argmax(-1)  # (370, 160), 0 before the jump
    right = []
    for four, stage in zip(begins, stages):
        middles = p3d.stage_starts(tuple(four.tolist()), 160) + 8
        right.append(stage[middles] == [1, 2, 3, 4])
    assert np.mean(right) > 0.9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1"),
        ("a,b\n", "line 1: the columns should be video,jump"),
        ("video,jump,drop,entry,ending\n\n1,2,3,4\n", "line 3"),
        ("video,jump,drop,entry,ending\n001,5,16,65,x\n", "line 2"),
        ("video,jump,drop,entry,ending\n001,5,16,10,20\n", "increasing order"),
    ],
)
def test_a_faulty_table_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        p3d.build(size=32, stages=table(tmp_path, text))


def test_a_video_without_stages_is_refused(tmp_path: Path) -> None:
    recording = write_video(tmp_path / "007.avi", 30)
    backbone = p3d.build(size=32, stages=table(tmp_path, "video,jump,drop,entry,ending\n001,5,16,65,80\n"))
    with pytest.raises(DataError, match=r"007\.avi: the table of stages has no line for 007"):
        list(backbone.read(recording))
    with pytest.raises(DataError, match="cannot be read"):
        p3d.build(size=32, stages=tmp_path / "none.csv")
