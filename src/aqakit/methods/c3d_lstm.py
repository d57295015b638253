"""C3D-LSTM: an LSTM over the fc6 features of the clips.

A linear layer maps the last hidden state to the score.

Both published kinds of supervision are available:

- ``supervision="final"``: the loss uses only the prediction after the last clip;
- ``supervision="incremental"``: the target rises in equal steps from zero to the score, and the loss uses the
  prediction after every clip. The losses are averaged over the clips of a video, so that all videos weigh the same.
  The final prediction is the one after the last clip.

The public code divides scores by their standard deviation over the data set before it takes the squared error. Here the
output layer works in units of a quarter of the score scale, which conditions training equally well and needs no
statistics of the test set. The code also drops the last of six clips because of an off-by-one error; here all clips of
the backbone's plan are used.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from aqakit.methods.parts.base import Method, mean_loss
from aqakit.methods.parts.heads import PointHead
from aqakit.methods.parts.losses import squared_error
from aqakit.scores.distributions import Point
from aqakit.types import Batch, FeatureSpec, LabelSpec

PAPER = "Parmar and Morris, Learning to Score Olympic Events, CVPR Workshops 2017. https://arxiv.org/abs/1611.05125"
FEATURES = FeatureSpec({"c3d": (4096,)})


class C3DLSTM(Method):
    """Predict a point for each video: the output after its last clip."""

    def __init__(self, lstm: nn.LSTM, head: PointHead, *, incremental: bool) -> None:
        super().__init__()
        self.lstm, self.head, self.incremental = lstm, head, incremental

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Squared error after the last clip, or after all of them, in squared units of the head."""
        known, unit = batch.labelled_rows(), self.head.units.size**2
        if not self.incremental:
            return {"squared_error": mean_loss(squared_error(self.predict(known), known.score)) / unit}
        counts = known.clips.sum(1)
        steps = torch.arange(1, known.clips.shape[1] + 1, device=counts.device) / counts[:, None]
        error = (self._after_each_clip(known) - known.score[:, None] * steps).square()  # (B, N)
        return {"squared_error": mean_loss(torch.where(known.clips, error, 0.0).sum(1) / counts) / unit}

    def predict(self, batch: Batch) -> Point:
        """Return B points."""
        said = self._after_each_clip(batch)
        return Point(said.gather(1, batch.clips.sum(1, keepdim=True) - 1).squeeze(1))

    def _after_each_clip(self, batch: Batch) -> Tensor:
        """Return the prediction after each clip, (B, N) in score units."""
        states, _ = self.lstm(batch.features)  # (B, N, hidden)
        return self.head(states.flatten(0, 1)).value.unflatten(0, states.shape[:2])


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    supervision: Annotated[
        Literal["final", "incremental"],
        Field(description="target of the loss: the score after the last clip, or a rising score after each clip"),
    ] = "final",
    units: Annotated[int, Field(gt=0, description="hidden units of the LSTM")] = 256,
) -> C3DLSTM:
    """Build C3D-LSTM for these features and labels."""
    lstm = nn.LSTM(features.width, units, batch_first=True)
    return C3DLSTM(lstm, PointHead(units, labels.scale), incremental=supervision == "incremental")
