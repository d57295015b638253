"""CoFInAl: a coarse level of the scale, and a fine step in it.

The scale is divided into 100 levels of 100 steps each. On the trunk of :mod:`aqakit.methods.gdlt`, two readers of the
grades say the level, one as a share of the scale and one as the share that is missing; and what all queries see is
brought to a vector of length 1, which is to point to one of 100 fixed directions, the step (Zhou et al. 2024). These
directions form a simplex equiangular tight frame: any two have the cosine −1/99, the farthest that 100 can be apart.
The score is the mean of both readers and the step that the vector is nearest to: level ÷ 100 + step ÷ 10,000.

Paper and public code leave open, or differ; followed here:

- *trunk*: the command of the README has 2 encoder and 4 decoder layers, ``alpha`` 0.5 and 500 epochs; the released log
  that reaches the figure of Ball has 1, 2, 1 and 250. The default sizes are those of the log;
- *grades*: the values that a reader weighs are even, from 0 to 1, as in GDLT, and from 1 to 0 for the other. The code
  also has −1, −0.8, 0.8 and 1 (``values=signed``, its default, with which a score may leave the scale), and two more;
- *attention before the step*: the layer that should let the queries of a video see each other is applied to the wrong
  axis in the code, and lets the videos of a batch see each other. Here it is the queries;
- *level of a score*: scores are rounded to the nearest of the 10,000 steps; the code rounds down in floating point;
- *nearest step*: one for each video; the code takes one for a whole batch, and therefore tests one video at a time;
- *losses*: squared errors are in units of the spread of the training scores, as in GDLT, where ``alpha=16`` (8 for the
  README's 0.5) weighs the triplets as published. The step is trained by the absolute error of the vector, as in the
  code; the paper's dot-regression loss is there, but not used.

A step is a ten-thousandth of the scale, finer than judges mark. ``levels=10:steps=10`` has steps that judges use.
Published training: SGD with learning rate 0.01 and weight decay 1e-4, cosine to 1 %, batches of 32.

Measured on 200 synthetic dives, 40 of them for testing (``synthetic_dives:count=200`` on ``skeleton:noise=0.03``, 30
epochs, one seed): Spearman 0.923 (0.825 – 0.961), mean absolute error 5.77, CRPS 4.47; ``levels=10:steps=10`` 0.903,
``gdlt`` 0.905, ``core`` 0.706; floors: SVR 0.645, mean of the kind 0.459, difficulty 0.411. It is the level that tells:
the step of a single model is right in none of the test dives, and in 11 of 160 that it was trained on; with
``levels=10:steps=10``, in one test dive.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from aqakit.errors import OptionError
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
from aqakit.scores.distributions import Point
from aqakit.types import Batch, FeatureSpec, LabelSpec, ScoreScale

PAPER = (
    "Zhou et al., CoFInAl: Enhancing Action Quality Assessment with Coarse-to-Fine Instruction Alignment, IJCAI 2024. "
    "https://arxiv.org/abs/2404.13999"
)
FEATURES = FeatureSpec({"swin": (1024,)})

Values = Literal["even", "signed"]

SIGNED = (-1.0, -0.8, 0.8, 1.0)


def simplex_frame(count: int, seed: int = 0) -> Tensor:
    """Return K unit vectors as columns (K, K), any two of which have the cosine −1 ÷ (K − 1).

    √(K ÷ (K − 1)) U (I − 1 1ᵀ ÷ K), where U is an orthogonal matrix drawn with the seed.
    """
    drawn = torch.randn(count, count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    centred = torch.eye(count, dtype=torch.float64) - 1 / count
    return ((count / (count - 1)) ** 0.5 * torch.linalg.qr(drawn).Q @ centred).float()


class Scale(nn.Module):
    """A score scale of ``levels`` levels with ``steps`` steps each."""

    def __init__(self, scale: ScoreScale, levels: int, steps: int) -> None:
        super().__init__()
        self.low, self.span, self.levels, self.steps = scale.low, scale.span, levels, steps

    def divide(self, score: Tensor) -> tuple[Tensor, Tensor]:
        """Return level and step (n,) int64 of scores (n,): of the nearest step that the scale has."""
        count = self.levels * self.steps
        nearest = ((score.double() - self.low) / self.span * count).round().clamp(0, count - 1).long()
        return nearest // self.steps, nearest % self.steps

    def forward(self, coarse: Tensor, step: Tensor) -> Tensor:
        """Return scores: shares of the scale, and steps above them."""
        return self.low + self.span * (coarse + step / (self.levels * self.steps))


class CoFInAl(Method):
    """Predict a point for each video: a level of the scale and a step in it."""

    values: Tensor
    frame: Tensor

    def __init__(
        self, see: GradeQueries, scale: Scale, units: Units, values: Tensor, *, width: int, alpha: float
    ) -> None:
        super().__init__()
        self.see, self.scale, self.units, self.alpha = see, scale, units, alpha
        grades = len(values)
        self.level, self.missing = nn.Linear(width, grades), nn.Linear(width, grades)
        self.among = nn.MultiheadAttention(width, 4, batch_first=True)
        self.step = nn.Sequential(nn.Flatten(), nn.Linear(grades * width, 256), nn.Linear(256, scale.steps))
        self.register_buffer("values", values)
        self.register_buffer("frame", simplex_frame(scale.steps))

    def start(self, train: Batch) -> None:
        """Take the spread of the training scores as the unit of the error; answers are shares of the scale."""
        self.units.start_at(train.score)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Squared errors of both readers of the level, absolute error of the step's vector, ``alpha`` × triplets."""
        known = batch.labelled_rows()
        seen = self.see(next(iter(known.streams.values())))
        share, missing, vector = self._read(seen)
        level, step = self.scale.divide(known.score)
        wanted = level / self.scale.levels
        unit = self.units.size / self.scale.span
        return {
            "level": mean_loss((share - wanted).square()) / unit**2,
            "missing": mean_loss((missing - (1 - wanted)).square()) / unit**2,
            "step": mean_loss((vector - self.frame.T[step]).abs().mean(1)),
            "triplet": self.alpha * mean_loss(hardest_triplets(seen)),
        }

    def predict(self, batch: Batch) -> Point:
        """Return B points."""
        return self._answer(*self._read(self.see(next(iter(batch.streams.values())))))

    def _read(self, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Read (B, Q, width): share of the scale (B,), missing share (B,), and vector of the step (B, steps)."""
        share, missing = (
            likert(reader(seen).diagonal(dim1=1, dim2=2), values)  # each query has a reader of its own
            for reader, values in ((self.level, self.values), (self.missing, self.values.flip(0)))
        )
        return share, missing, F.normalize(self.step(self.among(seen, seen, seen, need_weights=False)[0]), dim=1)

    def _answer(self, share: Tensor, missing: Tensor, vector: Tensor) -> Point:
        return Point(self.scale((share + 1 - missing) / 2, (vector @ self.frame).argmax(1)))


def _values(values: Values, grades: int) -> Tensor:
    if values == "even":
        return torch.linspace(0, 1, grades)
    if grades != len(SIGNED):
        raise OptionError(f"cofinal: values=signed is for {len(SIGNED)} grades, not {grades}")
    return torch.tensor(SIGNED)


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    grades: GradesOption = 4,
    levels: Annotated[int, Field(ge=1, description="coarse levels of the scale")] = 100,
    steps: Annotated[int, Field(ge=2, description="fine steps of a level")] = 100,
    values: Annotated[
        Values, Field(description="values of the grades: evenly from 0 to 1, or −1, −0.8, 0.8 and 1 (4 grades)")
    ] = "even",
    width: WidthOption = 256,
    heads: HeadsOption = 8,
    encoders: EncodersOption = 1,
    decoders: DecodersOption = 2,
    alpha: AlphaOption = 0.5,
    dropout: DropoutOption = 0.3,
) -> CoFInAl:
    """Build CoFInAl.

    Raises:
        ValueError: If the features are not one vector per clip.
        OptionError: If the heads do not divide the width, or these values are not for so many grades.
    """
    sizes = {"width": width, "grades": grades, "heads": heads, "encoders": encoders, "decoders": decoders}
    see = GradeQueries(features.width, **sizes, dropout=dropout)
    scale = Scale(labels.scale, levels, steps)
    return CoFInAl(see, scale, Units(labels.scale), _values(values, grades), width=width, alpha=alpha)
