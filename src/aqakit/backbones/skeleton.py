"""Joints of a body over time: positions or motion.

The joints may be in pixels, metres or fractions of an image: each clip is centred and divided by the body size, the
root mean square distance of the joints from their centre.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from aqakit import discovery
from aqakit.backbones.parts.base import Backbone
from aqakit.errors import DataError, OptionError
from aqakit.recordings import clips as plans
from aqakit.recordings import signals
from aqakit.recordings.clips import ClipPlan
from aqakit.recordings.skeletons import LAYOUTS

PAPER = (
    "Yan et al., Spatial Temporal Graph Convolutional Networks for Skeleton-Based Action Recognition, AAAI 2018. "
    "https://arxiv.org/abs/1801.07455; for action quality: Pan et al., Action Assessment by Joint Relation Graphs, "
    "ICCV 2019"
)

Features = Literal["coordinates", "motion"]
Centre = Literal["clip", "frame", "none"]
Layout = Literal["vector", "joints"]

_SHORTEST = 4
"""Frames of the shortest clip that has a third difference."""

Array = NDArray[np.float32]


class Skeleton(Backbone):
    """Clips (T, J, C) of J joints in C dimensions → (J, D), or the same as one vector.

    Args:
        plan: clip plan, which assigns rows to clips.
        joints: J.
        dimensions: C, 2 or 3.
        features: ``coordinates``: D = T C, the position in every frame. ``motion``: D = 5 C, for each axis the mean and
            spread of the position and the mean absolute velocity, acceleration and jerk, per row of the recording.
        centre: origin of the positions: ``clip``, the centre of the body over the clip; ``frame``, in each frame; or
            ``none``, which leaves the recorded coordinates in their units.
        layout: ``vector`` or ``joints``.
        noise: standard deviation of an error added to every coordinate, in body sizes, to simulate the joints of a
            pose estimator; the same every time a recording is read.
        order: name of the layout that the joints have, or are to be taken in; None for that of each file.
    """

    reads = "skeleton"
    plan: ClipPlan

    def __init__(
        self,
        *,
        plan: ClipPlan,
        joints: int,
        dimensions: int,
        features: Features,
        centre: Centre,
        layout: Layout,
        noise: float,
        order: str | None = None,
    ) -> None:
        super().__init__()
        self.plan, self.joints, self.dimensions, self.order = plan, joints, dimensions, order
        self.features, self.centre, self.layout, self.noise = features, centre, layout, noise
        width = dimensions * (plan.size if features == "coordinates" else 5)
        self.shape = (joints, width) if layout == "joints" else (joints * width,)

    def read(self, path: Path, window: tuple[int, int] | None = None) -> Iterator[Array]:
        """Yield clips (T, J, C) in the order of the plan, centred and scaled.

        Raises:
            DataError: the recording cannot be read, has another number of joints or dimensions, or the window is not
                inside it.
        """
        joints = signals.skeleton(path, layout=self.order)
        if joints.shape[1:] != (self.joints, self.dimensions):
            has, wants = (
                f"{j} joints in {d} dimensions" for j, d in (joints.shape[1:], (self.joints, self.dimensions))
            )
            raise DataError(f"{path} has {has}, but the backbone skeleton expects {wants}; set joints and dimensions")
        joints = self._disturbed(joints)
        inside = signals.cut(joints, window, path)
        scale = body_size(inside) if self.centre != "none" else 1.0
        for clip in joints[self.plan.within(window or (0, len(joints) - 1), len(joints))]:
            yield (centred(clip, self.centre) / scale).astype(np.float32)

    def _disturbed(self, joints: Array) -> Array:
        if not self.noise:
            return joints
        rng = np.random.default_rng(zlib.crc32(joints.tobytes()))
        error: Array = rng.standard_normal(joints.shape, np.float32) * np.float32(self.noise * body_size(joints))
        return joints + error

    def forward(self, clips: Tensor) -> Tensor:
        """(n, T, J, C) → (n, *shape)."""
        x = clips.float().transpose(1, 2)  # (n, J, T, C)
        if self.features == "motion":
            x = _motion(x)
        x = x.flatten(2)
        return x if self.layout == "joints" else x.flatten(1)

    def fingerprint(self) -> dict[str, Any]:
        """Return plan and options; ``order`` only if it is set, so that older caches stay valid."""
        keys = ["joints", "dimensions", "features", "centre", "layout", "noise"] + ["order"] * (self.order is not None)
        return {"version": 1, "plan": self.plan.fingerprint()} | {key: getattr(self, key) for key in keys}


def centred(clip: Array, centre: Centre) -> Array:
    """Subtract from a clip (T, J, C) the centre of its joints."""
    if centre == "none":
        return clip
    return clip - clip.mean((0, 1) if centre == "clip" else 1, keepdims=True)


def body_size(joints: Array) -> float:
    """Root mean square distance of the joints from their centre, over a recording (T, J, C); 1 if it is 0.

    >>> body_size(np.array([[[0.0, 0.0], [6.0, 8.0]]], np.float32))
    5.0
    """
    distance = np.square(joints - joints.mean(1, keepdims=True), dtype=np.float64).sum(-1)
    return float(np.sqrt(distance.mean())) or 1.0


def _motion(x: Tensor) -> Tensor:
    """(n, J, T, C) → (n, J, 5, C)."""
    changes = [x.diff(n=order, dim=2).abs().mean(2) for order in (1, 2, 3)]
    return torch.stack([x.mean(2), x.std(2, correction=0), *changes], 2)


def build(
    *,
    plan: Annotated[
        str, Field(description="clip plan: a name, or a kind with its numbers such as sliding/frames=16/step=8")
    ] = "uniform:count=10:frames=16",
    joints: Annotated[int, Field(gt=0, description="number of joints")] = 17,
    dimensions: Annotated[int, Field(ge=2, le=3, description="coordinates per joint")] = 2,
    features: Annotated[
        Features, Field(description="positions in every frame; or statistics of position and motion")
    ] = "coordinates",
    centre: Annotated[
        Centre,
        Field(description="origin: centre of the body over the clip, or in each frame; none: unchanged positions"),
    ] = "clip",
    layout: Annotated[Layout, Field(description="one vector; or one per joint, for graph methods")] = "vector",
    noise: Annotated[
        float, Field(ge=0, description="standard deviation of an error added to every coordinate, in body sizes")
    ] = 0.0,
    order: Annotated[
        str | None,
        Field(
            description="layout to take the joints in, such as coco17; of unnamed ones, what they are (as in the file)"
        ),
    ] = None,
) -> Skeleton:
    """Build the backbone.

    Raises:
        OptionError: there is no such plan or order, its joints are not ``joints``, or clips are too short for a jerk.
    """
    if order is not None and order not in LAYOUTS:
        raise OptionError(f"skeleton: there is no order {order!r}{discovery.nearest(order, LAYOUTS)}")
    if order is not None and len(LAYOUTS[order].joints) != joints:
        raise OptionError(f"skeleton: {order} has {len(LAYOUTS[order].joints)} joints, but joints={joints}; set joints")
    table = plans.parse(plan)
    if features == "motion" and table.size < _SHORTEST:
        raise OptionError(f"skeleton: the features motion need clips of at least {_SHORTEST} frames")
    return Skeleton(
        plan=table,
        joints=joints,
        dimensions=dimensions,
        features=features,
        centre=centre,
        layout=layout,
        noise=noise,
        order=order,
    )
