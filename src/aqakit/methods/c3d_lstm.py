"""C3D-LSTM: an LSTM over the fc6 features of the clips.

Its last state becomes the score.

Two ways of teaching it are published, and both are here:

- ``supervision="final"``: the loss sees the score after the last clip alone;
- ``supervision="incremental"``: the score rises in equal steps from nothing to what was given, and the loss sees what
  the network says after every clip. The answer is what it says after the last. As every video counts the same, the
  losses of its clips are averaged.

The public code divides scores by their spread over the data set before it takes the squared error; here the output
layer works in quarters of the score scale, which conditions it as well and needs no statistics of the test set. It
also loses the last of six clips to an off-by-one; the clips here are those of the backbone's plan, all of them.
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
    """A point for each video: what the network says after its last clip."""

    def __init__(self, lstm: nn.LSTM, head: PointHead, *, incremental: bool) -> None:
        super().__init__()
        self.lstm, self.head, self.incremental = lstm, head, incremental

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Squared error after the last clip, or after all of them, in squared units of the sport."""
        known = batch.select(batch.labelled)
        if not self.incremental:
            return {"squared_error": mean_loss(squared_error(self.predict(known), known.score))}
        counts = known.clips.sum(1)
        steps = torch.arange(1, known.clips.shape[1] + 1, device=counts.device) / counts[:, None]
        error = (self._after_each_clip(known) - known.score[:, None] * steps).square()  # (B, N)
        return {"squared_error": mean_loss(torch.where(known.clips, error, 0.0).sum(1) / counts)}

    def predict(self, batch: Batch) -> Point:
        """B points."""
        said = self._after_each_clip(batch)
        return Point(said.gather(1, batch.clips.sum(1, keepdim=True) - 1).squeeze(1))

    def _after_each_clip(self, batch: Batch) -> Tensor:
        """(B, N) in units of the sport."""
        states, _ = self.lstm(batch.features)  # (B, N, hidden)
        return self.head(states.flatten(0, 1)).value.unflatten(0, states.shape[:2])


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    supervision: Annotated[
        Literal["final", "incremental"], Field(description="the loss sees the last clip, or a rising score at each")
    ] = "final",
    units: Annotated[int, Field(gt=0, description="of the LSTM")] = 256,
) -> C3DLSTM:
    """C3D-LSTM for these features and labels."""
    lstm = nn.LSTM(features.width, units, batch_first=True)
    return C3DLSTM(lstm, PointHead(units, labels.scale), incremental=supervision == "incremental")
