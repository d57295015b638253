"""Your own pose estimator on video: joints.

The joints have the format that the backbone ``skeleton`` reads from files.

The model is a file that OpenVINO can read: ONNX, the format of most published pose estimators, or OpenVINO's ``.xml``.
It takes (n, 3, H, W) images and outputs either heatmaps (n, J, h, w), whose maxima are the joints, or coordinates
(n, J, 2 or more), of which the first two are used. Positions are fractions of the image, relative to the centre of the
body over the clip and divided by the body size in the clip.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from aqakit.backbones.parts.pretrained import Colours, PlanOption
from aqakit.backbones.parts.video import VideoBackbone
from aqakit.errors import OptionError, WeightsError
from aqakit.recordings import clips as plans
from aqakit.recordings.clips import ClipPlan
from aqakit.recordings.transforms import CONVENTIONS, PixelRecipe

PAPER = (
    "for action quality: Pirsiavash, Vondrick and Torralba, Assessing the Quality of Actions, ECCV 2014. "
    "https://doi.org/10.1007/978-3-319-10599-4_36; cite the pose estimator's own paper beside it"
)

Layout = Literal["vector", "joints"]

_AT_ONCE = 16
"""Batch size for models that accept any batch size."""


class Pose(VideoBackbone):
    """Clips (T, H, W, 3) uint8 → positions of J joints in every frame: (J, 2 T), or the same as one vector.

    Args:
        model: a file that OpenVINO can read.
        plan: clip plan.
        size: width and height of the model's input images.
        colours: their normalisation, a name in :data:`aqakit.recordings.transforms.CONVENTIONS`.
        order: whether coordinates are in the order x, y or y, x.
        layout: ``vector`` or ``joints``.

    Raises:
        OptionError: OpenVINO is not installed.
        WeightsError: the file is not a model, or its output is neither heatmaps nor coordinates.
    """

    def __init__(
        self, model: Path, plan: ClipPlan, *, size: int, colours: str, order: Literal["xy", "yx"], layout: Layout
    ) -> None:
        super().__init__(plan, PixelRecipe((size, size)), CONVENTIONS[colours])
        self.order, self.layout = order, layout
        self._model = _open(model)
        self.content = hashlib.blake2b(model.read_bytes(), digest_size=16).hexdigest()
        frames = plan.size
        self._at_once = _AT_ONCE if self._model.inputs[0].partial_shape[0].is_dynamic else 1
        joints = self._joints(torch.zeros(self._at_once, 3, size, size), model).shape[1]
        self.shape = (joints, 2 * frames) if layout == "joints" else (joints * 2 * frames,)

    def forward(self, clips: Tensor) -> Tensor:
        """(n, T, H, W, 3) → (n, *shape)."""
        pictures = self.normalise(clips).flatten(0, 1)
        found = torch.cat([self._joints(some) for some in pictures.split(self._at_once)])
        joints = found.unflatten(0, clips.shape[:2])  # (n, T, J, 2)
        joints = joints - joints.mean((1, 2), keepdim=True)
        size = (joints - joints.mean(2, keepdim=True)).square().sum(-1).mean((1, 2)).sqrt()
        scaled = joints / size.clamp_min(1e-6)[:, None, None, None]
        features = scaled.transpose(1, 2).flatten(2)  # (n, J, 2 T)
        return features if self.layout == "joints" else features.flatten(1)

    def _joints(self, pictures: Tensor, source: Path | None = None) -> Tensor:
        """(n, 3, H, W) → (n, J, 2) x and y as fractions of the image."""
        try:
            answer = torch.from_numpy(np.array(self._model(pictures.cpu().numpy())[0], np.float32)).to(pictures.device)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[-200:]
            raise WeightsError(f"{source}: the model rejects images of {tuple(pictures.shape)}: {reason}") from None
        if answer.ndim == 4:
            return _peaks(answer)
        if answer.ndim == 3 and answer.shape[2] >= 2:
            return answer[..., :2] if self.order == "xy" else answer[..., :2].flip(-1)
        raise WeightsError(f"{source}: output {tuple(answer.shape)} is neither heatmaps nor coordinates of joints")

    def fingerprint(self) -> dict[str, Any]:
        """Return plan, pixels, colours, a hash of the model file and the options."""
        own = {"model": self.content, "order": self.order, "layout": self.layout}
        return super().fingerprint() | own


def _peaks(heatmaps: Tensor) -> Tensor:
    """(n, J, h, w) → (n, J, 2): the centre of the highest pixel, x and y as fractions of the image.

    >>> _peaks(torch.tensor([[[[0.0, 0.0], [0.0, 1.0]]]])).tolist()
    [[[0.75, 0.75]]]
    """
    height, width = heatmaps.shape[2:]
    place = heatmaps.flatten(2).argmax(2)
    return torch.stack([(place % width + 0.5) / width, (place // width + 0.5) / height], 2)


def _open(model: Path) -> Any:
    try:
        import openvino
    except ImportError:
        raise OptionError("a pose estimator needs openvino: pip install 'aqakit[fast]'") from None
    try:
        # By default it computes in bfloat16 on processors that support it, and joints would depend on the machine.
        return openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    except RuntimeError as error:
        reason = " ".join(str(error).split())[-200:]
        raise WeightsError(f"{model}: not a model that OpenVINO can read (.onnx or .xml): {reason}") from None


def build(
    *,
    model: Annotated[Path, Field(description="the pose estimator: an .onnx or OpenVINO .xml file")],
    plan: PlanOption = "uniform:count=10:frames=16",
    size: Annotated[int, Field(ge=16, description="width and height of its input images")] = 256,
    colours: Annotated[Colours, Field(description="normalisation of its input images")] = "imagenet",
    order: Annotated[Literal["xy", "yx"], Field(description="order of the coordinates, if it outputs those")] = "xy",
    layout: Annotated[Layout, Field(description="one vector; or one per joint, for graph methods")] = "vector",
) -> Pose:
    """Build the backbone from a pose estimator.

    Raises:
        OptionError: OpenVINO is not installed, or there is no such plan.
        WeightsError: the file is not a model, or not a pose estimator.
    """
    return Pose(model, plans.parse(plan), size=size, colours=colours, order=order, layout=layout)
