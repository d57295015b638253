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

import torch
from torch import Tensor, nn

from aqakit.methods.parts.base import DropoutOption, Method, mean_loss
from aqakit.methods.parts.grades import (
    AlphaOption,
    DecodersOption,
    EncodersOption,
    GradeQueries,
    GradesOption,
    HeadsOption,
    WidthOption,
    hardest_triplets,
    likert,
)
from aqakit.methods.parts.heads import Units
from aqakit.methods.parts.losses import squared_error
from aqakit.scores.distributions import Point
from aqakit.types import Batch, FeatureSpec, LabelSpec, ScoreScale

PAPER = (
    "Xu et al., Likert Scoring with Grade Decoupling for Long-term Action Assessment, CVPR 2022. "
    "https://openaccess.thecvf.com/content/CVPR2022/html/Xu_Likert_Scoring_With_Grade_Decoupling_for_Long-Term_"
    "Action_Assessment_CVPR_2022_paper.html"
)
FEATURES = FeatureSpec({"swin": (1024,)})


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
        values = torch.linspace(0, 1, seen.shape[1], device=seen.device)
        share = likert(self.read(seen).squeeze(2), values)
        return Point(self.scale.low + share * self.scale.span)


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    grades: GradesOption = 4,
    width: WidthOption = 256,
    heads: HeadsOption = 8,
    encoders: EncodersOption = 1,
    decoders: DecodersOption = 2,
    alpha: AlphaOption = 1.0,
    dropout: DropoutOption = 0.3,
) -> Gdlt:
    """Build GDLT.

    Raises:
        ValueError: If the features are not one vector per clip.
        OptionError: If the heads do not divide the width.
    """
    sizes = {"width": width, "grades": grades, "heads": heads, "encoders": encoders, "decoders": decoders}
    return Gdlt(GradeQueries(features.width, **sizes, dropout=dropout), width, labels.scale, alpha=alpha)
