"""Joints of a body over time: positions or motion.

The joints may be in pixels, metres or shares of a picture: each clip is taken from its own centre, and lengths are
measured in the size of the body, which is the typical distance of a joint from the middle of all joints.
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

from aqakit.backbones.parts.base import Backbone
from aqakit.errors import DataError, OptionError
from aqakit.recordings import clips as plans
from aqakit.recordings import signals
from aqakit.recordings.clips import ClipPlan

PAPER = (
    "Yan et al., Spatial Temporal Graph Convolutional Networks for Skeleton-Based Action Recognition, AAAI 2018. "
    "https://arxiv.org/abs/1801.07455; for action quality: Pan et al., Action Assessment by Joint Relation Graphs, "
    "ICCV 2019"
)

Features = Literal["coordinates", "motion"]
Centre = Literal["clip", "frame", "none"]
Layout = Literal["vector", "joints"]

_SHORTEST = 4
"""Frames of the shortest clip with a third difference."""

Array = NDArray[np.float32]


class Skeleton(Backbone):
    """Clips (T, J, C) of J joints in C dimensions → (J, D), or all of it as one vector.

    Args:
        plan: which rows make which clip.
        joints: J.
        dimensions: C, 2 or 3.
        features: ``coordinates``: D = T C, the position in every frame. ``motion``: D = 5 C, for each axis mean and
            spread of the position and the mean size of velocity, acceleration and jerk, per row of the recording.
        centre: what positions are taken from: the middle of the body over the clip; in each frame; or nothing,
            which leaves the coordinates of the recording, in its units.
        layout: ``vector`` or ``joints``.
        noise: standard deviation of an error in every coordinate, in body sizes, the same whenever the recording is
            read: how a method would do on the joints of a pose estimator.
    """

    reads = "skeleton"

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
    ) -> None:
        super().__init__()
        self.plan, self.joints, self.dimensions = plan, joints, dimensions
        self.features, self.centre, self.layout, self.noise = features, centre, layout, noise
        width = dimensions * (plan.clips(1).shape[1] if features == "coordinates" else 5)
        self.shape = (joints, width) if layout == "joints" else (joints * width,)

    def read(self, path: Path, window: tuple[int, int] | None = None) -> Iterator[Array]:
        """Clips (T, J, C) in the order of the plan, centred and scaled.

        Raises:
            DataError: the recording cannot be read, has other joints, or the window is not inside it.
        """
        joints = signals.skeleton(path)
        if joints.shape[1:] != (self.joints, self.dimensions):
            has, wants = (
                f"{j} joints in {d} dimensions" for j, d in (joints.shape[1:], (self.joints, self.dimensions))
            )
            raise DataError(f"{path} has {has}, and the backbone skeleton expects {wants}; give it what the file has")
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
        """Plan and options."""
        keys = ("joints", "dimensions", "features", "centre", "layout", "noise")
        return {"version": 1, "plan": self.plan.fingerprint()} | {key: getattr(self, key) for key in keys}


def centred(clip: Array, centre: Centre) -> Array:
    """A clip (T, J, C) as seen from the middle of its joints."""
    if centre == "none":
        return clip
    return clip - clip.mean((0, 1) if centre == "clip" else 1, keepdims=True)


def body_size(joints: Array) -> float:
    """Root mean square distance of the joints from the middle of all, over a recording (T, J, C); 1 if it is 0.

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
        str, Field(description="which rows make which clip: a name, or kind/number=value, as sliding/frames=16/step=8")
    ] = "uniform:count=10:frames=16",
    joints: Annotated[int, Field(gt=0, description="joints of the body")] = 17,
    dimensions: Annotated[int, Field(ge=2, le=3, description="coordinates of a joint")] = 2,
    features: Annotated[
        Features, Field(description="positions in every frame; or means and spreads of how they change")
    ] = "coordinates",
    centre: Annotated[
        Centre,
        Field(description="positions from the middle of the body over the clip, in each frame, or as they are"),
    ] = "clip",
    layout: Annotated[Layout, Field(description="one vector; or one for each joint, for methods on graphs")] = "vector",
    noise: Annotated[
        float, Field(ge=0, description="error added to every coordinate, in body sizes, as a pose estimator makes")
    ] = 0.0,
) -> Skeleton:
    """Joint sequences.

    Raises:
        OptionError: there is no such plan, or its clips are too short to have a jerk.
    """
    table = plans.parse(plan)
    if features == "motion" and table.clips(1).shape[1] < _SHORTEST:
        raise OptionError(f"skeleton: the features motion need clips of at least {_SHORTEST} frames")
    return Skeleton(
        plan=table,
        joints=joints,
        dimensions=dimensions,
        features=features,
        centre=centre,
        layout=layout,
        noise=noise,
    )
