"""Any image or video model in Hugging Face layout.

A model whose configuration specifies a number of frames (VideoMAE, TimeSformer, ViViT, V-JEPA 2) takes clips of that
many frames; any other model (MobileNetV2, ResNet, ViT, DINOv2 …) takes single frames. Image size and normalisation come
from the model's ``preprocessor_config.json``, or from defaults for its type. The features of a clip are the model's
pooled output if its weights include the pooler, else the mean over its tokens or over its feature map.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from aqakit.backbones.parts.video import VideoBackbone, weights_hash
from aqakit.errors import OptionError, WeightsError
from aqakit.recordings.clips import ClipPlan, Every, Segments, Sliding, Uniform
from aqakit.recordings.transforms import CONVENTIONS, Convention, PixelRecipe

PAPER = (
    "Wolf et al., Transformers: State-of-the-Art Natural Language Processing, EMNLP 2020 (System Demonstrations). "
    "https://doi.org/10.18653/v1/2020.emnlp-demos.6; cite the model's own paper beside it"
)

ViewOption = Annotated[
    Literal["centre", "whole"],
    Field(description="centre: centre crop, as in the model's training; whole: the whole frame, resized"),
]

_PREPROCESSING = ("preprocessor_config.json", "video_preprocessor_config.json")
_FILTERS: Mapping[int, Literal["bilinear", "bicubic"]] = {
    2: "bilinear",
    3: "bicubic",
}  # as Pillow numbers them

_AT_ONCE = 8  # clips per pass; more do not fit the CPU caches: with MobileNetV2 0.35, 32 take twice as long each

_HALF, _IMAGENET = CONVENTIONS["minus-one-to-one"], CONVENTIONS["imagenet"]
_KNOWN: Mapping[str, Convention] = {
    **dict.fromkeys(("mobilenet_v1", "mobilenet_v2", "vit", "vivit"), _HALF),
    **dict.fromkeys(("resnet", "convnext", "convnextv2", "swin", "dinov2", "videomae", "vjepa2"), _IMAGENET),
    "timesformer": Convention((0.45,) * 3, (0.225,) * 3),
}
"""Normalisation of models by type, for folders without a preprocessor configuration."""


class HuggingFace(VideoBackbone):
    """A pretrained model with the interface of a backbone.

    Args:
        model: a model from ``transformers.AutoModel``.
        source: where it was loaded from, for messages.
        plan: the clips; of one frame each if the model takes single frames.
        pixels: resizing and cropping.
        colours: normalisation.
        pooled: whether to use the model's pooled output if it has one.
    """

    def __init__(
        self,
        model: nn.Module,
        source: str,
        plan: ClipPlan,
        pixels: PixelRecipe,
        colours: Convention,
        *,
        pooled: bool,
    ) -> None:
        super().__init__(plan, pixels, colours)
        self.model, self.pooled = model.float().eval(), pooled
        self.takes_clips = _frames(model.config) is not None
        # V-JEPA 2 would otherwise also run its pretraining predictor
        known = inspect.signature(model.forward).parameters
        self._more = {"skip_predictor": True} if "skip_predictor" in known else {}
        self._hash = weights_hash(model)
        self.shape = tuple(self._trial(source).shape[1:])

    def forward(self, clips: Tensor) -> Tensor:
        """(n, T, H, W, 3) uint8 → (n, D)."""
        if torch.is_grad_enabled() or clips.device.type != "cpu":
            return self._features(clips)
        return torch.cat([self._features(part) for part in clips.split(_AT_ONCE)])

    def _features(self, clips: Tensor) -> Tensor:
        pixels = self.normalise(clips)  # (n, T, 3, H, W)
        if not self.takes_clips:
            pixels = pixels[:, 0]
        answer = self.model(**{str(self.model.main_input_name): pixels}, **self._more)
        pooled = getattr(answer, "pooler_output", None) if self.pooled else None
        if pooled is not None:
            return torch.as_tensor(pooled).flatten(1).float()
        hidden: Tensor = answer.last_hidden_state  # (n, tokens, D) or (n, D, h, w)
        return (hidden.mean(1) if hidden.ndim == 3 else hidden.mean((2, 3))).float()

    def fingerprint(self) -> dict[str, Any]:
        """Return plan, pixels, colours and the hash of the weights, which identifies the model."""
        return super().fingerprint() | {"weights": self._hash, "pooled": self.pooled}

    @torch.no_grad()
    def _trial(self, source: str) -> Tensor:
        height, width = self.pixels.shape
        frames = _frames(self.model.config) or 1
        try:
            features: Tensor = self(torch.zeros(1, frames, height, width, 3, dtype=torch.uint8))
        except (RuntimeError, ValueError, TypeError) as error:
            reason = _first_line(error)
            raise WeightsError(f"{source}: the model rejects clips of {frames}×{height}×{width}: {reason}") from error
        return features


def build(
    *,
    weights: Annotated[str, Field(min_length=1, description="a folder, or a model on the Hugging Face Hub")],
    every: Annotated[
        int | None,
        Field(
            gt=0,
            description="frames between the starts of consecutive clips (10; for models of clips, their length)",
        ),
    ] = None,
    segments: Annotated[
        int | None, Field(gt=0, description="number of clips spread evenly over the video, instead of every")
    ] = None,
    stride: Annotated[
        int | None, Field(gt=0, description="distance between the frames of a clip; models of clips only (1)")
    ] = None,
    view: ViewOption = "centre",
) -> HuggingFace:
    """Load a model.

    Raises:
        OptionError: transformers is not installed, or the options contradict each other.
        WeightsError: there is no such model, its weights are damaged or incomplete, or its input is not pixels.
    """
    model, pooled = _load(weights)
    plan = _plan(_frames(model.config), every, segments, stride)
    pixels, colours = _preprocessing(weights, model.config)
    if view == "whole":
        pixels = PixelRecipe(pixels.crop or pixels.resize, None, pixels.interpolation)
    return HuggingFace(model, weights, plan, pixels, colours, pooled=pooled)


def _load(weights: str) -> tuple[nn.Module, bool]:
    """Return the model, and whether its weights include the pooler."""
    try:
        import transformers
    except ImportError:
        raise OptionError("the backbone huggingface needs transformers: pip install 'aqakit[hf]'") from None
    try:
        with _quiet(transformers.utils.logging):
            model, found = transformers.AutoModel.from_pretrained(
                weights,
                local_files_only=Path(weights).is_dir(),
                output_loading_info=True,
                dtype=torch.float32,
            )
    except Exception as error:  # transformers raises many types of errors for a missing or damaged model
        raise WeightsError(f"{weights}: no model can be loaded from there: {_first_line(error)}") from error
    missing = set(found["missing_keys"])
    lost = sorted(key for key in missing if "pooler" not in key)
    if lost:
        raise WeightsError(f"{weights}: the weights are incomplete; {len(lost)} tensors are missing, such as {lost[0]}")
    if not str(model.main_input_name).startswith("pixel_values"):
        raise WeightsError(f"{weights}: a {model.config.model_type} takes {model.main_input_name}, not pixels")
    return model, not missing


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextmanager
def _quiet(logging: Any) -> Iterator[None]:
    """Disable progress bars and warnings about missing tensors, which this module checks itself."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        logging.enable_progress_bar()


def _frames(config: Any) -> int | None:
    """Return the number of frames a model takes; None if it takes single images."""
    found = getattr(config, "num_frames", None) or getattr(config, "frames_per_clip", None)
    return int(found) if found else None


def _plan(frames: int | None, every: int | None, segments: int | None, stride: int | None) -> ClipPlan:
    if every and segments:
        raise OptionError("huggingface: every and segments are alternatives; give only one of them")
    if frames is None:
        if stride:
            raise OptionError("huggingface: this model takes single frames, so there is no stride between them")
        return Segments(segments) if segments else Every(every or 10)
    stride = stride or 1
    return Uniform(segments, frames, stride) if segments else Sliding(frames, every or frames * stride, stride)


def _preprocessing(weights: str, config: Any) -> tuple[PixelRecipe, Convention]:
    """Return resizing and normalisation from the model's folder, else from the defaults for its type."""
    stored = _stored(weights)
    if stored is None:
        if config.model_type not in _KNOWN:
            raise WeightsError(
                f"{weights}: it has no preprocessor_config.json, and the normalisation of a {config.model_type} is "
                "unknown; put the file of the model's authors next to its weights"
            )
        side = _side(getattr(config, "image_size", None) or getattr(config, "crop_size", 224))
        return PixelRecipe(min(side), side), _KNOWN[config.model_type]
    try:
        return _pixels(stored), _colours(stored)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WeightsError(f"{weights}: its preprocessor_config.json is not supported ({error!r})") from error


def _stored(weights: str) -> Mapping[str, Any] | None:
    from transformers.utils.hub import cached_file

    for name in _PREPROCESSING:
        file = cached_file(
            weights,
            name,
            local_files_only=Path(weights).is_dir(),
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        if file is not None:
            try:
                return dict(json.loads(Path(file).read_text(encoding="utf-8")))
            except (ValueError, TypeError) as error:
                raise WeightsError(f"{file} is damaged: {error}") from error
    return None


def _pixels(stored: Mapping[str, Any]) -> PixelRecipe:
    size, interpolation = stored["size"], _FILTERS.get(stored.get("resample", 2), "bilinear")
    cropped = stored.get("do_center_crop", "crop_size" in stored) and stored.get("crop_size")
    crop = _side(cropped) if cropped else None
    edge = size.get("shortest_edge") if isinstance(size, dict) else (size if crop else None)
    if edge is None:
        return PixelRecipe(_side(size), crop, interpolation)
    if "crop_pct" in stored:  # ConvNeXt and ResNet: shortest_edge is the size of the crop
        return PixelRecipe(int(edge / (stored["crop_pct"] or 1)), (edge, edge), interpolation)
    return PixelRecipe(edge, crop or (edge, edge), interpolation)


def _side(size: Any) -> tuple[int, int]:
    if isinstance(size, dict):
        return int(size["height"]), int(size["width"])
    height, width = (size, size) if isinstance(size, int) else size
    return int(height), int(width)


def _colours(stored: Mapping[str, Any]) -> Convention:
    """Convert (pixel × factor − offset − mean) / std to the form (pixel / 255 − mean) / std."""
    factor = 255 * stored.get("rescale_factor", 1 / 255) if stored.get("do_rescale", True) else 255.0
    offset = 1.0 if stored.get("offset") else 0.0
    normalised = stored.get("do_normalize", True)
    mean, std = (stored["image_mean"], stored["image_std"]) if normalised else ([0.0] * 3, [1.0] * 3)
    shifts = [(offset + value) / factor for value in mean]
    spreads = [value / factor for value in std]
    return Convention((shifts[0], shifts[1], shifts[2]), (spreads[0], spreads[1], spreads[2]))
