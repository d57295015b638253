"""GDLT: a Likert scale whose grades are read by queries.

Q learnt queries look at the clips of a video, one for each grade from worst to best, as the answers of a questionnaire.
Each says how strongly the video shows its grade, σ(sₖ); the score is the mean of the grades, k ÷ (Q − 1) of the scale,
weighted by these (Xu et al., sections 3.2 and 3.3). A triplet loss keeps what different queries see apart.

Sizes and losses follow the notes on the public code: clips are projected to ``width`` by two layers with batch norm,
over clips that are not padding; 4 queries, 2 decoder layers, dropout 0.3; squared error of the score, and ``alpha`` ×
the hardest triplets with margin 1, over the queries of all videos of a batch. The published error is that of the score
as a share of the scale; here it is in units of the spread of the training scores, or of a quarter of the scale without
them, where ``alpha=16`` weighs the two as published. With that weight small data are not learnt: the triplets draw all
videos together. Left open there, and
chosen here: the number of heads (8) and of encoder layers (1), no position of the clips, and the feed-forward width of
the transformer (4 × ``width``). Published training: SGD with learning rate 0.01, cosine to 1 %, batches of 32, and a
random window of 68 clips of longer videos, which here is a setting of the clip plan.
"""

from typing import Annotated, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from aqakit.errors import OptionError
from aqakit.methods.parts.base import DropoutOption, Method, mean_loss
from aqakit.methods.parts.heads import Units
from aqakit.methods.parts.losses import squared_error
from aqakit.methods.parts.norms import FrameNorm
from aqakit.scores.distributions import Point
from aqakit.types import Batch, FeatureSpec, LabelSpec, ScoreScale, Stream

PAPER = (
    "Xu et al., Likert Scoring with Grade Decoupling for Long-term Action Assessment, CVPR 2022. "
    "https://openaccess.thecvf.com/content/CVPR2022/html/Xu_Likert_Scoring_With_Grade_Decoupling_for_Long-Term_"
    "Action_Assessment_CVPR_2022_paper.html"
)
FEATURES = FeatureSpec({"swin": (1024,)})

MARGIN = 1.0


class Projection(nn.Module):
    """Map each clip to ``width`` channels: two linear layers, each with batch norm, and a ReLU between them."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(inputs, width), nn.Linear(width, width)
        self.first_norm, self.second_norm = FrameNorm(width), FrameNorm(width)

    def forward(self, stream: Stream) -> Tensor:
        """Map (B, N, D) to (B, N, width), zero where padded."""
        x = torch.where(stream.clips[..., None], stream.features, 0.0)
        x = self._normed(self.first_norm, self.first(x), stream.clips).relu()
        return self._normed(self.second_norm, self.second(x), stream.clips)

    def _normed(self, norm: nn.Module, x: Tensor, clips: Tensor) -> Tensor:
        return cast(Tensor, norm(x[:, :, None], clips)).squeeze(2)


class GradeQueries(nn.Module):
    """What each of Q queries sees in the clips: projection, transformer encoder and decoder."""

    def __init__(
        self, inputs: int, *, width: int, grades: int, heads: int, encoders: int, decoders: int, dropout: float
    ) -> None:
        super().__init__()
        self.project = Projection(inputs, width)
        more = {"dim_feedforward": 4 * width, "dropout": dropout, "batch_first": True}
        layer = nn.TransformerEncoderLayer(width, heads, **more)  # type: ignore[arg-type]
        self.encoder = nn.TransformerEncoder(layer, encoders, enable_nested_tensor=False)
        self.decoder = nn.TransformerDecoder(
            nn.TransformerDecoderLayer(width, heads, **more),  # type: ignore[arg-type]
            decoders,
        )
        self.queries = nn.Parameter(torch.randn(grades, width))

    def forward(self, stream: Stream) -> Tensor:
        """Map (B, N, D) to (B, Q, width)."""
        x = self.encoder(self.project(stream), src_key_padding_mask=~stream.clips)
        queries = self.queries.expand(len(x), -1, -1)
        seen: Tensor = self.decoder(queries, x, memory_key_padding_mask=~stream.clips)
        return seen


class Gdlt(Method):
    """Predict a point within the score scale for each video."""

    def __init__(self, see: GradeQueries, width: int, scale: ScoreScale, *, alpha: float) -> None:
        super().__init__()
        self.see, self.read = see, nn.Linear(width, 1)
        self.units = Units(scale)
        self.scale, self.alpha = scale, alpha

    def start(self, train: Batch) -> None:
        """Take the spread of the training scores as the unit of the error; answers are shares of the scale."""
        self.units.start_at(train.score)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Squared error, in units of the spread of the scores, and ``alpha`` × the triplet loss of the queries."""
        known = batch.labelled_rows()
        seen = self.see(next(iter(known.streams.values())))
        error = squared_error(self._answer(seen), known.score)
        return {
            "squared_error": mean_loss(error) / self.units.size**2,
            "triplet": self.alpha * mean_loss(hardest_triplets(seen)),
        }

    def predict(self, batch: Batch) -> Point:
        """Return B points."""
        return self._answer(self.see(next(iter(batch.streams.values()))))

    def _answer(self, seen: Tensor) -> Point:
        shown = self.read(seen).squeeze(2).sigmoid()  # (B, Q)
        grades = torch.linspace(0, 1, shown.shape[1], device=shown.device)
        share = (shown * grades).sum(1) / shown.sum(1)
        return Point(self.scale.low + share * self.scale.span)


def hardest_triplets(seen: Tensor) -> Tensor:
    """Return the loss (B Q,) of what Q queries see in B videos, (B, Q, D).

    Each is to be nearer to what the same query sees in every other video than to what any other query sees anywhere, by
    the margin: max(0, farthest of the same − nearest of another + 1). With one video, or one query, there is no loss.
    """
    videos, queries, _ = seen.shape
    flat = seen.flatten(0, 1)
    apart = torch.cdist(flat, flat)
    own = torch.arange(queries, device=seen.device).repeat(videos)
    same = own[:, None] == own
    if videos < 2 or queries < 2:
        return flat.sum(1) * 0.0
    farthest = apart.masked_fill(~same, 0.0).amax(1)
    nearest = apart.masked_fill(same, torch.inf).amin(1)
    return (farthest - nearest + MARGIN).relu()


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    grades: Annotated[int, Field(ge=2, description="grades of the scale, each with a query")] = 4,
    width: Annotated[int, Field(gt=0, multiple_of=8, description="channels of clips and queries")] = 256,
    heads: Annotated[int, Field(gt=0, description="heads of attention; a divisor of width")] = 8,
    encoders: Annotated[int, Field(gt=0, description="layers of attention between clips")] = 1,
    decoders: Annotated[int, Field(gt=0, description="layers of attention of the queries to the clips")] = 2,
    alpha: Annotated[float, Field(ge=0, description="weight of the triplet loss")] = 1.0,
    dropout: DropoutOption = 0.3,
) -> Gdlt:
    """Build GDLT.

    Raises:
        ValueError: If the features are not one vector per clip.
        OptionError: If the heads do not divide the width.
    """
    if width % heads:
        raise OptionError(f"gdlt: {heads} heads do not divide a width of {width}")
    sizes = {"width": width, "grades": grades, "heads": heads, "encoders": encoders, "decoders": decoders}
    return Gdlt(GradeQueries(features.width, **sizes, dropout=dropout), width, labels.scale, alpha=alpha)
