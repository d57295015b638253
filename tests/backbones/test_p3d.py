"""P3D-199 against its published depth, and the stage clips of S3D; its arithmetic is in ``tests/identities``."""

from pathlib import Path

import numpy as np
import pytest
import torch

from aqakit.backbones import p3d
from aqakit.errors import DataError, OptionError
from aqakit.recordings import video
from aqakit.recordings.clips import Sliding
from aqakit.recordings.transforms import PixelRecipe
from tests.backbones.test_every_backbone import write_video


def test_features_cached_before_there_were_conventions_are_found() -> None:
    with torch.device("meta"):
        original, theirs = (
            p3d.P3D(Sliding(16, 8), PixelRecipe((32, 32)), "imagenet", c, None, 1) for c in ("qijiezhao", "s3d")
        )
    assert "convention" not in original.fingerprint()
    assert theirs.fingerprint() == original.fingerprint() | {"convention": "s3d"}


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


@pytest.mark.slow
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


@pytest.mark.slow
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
