"""TSN: the consensus of the scores of segments.

A video is cut into segments, one network scores a snippet of each, and the consensus of the snippets is trained against
the score of the video (Wang et al. 2016, eq. 1–2). Pan et al. (2019) use it like this for action quality. The streams
(appearance and motion) have separate networks whose scores are averaged. A snippet is one clip of the features.

The published network ends in one linear layer after dropout: ``hidden= dropout=0.8``. On frozen features that would be
linear regression on the mean snippet, so the default has a hidden layer: snippets are scored before averaging, not
after. ``max`` is another consensus of the paper; ``attention`` is that of the journal version (Wang et al. 2018), whose
weights depend on the snippet.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from aqakit.methods.parts.base import DropoutOption, HiddenOption, Method, mean_loss
from aqakit.methods.parts.heads import Units, mlp
from aqakit.methods.parts.losses import squared_error
from aqakit.methods.parts.shapes import vectors
from aqakit.scores.distributions import Point
from aqakit.types import Batch, FeatureSpec, LabelSpec, ScoreScale, Stream

PAPER = (
    "Wang et al., Temporal Segment Networks: Towards Good Practices for Deep Action Recognition, ECCV 2016. "
    "https://arxiv.org/abs/1608.00859; for action quality: Pan et al., Action Assessment by Joint Relation Graphs, "
    "ICCV 2019"
)
FEATURES = FeatureSpec({"rgb": (1024,), "flow": (1024,)})

Consensus = Literal["average", "max", "attention"]


class SegmentScores(nn.Module):
    """Score the snippets of one stream and combine the scores by the consensus."""

    def __init__(self, width: int, *, consensus: Consensus, hidden: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        self.consensus = consensus
        self.trunk = nn.Sequential(mlp(width, hidden), nn.Dropout(dropout))
        self.score = nn.Linear((width, *hidden)[-1], 1)
        self.weight = nn.Linear((width, *hidden)[-1], 1, bias=False) if consensus == "attention" else None

    def forward(self, stream: Stream) -> Tensor:
        """Return (B,) scores, in quarters of the score scale around its centre."""
        clips = stream.clips
        x = self.trunk(torch.where(clips[..., None], stream.features, 0.0))  # (B, N, width)
        score = self.score(x).squeeze(2)
        if self.consensus == "max":
            return score.masked_fill(~clips, -torch.inf).amax(1)
        weight = self.weight(x).squeeze(2) if self.weight is not None else torch.zeros_like(score)
        return (weight.masked_fill(~clips, -torch.inf).softmax(1) * score).sum(1)


class TSN(Method):
    """Predict a point for each video: the mean over streams of the consensus over snippets."""

    supports_vmap = True

    def __init__(self, streams: list[SegmentScores], scale: ScoreScale) -> None:
        super().__init__()
        self.streams, self.units = nn.ModuleList(streams), Units(scale)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Mean squared error of the consensus, in squared units of the head."""
        known = batch.labelled_rows()
        return {"squared_error": mean_loss(squared_error(self.predict(known), known.score)) / self.units.size**2}

    def predict(self, batch: Batch) -> Point:
        """Return B points."""
        scores = [score(stream) for score, stream in zip(self.streams, batch.streams.values(), strict=True)]
        return Point(self.units(torch.stack(scores).mean(0)))


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    consensus: Annotated[
        Consensus, Field(description="consensus of the snippets' scores: mean, maximum, or mean with learnt weights")
    ] = "average",
    hidden: HiddenOption = (256,),
    dropout: DropoutOption = 0.5,
) -> TSN:
    """Build TSN for these features and labels.

    Raises:
        OptionError: If the features of a stream are not one vector per clip.
    """
    streams = [
        SegmentScores(width, consensus=consensus, hidden=hidden, dropout=dropout) for width in vectors(features, "tsn")
    ]
    return TSN(streams, labels.scale)
