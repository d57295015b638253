"""Temporal segments through an image model."""

from pathlib import Path

import numpy as np
import pytest
import torch

from aqakit.backbones import frames, huggingface
from aqakit.errors import OptionError
from aqakit.recordings import video
from tests.backbones.test_every_backbone import write_video

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    torch.manual_seed(0)
    image = transformers.ViTConfig(**size, image_size=16, patch_size=8)
    clip = transformers.VideoMAEConfig(**size, image_size=16, patch_size=8, num_frames=4)
    transformers.ViTModel(image).save_pretrained(folder / "image")
    transformers.VideoMAEModel(clip).save_pretrained(folder / "clip")
    return folder


def test_frames_are_the_middles_of_equal_segments(models: Path, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", 40)
    backbone = frames.build(weights=str(models / "image"), segments=5, view="whole")
    clips = np.stack(list(backbone.read(path)))
    assert np.array_equal(clips, video.frames(path, [[4], [12], [20], [28], [36]], size=(16, 16)))
    model = transformers.AutoModel.from_pretrained(models / "image")
    with torch.no_grad():
        pixels = torch.from_numpy(clips[:, 0]).permute(0, 3, 1, 2) / 127.5 - 1
        wanted = model(pixel_values=pixels).pooler_output
        torch.testing.assert_close(backbone(torch.from_numpy(clips)), wanted, rtol=1e-4, atol=1e-5)


def test_25_segments_unless_told_otherwise(models: Path) -> None:
    backbone = frames.build(weights=str(models / "image"))
    assert backbone.plan.clips(250).ravel().tolist() == list(range(5, 250, 10))
    assert backbone.fingerprint() != huggingface.build(weights=str(models / "image")).fingerprint()


def test_models_of_clips_are_refused(models: Path) -> None:
    with pytest.raises(OptionError, match="takes clips"):
        frames.build(weights=str(models / "clip"))
