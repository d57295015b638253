"""Models in Hugging Face layout against transformers itself, called by hand."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from aqakit.backbones import huggingface
from aqakit.errors import OptionError, WeightsError
from aqakit.recordings.clips import Every, Segments, Sliding, Uniform
from aqakit.recordings.transforms import PixelRecipe

transformers = pytest.importorskip("transformers")

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
CONFIGS: dict[str, Any] = {
    "mobilenet_v2": lambda: transformers.MobileNetV2Config(depth_multiplier=0.1, min_depth=4, image_size=32),
    "resnet": lambda: transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1]),
    "vit": lambda: transformers.ViTConfig(**SMALL, image_size=16, patch_size=8),
    "dinov2": lambda: transformers.Dinov2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14
    ),
    "videomae": lambda: transformers.VideoMAEConfig(**SMALL, image_size=16, patch_size=8, num_frames=4),
    "timesformer": lambda: transformers.TimesformerConfig(**SMALL, image_size=16, patch_size=8, num_frames=4),
    "vivit": lambda: transformers.VivitConfig(**SMALL, image_size=16, tubelet_size=[2, 8, 8], num_frames=4),
    "vjepa2": lambda: transformers.VJEPA2Config(
        hidden_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        pred_hidden_size=24,
        pred_num_hidden_layers=1,
        pred_num_attention_heads=2,
        crop_size=32,
        frames_per_clip=4,
    ),
}


def save(folder: Path, kind: str, **preprocessing: object) -> str:
    torch.manual_seed(0)
    transformers.AutoModel.from_config(CONFIGS[kind]()).save_pretrained(folder)
    if preprocessing:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    return str(folder)


def clips_for(backbone: huggingface.HuggingFace, n: int = 3) -> torch.Tensor:
    frames = backbone.plan.clips(50).shape[1]
    height, width = backbone.pixels.crop or backbone.pixels.size(1, 1)
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (n, frames, height, width, 3), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("kind", CONFIGS)
def test_features_are_those_of_transformers(tmp_path: Path, kind: str) -> None:
    folder = save(tmp_path, kind)
    backbone = huggingface.build(weights=folder)
    clips = clips_for(backbone)
    mean, std = (np.array(c, np.float32) for c in backbone.colours[:2])
    pixels = torch.from_numpy(((clips.numpy() / 255 - mean) / std).astype(np.float32)).permute(0, 1, 4, 2, 3)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        answer = model(pixels if pixels.shape[1] > 1 else pixels[:, 0])
        found = backbone(clips)
    expected = getattr(answer, "pooler_output", None)
    if expected is None:
        expected = answer.last_hidden_state.mean(1)
    torch.testing.assert_close(found, expected.flatten(1), rtol=1e-4, atol=1e-5)
    assert backbone.shape == (found.shape[1],)


def test_a_pooled_output_that_was_never_trained_is_not_used(tmp_path: Path) -> None:
    torch.manual_seed(0)
    transformers.ViTModel(CONFIGS["vit"](), add_pooling_layer=False).save_pretrained(tmp_path)
    first, second = (huggingface.build(weights=str(tmp_path)) for _ in range(2))
    clips = clips_for(first)
    torch.testing.assert_close(first(clips), second(clips), rtol=0, atol=0)
    with torch.no_grad():
        expected = first.model(first.normalise(clips)[:, 0]).last_hidden_state.mean(1)
    torch.testing.assert_close(first(clips), expected)


def test_colours_are_those_of_the_image_processor(tmp_path: Path) -> None:
    kind = {"image_processor_type": "ViTImageProcessor", "size": {"height": 16, "width": 16}}
    colours = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    backbone = huggingface.build(weights=save(tmp_path, "vit", **kind, **colours))
    clips = clips_for(backbone)
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    expected = processor(list(clips[:, 0].numpy()), return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(backbone.normalise(clips)[:, 0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("stored", "recipe"),
    [
        ({"size": {"height": 16, "width": 16}, "resample": 3}, PixelRecipe((16, 16), None, "bicubic")),
        ({"size": 16, "do_center_crop": False}, PixelRecipe((16, 16))),
        (
            {"size": {"shortest_edge": 20}, "crop_size": {"height": 16, "width": 16}},
            PixelRecipe(20, (16, 16)),
        ),
        ({"size": 20, "crop_size": 16}, PixelRecipe(20, (16, 16))),
        ({"size": {"shortest_edge": 16}, "crop_pct": 0.8}, PixelRecipe(20, (16, 16))),
    ],
)
def test_sizes_as_the_folder_says(tmp_path: Path, stored: dict[str, object], recipe: PixelRecipe) -> None:
    half = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    assert huggingface.build(weights=save(tmp_path, "vit", **stored, **half)).pixels == recipe


def test_the_rescaling_of_vivit(tmp_path: Path) -> None:
    # pixel × 1/127.5 − 1, and no normalisation behind it
    settings = {"rescale_factor": 1 / 127.5, "offset": True, "do_normalize": False}
    folder = save(tmp_path, "vivit", size={"shortest_edge": 18}, crop_size=16, **settings)
    backbone = huggingface.build(weights=folder)
    clips = clips_for(backbone)
    expected = clips.float().permute(0, 1, 4, 2, 3) / 127.5 - 1
    torch.testing.assert_close(backbone.normalise(clips), expected)


def test_plans(tmp_path: Path) -> None:
    image, clip = save(tmp_path / "a", "vit"), save(tmp_path / "b", "videomae")
    assert huggingface.build(weights=image).plan == Every(10)
    assert huggingface.build(weights=image, segments=6).plan == Segments(6)
    assert huggingface.build(weights=clip).plan == Sliding(4, 4, 1)
    assert huggingface.build(weights=clip, stride=2).plan == Sliding(4, 8, 2)
    assert huggingface.build(weights=clip, segments=5, stride=3).plan == Uniform(5, 4, 3)
    with pytest.raises(OptionError, match="one of them"):
        huggingface.build(weights=image, every=3, segments=3)
    with pytest.raises(OptionError, match="single frames"):
        huggingface.build(weights=image, stride=2)


def test_fingerprint_knows_the_weights(tmp_path: Path) -> None:
    first = huggingface.build(weights=save(tmp_path / "a", "vit")).fingerprint()
    copied = huggingface.build(weights=save(tmp_path / "b", "vit")).fingerprint()
    assert first == copied
    model = transformers.AutoModel.from_pretrained(tmp_path / "b")
    with torch.no_grad():
        next(model.parameters()).add_(1e-3)
    model.save_pretrained(tmp_path / "b")
    assert huggingface.build(weights=str(tmp_path / "b")).fingerprint() != first


def _damage(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def _drop_a_tensor(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    state.pop(next(name for name in state if "layer" in name))
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_damage, "no model can be loaded"),
        (_drop_a_tensor, "incomplete"),
        (lambda folder: (folder / "config.json").unlink(), "no model can be loaded"),
        (lambda folder: (folder / "config.json").write_text("{}"), "no model can be loaded"),
        (lambda folder: (folder / "preprocessor_config.json").write_text("{"), "damaged"),
        (lambda folder: (folder / "preprocessor_config.json").write_text("[1]"), "damaged"),
        (lambda folder: (folder / "preprocessor_config.json").write_text("{}"), "not supported"),
        (
            lambda folder: (folder / "preprocessor_config.json").write_text(
                json.dumps({"size": 32, "image_mean": [0.5] * 3, "image_std": [0.5] * 3})
            ),
            "rejects clips of 1×32×32",
        ),
    ],
)
def test_folders_that_cannot_be_used_are_refused_in_a_sentence(tmp_path: Path, spoil: Any, says: str) -> None:
    save(tmp_path, "vit")
    spoil(tmp_path)
    with pytest.raises(WeightsError, match=says) as caught:
        huggingface.build(weights=str(tmp_path))
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_models_that_see_no_pixels_or_are_unknown(tmp_path: Path) -> None:
    config = transformers.BertConfig(**SMALL, vocab_size=10)
    transformers.BertModel(config).save_pretrained(tmp_path / "text")
    with pytest.raises(WeightsError, match="not pixels"):
        huggingface.build(weights=str(tmp_path / "text"))
    config = transformers.BeitConfig(**SMALL, image_size=16, patch_size=8)
    transformers.BeitModel(config).save_pretrained(tmp_path / "beit")
    with pytest.raises(WeightsError, match=r"preprocessor_config\.json"):
        huggingface.build(weights=str(tmp_path / "beit"))


def test_without_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(OptionError, match=r"aqakit\[hf\]"):
        huggingface.build(weights="anything")


def test_real_weights(shared_weights: Path, shared_videos: Path) -> None:
    folder = shared_weights / "mobilenet_v2_0.35_imagenet"
    backbone = huggingface.build(weights=str(folder), every=25)
    clips = torch.from_numpy(np.stack(list(backbone.read(shared_videos / "golf_swing.mp4"))[:4]))
    with torch.no_grad():
        maps = backbone.model(clips[:, 0].permute(0, 3, 1, 2) / 127.5 - 1).last_hidden_state
        torch.testing.assert_close(backbone(clips), maps.mean((2, 3)), rtol=1e-4, atol=1e-5)
    assert backbone.shape == (1280,)
