"""Pose+DCT: low frequencies of the joints and a linear SVR.

Pirsiavash et al. take the trajectory of every joint relative to the head, apply a DCT over time, keep the magnitudes of
the lowest coefficients and regress the score on them with a linear SVR. Our choices:

- *length*: the coefficients of the orthonormal DCT grow with the square root of the number of frames; here they are
  divided by it, so that a trajectory sampled twice as finely has the same coefficients. If it is shorter than the
  number of coefficients, the remaining ones are zero.
- *frames*: the clips of a video are concatenated, so that a plan of adjacent clips gives the whole trajectory:
  ``skeleton:layout=joints:plan=jigsaws`` is 160 moments spread over any recording, the plan ``every:step=1`` all its
  frames.
- *number of coefficients*: our sources do not state it; ten cover five oscillations of the body.
- *C and ε* are selected inside the training set unless given; each coefficient is scaled to unit standard deviation.
"""

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from aqakit.errors import OptionError
from aqakit.methods.parts.base import Method
from aqakit.methods.parts.support_vectors import CostOption, EpsilonOption, SupportVectors
from aqakit.types import Batch, FeatureSpec, LabelSpec

PAPER = "Pirsiavash et al., Assessing the Quality of Actions, ECCV 2014. https://doi.org/10.1007/978-3-319-10599-4_36"
FEATURES = FeatureSpec({"skeleton": (17, 32)})


class PoseDCT(nn.Module):
    """Map joints (J, T C) per clip to the magnitudes of the lowest coefficients: batch → (B, (J − 1) C K)."""

    def __init__(self, *, head: int, dimensions: int, coefficients: int) -> None:
        super().__init__()
        self.head, self.dimensions, self.coefficients = head, dimensions, coefficients

    def forward(self, batch: Batch) -> Tensor:
        """Return (B, (J − 1) C K); the head itself, always at the origin, is left out."""
        path = batch.features.unflatten(3, (-1, self.dimensions))  # (B, N, J, T, C)
        frames = batch.clips.repeat_interleave(path.shape[3], 1)  # (B, N T)
        path = path.transpose(2, 3).flatten(1, 2)  # (B, N T, J, C)
        others = [joint for joint in range(path.shape[2]) if joint != self.head]
        relative = (path[:, :, others] - path[:, :, [self.head]]).flatten(2)  # (B, N T, (J − 1) C)
        return lowest_coefficients(relative, frames, self.coefficients).abs().flatten(1)


def lowest_coefficients(path: Tensor, frames: Tensor, count: int) -> Tensor:
    """Compute the DCT-II over time of trajectories of different lengths L.

    It is the orthonormal DCT ÷ √L; coefficients from the L-th on are zero.

    Args:
        path: (B, T, D) trajectories.
        frames: (B, T) bool, False after the last frame of a video.
        count: Number of coefficients K.

    Returns:
        (B, K, D).
    """
    length = frames.sum(1)[:, None, None]
    time = torch.arange(frames.shape[1], device=path.device)
    order = torch.arange(count, device=path.device)[:, None]
    cosines = torch.cos(math.pi * order * (time + 0.5) / length) * torch.where(order == 0, 1.0, math.sqrt(2))
    weights = (cosines / length).masked_fill((time >= length) | (order >= length), 0.0)  # (B, K, T)
    return weights.to(path.dtype) @ path


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    head: Annotated[int, Field(ge=0, description="index of the joint to which the others are relative")] = 0,
    dimensions: Annotated[int, Field(ge=2, le=3, description="coordinates of a joint")] = 2,
    coefficients: Annotated[int, Field(gt=0, description="number of lowest coefficients kept of each trajectory")] = 10,
    cost: CostOption = None,
    epsilon: EpsilonOption = None,
) -> Method:
    """Build Pose+DCT for these features and labels.

    Raises:
        OptionError: If the features are not coordinates of at least two joints including the head.
    """
    if len(features.shape) != 2 or features.shape[1] % dimensions or not head < features.shape[0] > 1:
        raise OptionError(
            f"pose_dct reads coordinates of at least two joints, {dimensions} per joint and frame, joint {head} being "
            f"the head; the features have shape {features.shape}: use the backbone skeleton:layout=joints with "
            "the same dimensions"
        )
    embed = PoseDCT(head=head, dimensions=dimensions, coefficients=coefficients)
    return SupportVectors(embed, scaling="standard", kernel="linear", cost=cost, epsilon=epsilon)
